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
      const schema = Object.hasOwn(source.schemas, database) ? source.schemas[database] : undefined;
      const mirror = mirrorOf(given, schema ?? database, table);
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

interface TableProblem {
  readonly path: readonly string[];
  readonly text: string;
}

/** What is wrong between entries that are each well-formed. */
export function findTableProblems(config: Config): TableProblem[] {
  return [
    ...findEmptyPatterns(config),
    ...findReservedSchemas(config),
    ...findMirrorConflicts(config),
    ...findKeylessPartitions(config),
  ];
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
      if ((settings?.partitions ?? 1) === 1) return [];
      const path = ['sources', name, 'tables', entry, 'partitions'];
      const key = settings?.key;
      if (key === undefined) {
        if (source.mariadb !== undefined) return [];
        const text =
          'needs a key, which tells the partition of a row: set `key` too (or `mariadb`, which knows it), or leave partitions out';
        return [{ path, text }];
      }
      // Two texts may be one value of such a type (uuid, citext), and then one row would come by two partitions.
      const retyped = key.find((column) => settings?.columns?.[column]?.postgres !== undefined);
      if (retyped === undefined) return [];
      return [
        { path, text: `cannot divide by ${retyped}: a key column must not have a PostgreSQL type of its own here` },
      ];
    }),
  );
}

/** Schemas that are not for mirrors: PostgreSQL's, those of the control tables and of the queue. */
function findReservedSchemas(config: Config): TableProblem[] {
  const { queue } = config;
  const isReserved = (schema: string) =>
    /^(?:pg_.*|information_schema|afterimage)$/s.test(schema) ||
    (queue.backend === 'postgres' && schema === queue.prefix);
  return resolveAllTables(config).flatMap((table) => {
    const reserved = [table.mirror, historyOf(config, table)].find(({ schema }) => isReserved(schema));
    if (reserved === undefined) return [];
    const text = `would live in schema ${reserved.schema}, which is not for tables of yours: name another with schemas or \`as\``;
    return [{ path: pathOf(table), text }];
  });
}

function historyOf({ writer }: Config, { mirror }: ConfiguredTable): ConfiguredTable['mirror'] {
  return { schema: mirror.schema + writer.historySuffix, table: mirror.table };
}

function pathOf({ source, entry }: ConfiguredTable): string[] {
  return ['sources', source, 'tables', entry];
}

/** Mirror tables and history views are relations alike: each needs a name of its own. */
function findMirrorConflicts(config: Config): TableProblem[] {
  const owners = new Map<string, { readonly table: ConfiguredTable; readonly what: string }>();
  return resolveAllTables(config).flatMap((table) => {
    const claims = [
      { what: 'mirror', relation: table.mirror },
      { what: 'history', relation: historyOf(config, table) },
    ];
    for (const { what, relation } of claims) {
      const key = JSON.stringify([relation.schema, relation.table]);
      const owner = owners.get(key);
      if (owner !== undefined) return [{ path: pathOf(table), text: describeConflict(what, relation, owner) }];
      owners.set(key, { table, what });
    }
    return [];
  });
}

function describeConflict(
  what: string,
  { schema, table }: ConfiguredTable['mirror'],
  owner: { readonly table: ConfiguredTable; readonly what: string },
): string {
  const other = `${owner.table.database}.${owner.table.table} of source ${owner.table.source}`;
  const same =
    what === owner.what
      ? `the same ${what} ${schema}.${table} as`
      : `as ${what} ${schema}.${table}, the ${owner.what} of`;
  return `has ${same} ${other}: give one of them another name with \`as\` or schemas`;
}
