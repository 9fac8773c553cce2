import { type Config, type ConfiguredTable, resolveAllTables } from '@afterimage/service';
import type { TableSettings, TableSettingsProvider } from './settings.js';

/** Table knowledge and policies from the configuration alone: what is not written there is not known. */
export function configuredSettings(config: Config): TableSettingsProvider {
  const keyOf = (source: string, database: string, table: string) => JSON.stringify([source, database, table]);
  const tables = new Map(
    resolveAllTables(config).map((t) => [keyOf(t.source, t.database, t.table), settingsOf(config, t)]),
  );
  return ({ source, database, table }) => tables.get(keyOf(source, database, table));
}

function settingsOf({ sources, writer }: Config, { source, settings, mirror }: ConfiguredTable): TableSettings {
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
    labels: settings.labels ?? writer.labels,
    indexes: settings.indexes ?? writer.indexes,
    hasSource: sources[source]?.mariadb !== undefined,
  };
}
