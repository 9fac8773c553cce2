import { createHash } from 'node:crypto';

/** PostgreSQL cuts identifiers at 63 bytes without a word (manual, "Lexical Structure"); we never let it. */
const identifierBytes = 63;

/** Column names that every PostgreSQL table already has (manual, "System Columns"). */
const systemColumns = new Set(['tableoid', 'xmin', 'cmin', 'xmax', 'cmax', 'ctid']);

/** The one place where names enter SQL. Throws TypeError on a NUL, which no identifier can hold. */
export function quoteName(name: string): string {
  if (name.includes('\0')) throw new TypeError('an identifier cannot hold a NUL character');
  return `"${name.replaceAll('"', '""')}"`;
}

/** The one place where string literals enter SQL (DDL takes no parameters). */
export function quoteLiteral(text: string): string {
  if (text.includes('\0')) throw new TypeError('a literal cannot hold a NUL character');
  const quoted = `'${text.replaceAll("'", "''").replaceAll('\\', '\\\\')}'`;
  return text.includes('\\') ? ` E${quoted}` : quoted;
}

/**
 * `name` + `suffix` as an identifier of at most 63 bytes. A longer one keeps its beginning and the suffix, with
 * 8 hex digits of the full name's hash between them, so that two long names never meet.
 */
export function fitName(name: string, suffix = ''): string {
  const full = name + suffix;
  if (Buffer.byteLength(full) <= identifierBytes) return full;
  const mark = `~${createHash('sha256').update(name).digest('hex').slice(0, 8)}`;
  const room = identifierBytes - Buffer.byteLength(mark + suffix);
  let start = '';
  for (const character of name) {
    if (Buffer.byteLength(start + character) > room) break;
    start += character;
  }
  return start + mark + suffix;
}

/** A table in a schema. */
export interface TableName {
  readonly schema: string;
  readonly table: string;
}

export function quoteTable({ schema, table }: TableName): string {
  return `${quoteName(schema)}.${quoteName(table)}`;
}

/**
 * The columns that a history row has besides the source's. All but the first are names that MaxScale reserves
 * (it renames a source column `timestamp` to `timestamp_`), so source columns meet them only by accident.
 */
export const historyColumns = [
  'stream_ordinal',
  'domain',
  'server_id',
  'sequence',
  'event_number',
  'timestamp',
  'event_type',
] as const;

/** The first of `name`, `name_`, `name__`, … that is free once PostgreSQL's limit is kept. */
function firstFree(name: string, taken: ReadonlySet<string>): string {
  let wanted = name;
  let free = fitName(wanted);
  while (taken.has(free)) {
    wanted += '_';
    free = fitName(wanted);
  }
  return free;
}

/** Mirror column names for the source's columns, in order: as they are, but for system columns and length. */
export function mirrorColumnNames(names: readonly string[]): string[] {
  const taken = new Set(systemColumns);
  return names.map((name) => {
    const free = firstFree(name, taken);
    taken.add(free);
    return free;
  });
}

/** History column names for mirror column names, in order: clear of the columns that every history row has. */
export function historyColumnNames(mirrorNames: readonly string[]): string[] {
  const taken = new Set<string>([...historyColumns, ...systemColumns]);
  return mirrorNames.map((name) => {
    const free = firstFree(name, taken);
    taken.add(free);
    return free;
  });
}

/** Where the parts of one stream live. */
export interface ReplicaNames {
  readonly mirror: TableName;
  /** The view over all history segments. */
  readonly history: TableName;
  readonly asOf: TableName;
  readonly asOfGtid: TableName;
}

/**
 * Names for one table: mirror `shop.orders`, history view `shop_history.orders`, functions
 * `shop_history.orders_as_of(timestamptz)` and `shop_history.orders_as_of_gtid(text)`.
 */
export function replicaNames(mirror: TableName, historySuffix: string): ReplicaNames {
  const schema = fitName(mirror.schema, historySuffix);
  const table = fitName(mirror.table);
  return {
    mirror: { schema: fitName(mirror.schema), table },
    history: { schema, table },
    asOf: { schema, table: fitName(mirror.table, '_as_of') },
    asOfGtid: { schema, table: fitName(mirror.table, '_as_of_gtid') },
  };
}

/**
 * The enum type of a mirror's column: `shop.orders$status`. Where a name holds a `$` of its own, the hash of both keeps it
 * apart from that of another table and column.
 */
export function enumName({ mirror }: ReplicaNames, column: string): TableName {
  const name = `${mirror.table}$${column}`;
  const isPlain = !mirror.table.includes('$') && !column.includes('$');
  return {
    schema: mirror.schema,
    table: isPlain ? fitName(name) : fitName(name, `~${hashOf([mirror.table, column])}`),
  };
}

function hashOf(names: readonly string[]): string {
  return createHash('sha256').update(JSON.stringify(names)).digest('hex').slice(0, 8);
}

/** The history segment of a schema version: `orders$3`. No source table can be named so. */
export function segmentName(names: ReplicaNames, version: number): TableName {
  return { schema: names.history.schema, table: fitName(names.history.table, `$${version}`) };
}
