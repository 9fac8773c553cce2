import type { StoredColumn } from '../control/tables.js';
import { type ReplicaNames, type TableName, fitName, quoteLiteral, quoteName, quoteTable } from '../names.js';
import { viewExpression } from '../schema/cast.js';
import type { Replaceable } from './replaceable.js';
import { historyRowColumns, presentOperations } from './segment.js';

/** A schema version as the history view needs it. */
export interface VersionColumns {
  readonly version: number;
  /** Quoted, schema-qualified. */
  readonly segment: string;
  readonly columns: readonly StoredColumn[];
}

interface ViewColumn {
  readonly name: string;
  readonly origin: string;
  readonly postgresType: string;
}

/**
 * The view's columns: those of the newest version in its order and types, then those that were dropped, under
 * the last name and type they had. A dropped column whose name is in use again is shown as `name$<version it came with>`,
 * with another `$` for each of that name too.
 */
function viewColumns(versions: readonly VersionColumns[]): ViewColumn[] {
  const newest = versions.at(-1)?.columns ?? [];
  const columns = newest.map((c): ViewColumn => ({ ...c, name: c.history }));
  const taken = new Set(columns.map((column) => column.name));
  const seen = new Set(columns.map((column) => column.origin));
  for (const version of versions.toReversed()) {
    for (const column of version.columns) {
      if (seen.has(column.origin)) continue;
      seen.add(column.origin);
      const since = column.origin.slice(column.origin.lastIndexOf('@') + 1);
      let name = column.history;
      for (let suffix = `$${since}`; taken.has(name); suffix += '$') name = fitName(column.history, suffix);
      taken.add(name);
      columns.push({ ...column, name });
    }
  }
  return columns;
}

/**
 * The view over all segments under the newest types; a column that a segment lacks is NULL there. `timeZone` is that of
 * the MaxScale host, for a column that was a DATETIME once and is a TIMESTAMP now, or the reverse.
 */
export function historyView(names: ReplicaNames, versions: readonly VersionColumns[], timeZone: string): Replaceable {
  const name = quoteTable(names.history);
  return { kind: 'VIEW', name, definition: `VIEW ${name} AS ${historyQuery(versions, timeZone)}` };
}

function historyQuery(versions: readonly VersionColumns[], timeZone: string): string {
  const columns = viewColumns(versions);
  const meta = historyRowColumns.map(([name]) => quoteName(name)).join(', ');
  const segments = new Map(versions.map((version, i) => [version.segment, i]));
  return [...segments]
    .map(([segment, i]) => {
      const [own, ...later] = versions.slice(i).map((version) => columnsByOrigin(version));
      const values = columns.map(({ name, origin, postgresType }) => {
        const column = own?.get(origin);
        const lineage = later.flatMap((version) => version.get(origin) ?? []);
        const value =
          column === undefined ? null : convertThrough(quoteName(column.history), [column, ...lineage], timeZone);
        return `${value ?? fillThrough(lineage, timeZone) ?? `NULL::${postgresType}`} AS ${quoteName(name)}`;
      });
      return `SELECT ${[meta, ...values].join(', ')} FROM ${segment}`;
    })
    .join('\nUNION ALL\n');
}

function columnsByOrigin({ columns }: VersionColumns): Map<string, StoredColumn> {
  return new Map(columns.map((column) => [column.origin, column]));
}

/** Through every type the column has had since, as the mirror's values went: 1.6 that was an integer once is 2 for ever. */
function convertThrough(ref: string, lineage: readonly StoredColumn[], timeZone: string): string {
  return lineage.slice(1).reduce((value, to, i) => viewExpression(value, lineage[i] ?? to, to, timeZone), ref);
}

/** A column that came later has, in rows from before, what MariaDB filled it with: the mirror's rows got the same. */
function fillThrough(lineage: readonly StoredColumn[], timeZone: string): string | null {
  const [first] = lineage;
  if (first?.fill === undefined) return null;
  return convertThrough(`${quoteLiteral(first.fill)}::${first.mappedType}`, lineage, timeZone);
}

export interface AsOfOptions {
  readonly names: ReplicaNames;
  readonly columns: readonly StoredColumn[];
  /** Mirror names of the key columns; null = rows are matched whole. */
  readonly key: readonly string[] | null;
}

/**
 * The rows of the table as they were, given a condition on history rows `h`: the last event of each key decides;
 * without a key, each row is there as often as it came more than it went. Rows from before a `truncate` are gone.
 */
export function asOfQuery({ names, columns, key }: AsOfOptions, condition: (row: string) => string): string {
  const history = quoteTable(names.history);
  const values = columns.map((c) => `${quoteName(c.history)} AS ${quoteName(c.mirror)}`).join(', ');
  const historyNames = columns.map((c) => quoteName(c.history)).join(', ');
  const mark = `(SELECT coalesce(max(t.stream_ordinal), 0) FROM ${history} t WHERE t.event_type = 'truncate' AND ${condition('t')})`;
  const rows = `FROM ${history} h WHERE ${condition('h')} AND h.event_type <> 'truncate' AND h.stream_ordinal > ${mark}`;
  if (key !== null) {
    const wanted = new Set(key);
    const keyList = columns
      .filter((c) => wanted.has(c.mirror))
      .map((c) => quoteName(c.history))
      .join(', ');
    return (
      `SELECT ${values} FROM (SELECT DISTINCT ON (${keyList}) h.* ${rows} ORDER BY ${keyList}, h.stream_ordinal DESC, h.event_number DESC) AS newest ` +
      `WHERE event_type IN (${presentOperations})`
    );
  }
  const sign = `CASE WHEN h.event_type IN (${presentOperations}) THEN 1 ELSE -1 END`;
  return (
    // A subquery hides the column that the function gives: one of the source's may have its name.
    `SELECT ${values} FROM (SELECT ${historyNames}, sum(${sign}) AS stream_ordinal ${rows} GROUP BY ${historyNames}) AS counted, ` +
    `LATERAL (SELECT FROM generate_series(1, counted.stream_ordinal)) AS copies`
  );
}

const byTime = (row: string) => `${row}."timestamp" <= $1`;

/** Up to and with the last event that belongs to one of the transactions, in stream order. */
function byGtid(history: string): (row: string) => string {
  const part = (n: number) => `split_part(g.gtid, '-', ${n})::numeric`;
  const last =
    `(SELECT coalesce(max(e.stream_ordinal), 0) FROM regexp_split_to_table($1, '\\s*,\\s*') AS g(gtid) ` +
    `JOIN ${history} e ON e.domain = ${part(1)} AND e.sequence <= ${part(3)})`;
  return (row) => `${row}.stream_ordinal <= ${last}`;
}

/** The as-of functions under the newest columns. */
export function asOfFunctions(options: AsOfOptions): Replaceable[] {
  const { names, columns } = options;
  const result = columns.map((c) => `${quoteName(c.mirror)} ${c.postgresType}`).join(', ');
  const define = (table: TableName, argument: string, query: string): Replaceable => {
    const name = `${quoteTable(table)}(${argument})`;
    const definition = `FUNCTION ${name} RETURNS TABLE (${result}) LANGUAGE sql STABLE AS ${quoteLiteral(query)}`;
    return { kind: 'FUNCTION', name, definition };
  };
  return [
    define(names.asOf, 'timestamptz', asOfQuery(options, byTime)),
    define(names.asOfGtid, 'text', asOfQuery(options, byGtid(quoteTable(names.history)))),
  ];
}
