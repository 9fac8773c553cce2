import type { ColumnConfig, Config } from './config-schema.js';
import { type ConfiguredTable, resolveAllTables } from './configured-tables.js';

/** What the PostgreSQL side needs to know about one table; fits @afterimage/replica's TableSettings. */
export interface ConfiguredTableSettings {
  readonly mirror: ConfiguredTable['mirror'];
  readonly historySuffix: string;
  /** Columns that identify a row; null = rows are matched whole. */
  readonly key: readonly string[] | null;
  readonly columns: Readonly<Record<string, ColumnConfig>>;
  readonly types: {
    readonly timeZone: string;
    readonly zeroDates: Config['writer']['zeroDates'];
    readonly nulCharacters: Config['writer']['nulCharacters'];
  };
  readonly rename: Config['writer']['rename'];
  readonly onRefused: Config['writer']['onRefused'];
  readonly historyIndex: Config['writer']['historyIndex'];
}

interface StreamName {
  readonly source: string;
  readonly database: string;
  readonly table: string;
}

const keyOf = ({ source, database, table }: StreamName) => JSON.stringify([source, database, table]);

/** Settings by stream, a table's own before the writer's; undefined for a stream that is not configured. */
export function createSettingsProvider(config: Config): (stream: StreamName) => ConfiguredTableSettings | undefined {
  const settings = new Map(resolveAllTables(config).map((table) => [keyOf(table), settingsOf(config, table)]));
  return (stream) => settings.get(keyOf(stream));
}

function settingsOf(
  { sources, writer }: Config,
  { source, settings, mirror }: ConfiguredTable,
): ConfiguredTableSettings {
  return {
    mirror,
    historySuffix: writer.historySuffix,
    key: settings.key ?? null,
    columns: settings.columns ?? {},
    types: {
      timeZone: sources[source]?.timeZone ?? 'UTC',
      zeroDates: writer.zeroDates,
      nulCharacters: writer.nulCharacters,
    },
    rename: settings.rename ?? writer.rename,
    onRefused: settings.onRefused ?? writer.onRefused,
    historyIndex: writer.historyIndex,
  };
}
