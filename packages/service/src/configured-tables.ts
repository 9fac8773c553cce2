import type { Config, SourceConfig, TableConfig } from './config-schema.js';

/** One table to replicate, after patterns were resolved. */
export interface ConfiguredTable {
  readonly source: string;
  readonly database: string;
  readonly table: string;
  /** The entry under `tables` that it comes from: its own name, or a pattern. */
  readonly entry: string;
  readonly settings: TableConfig;
  /** Where its mirror lives in PostgreSQL. */
  readonly mirror: { readonly schema: string; readonly table: string };
}

/**
 * The tables of one source in the order of the file. `database.*` stands for every known table of the database;
 * an entry of a table's own goes before a pattern.
 */
export function resolveTables(sourceName: string, source: SourceConfig): ConfiguredTable[] {
  const found = new Map<string, ConfiguredTable>();
  const explicit = new Set(Object.keys(source.tables));
  for (const [entry, settings] of Object.entries(source.tables)) {
    for (const name of namesOf(entry, source)) {
      if (name !== entry && explicit.has(name)) continue;
      const [database = '', table = ''] = name.split('.');
      const given = settings ?? {};
      const mirror = mirrorOf(given, source.schemas[database] ?? database, table);
      found.set(name, { source: sourceName, database, table, entry, settings: given, mirror });
    }
  }
  return [...found.values()];
}

/** The tables of all sources. */
export function resolveAllTables(config: Config): ConfiguredTable[] {
  return Object.entries(config.sources).flatMap(([name, source]) => resolveTables(name, source));
}

function namesOf(entry: string, source: SourceConfig): string[] {
  if (!entry.endsWith('.*')) return [entry];
  const prefix = entry.slice(0, -1);
  return source.knownTables.filter((name) => name.startsWith(prefix));
}

function mirrorOf(settings: TableConfig, schema: string, table: string): ConfiguredTable['mirror'] {
  if (settings.as === undefined) return { schema, table };
  const dot = settings.as.indexOf('.');
  return { schema: settings.as.slice(0, dot), table: settings.as.slice(dot + 1) };
}

/** What is wrong between entries that are each well-formed. */
export function findTableProblems(config: Config): { readonly path: readonly string[]; readonly text: string }[] {
  return [...findEmptyPatterns(config), ...findMirrorConflicts(config), ...findKeylessPartitions(config)];
}

function findEmptyPatterns(config: Config) {
  return Object.entries(config.sources).flatMap(([name, source]) =>
    Object.entries(source.tables).flatMap(([entry, settings]) => {
      const path = ['sources', name, 'tables', entry];
      if (!entry.endsWith('.*')) return [];
      if (namesOf(entry, source).length === 0)
        return [{ path, text: 'stands for no table: name its tables in knownTables' }];
      return settings?.as === undefined
        ? []
        : [{ path: [...path, 'as'], text: 'cannot name the mirrors of a pattern: use schemas' }];
    }),
  );
}

function findKeylessPartitions(config: Config) {
  return Object.entries(config.sources).flatMap(([name, source]) =>
    Object.entries(source.tables).flatMap(([entry, settings]) => {
      if ((settings?.partitions ?? 1) === 1 || settings?.key !== undefined) return [];
      const path = ['sources', name, 'tables', entry, 'partitions'];
      return [
        { path, text: 'needs a key, which tells the partition of a row: set `key` too, or leave partitions out' },
      ];
    }),
  );
}

function findMirrorConflicts(config: Config) {
  const owners = new Map<string, ConfiguredTable>();
  return resolveAllTables(config).flatMap((table) => {
    const mirror = `${table.mirror.schema}.${table.mirror.table}`;
    const owner = owners.get(mirror);
    if (owner === undefined) {
      owners.set(mirror, table);
      return [];
    }
    const other = `${owner.database}.${owner.table} of source ${owner.source}`;
    const text = `has the same mirror ${mirror} as ${other}: give one of them another name with \`as\` or schemas`;
    return [{ path: ['sources', table.source, 'tables', table.entry], text }];
  });
}
