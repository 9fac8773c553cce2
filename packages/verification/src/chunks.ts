import { quoteLiteral } from '@afterimage/replica';
import type { ComparedColumn, ComparedTable, SourceQueries } from './compared-table.js';
import { sourceLiteral } from './source-literal.js';

/** Rows of a table by their key: after one, up to and with another; null = no bound. Conditions for either server. */
export interface Chunk {
  readonly inSource: string;
  readonly inMirror: string;
  /** Not divided: the whole table. */
  readonly isWhole: boolean;
}

const wholeTable: Chunk = { inSource: 'TRUE', inMirror: 'TRUE', isWhole: true };

/**
 * A table in parts of `rows` rows by key, as far as both servers sort its key's columns alike: numbers, dates and bytes.
 * Other tables are one part.
 */
export async function* divideTable(
  source: SourceQueries,
  table: ComparedTable,
  rows: number,
): AsyncGenerator<Chunk, void, undefined> {
  const columns = sortedColumns(table);
  if (columns.length === 0) {
    yield wholeTable;
    return;
  }
  let after: readonly string[] | null = null;
  for (;;) {
    const until: readonly string[] | null = await findBound(source, { table, columns, after, rows });
    yield describeRange(columns, after, until);
    if (until === null) return;
    after = until;
  }
}

const sortedTargets = /^(?:smallint|integer|bigint|numeric|date|timestamp|timestamptz|bytea)\b/;
const sortedKinds = new Set(['integer', 'year', 'decimal', 'date', 'datetime', 'timestamp', 'binary']);

function sortedColumns({ key }: ComparedTable): ComparedColumn[] {
  const columns = key ?? [];
  const end = columns.findIndex(
    ({ knowledge, postgresType }) => !sortedKinds.has(knowledge.type.kind) || !sortedTargets.test(postgresType),
  );
  return columns.slice(0, end === -1 ? columns.length : end);
}

interface BoundSearch {
  readonly table: ComparedTable;
  readonly columns: readonly ComparedColumn[];
  readonly after: readonly string[] | null;
  readonly rows: number;
}

/** The key of the last row of the next part, or null when no full part is left. */
async function findBound(
  source: SourceQueries,
  { table, columns, after, rows }: BoundSearch,
): Promise<readonly string[] | null> {
  const names = columns.map(({ inSource }) => inSource).join(', ');
  const values = columns.map(({ value }) => value.read).join(', ');
  const condition = after === null ? 'TRUE' : compareInSource(columns, after, '>');
  const found = await source.query<(string | null)[][]>({
    sql: `SELECT ${values} FROM ${table.sourceTable} WHERE ${condition} ORDER BY ${names} LIMIT 1 OFFSET ${rows - 1}`,
    rowsAsArray: true,
  });
  const bound = found[0];
  // A date that PostgreSQL lacks has no place in its order; what follows is one part.
  return bound === undefined || !bound.every((value) => value !== null && value !== '-infinity')
    ? null
    : (bound as string[]);
}

function describeRange(
  columns: readonly ComparedColumn[],
  after: readonly string[] | null,
  until: readonly string[] | null,
): Chunk {
  const inSource = [
    ...(after === null ? [] : [compareInSource(columns, after, '>')]),
    ...(until === null ? [] : [compareInSource(columns, until, '<=')]),
  ];
  const inMirror = [
    ...(after === null ? [] : [compareInMirror(columns, after, '>')]),
    ...(until === null ? [] : [compareInMirror(columns, until, '<=')]),
  ];
  const join = (conditions: string[]): string => (conditions.length === 0 ? 'TRUE' : conditions.join(' AND '));
  return { inSource: join(inSource), inMirror: join(inMirror), isWhole: after === null && until === null };
}

/** Spelled out: MariaDB reads no range of an index for a comparison of row values, but does for that of its first column. */
function compareInSource(columns: readonly ComparedColumn[], bound: readonly string[], operator: '>' | '<='): string {
  const strict = operator === '>' ? '>' : '<';
  const literals = columns.map((column, i) => sourceLiteral(column, bound[i] ?? ''));
  const cases = columns.map(({ inSource }, last) => {
    const equal = columns.slice(0, last).map((column, i) => `${column.inSource} = ${literals[i]}`);
    const ordering = last === columns.length - 1 ? operator : strict;
    return `(${[...equal, `${inSource} ${ordering} ${literals[last]}`].join(' AND ')})`;
  });
  const [first] = columns;
  const loose = operator === '>' ? '>=' : '<=';
  return cases.length === 1
    ? (cases[0] ?? '')
    : `(${first?.inSource} ${loose} ${literals[0]} AND (${cases.join(' OR ')}))`;
}

function compareInMirror(columns: readonly ComparedColumn[], bound: readonly string[], operator: '>' | '<='): string {
  const names = columns.map(({ inMirror }) => inMirror).join(', ');
  const values = columns.map(({ postgresType }, i) => `${quoteLiteral(bound[i] ?? '')}::${postgresType}`).join(', ');
  return `(${names}) ${operator} (${values})`;
}
