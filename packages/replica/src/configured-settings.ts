import type { Config, SourceConfig, TableConfig } from '@afterimage/service';
import type { TableName } from './names.js';
import type { TableSettings, TableSettingsProvider } from './settings.js';

/** Table knowledge and policies from the configuration alone: what is not written there is not known. */
export function configuredSettings(config: Config): TableSettingsProvider {
  return ({ source, database, table }) => {
    const from = Object.hasOwn(config.sources, source) ? config.sources[source] : undefined;
    const own = from === undefined ? undefined : tableConfigOf(from, database, table);
    if (from === undefined || own === undefined) return undefined;
    return settingsOf({ config, source: from, own, database, table });
  };
}

/** The table's own entry, else that of its database's pattern; undefined when neither is there. */
function tableConfigOf(source: SourceConfig, database: string, table: string): TableConfig | undefined {
  for (const name of [`${database}.${table}`, `${database}.*`]) {
    if (Object.hasOwn(source.tables, name)) return source.tables[name] ?? {};
  }
  return undefined;
}

interface Place {
  readonly config: Config;
  readonly source: SourceConfig;
  readonly own: TableConfig;
  readonly database: string;
  readonly table: string;
}

function settingsOf({ config, source, own, database, table }: Place): TableSettings {
  const { writer } = config;
  return {
    mirror: mirrorName({ source, own, database, table }),
    historySuffix: writer.historySuffix,
    key: own.key ?? null,
    columns: own.columns ?? {},
    types: { timeZone: source.timeZone, zeroDates: writer.zeroDates, nulCharacters: writer.nulCharacters },
    rename: own.rename ?? writer.rename,
    onRefused: own.onRefused ?? writer.onRefused,
    historyIndex: writer.historyIndex,
  };
}

function mirrorName({ source, own, database, table }: Omit<Place, 'config'>): TableName {
  if (own.as !== undefined) {
    const dot = own.as.indexOf('.');
    return { schema: own.as.slice(0, dot), table: own.as.slice(dot + 1) };
  }
  const schema = Object.hasOwn(source.schemas, database) ? source.schemas[database] : undefined;
  return { schema: schema ?? database, table };
}
