import { type ColumnType, type Queryable, quoteSource, type TableKnowledge } from '@afterimage/mariadb';

/** A part of a table: `where` is SQL, empty for all of it, with its parameters. */
export interface KeyRange {
  readonly where: string;
  readonly values: readonly unknown[];
}

/** Parts that together are the whole table, each row in one of them; null at the end. Any number of readers may ask at once. */
export type RangeSource = () => Promise<KeyRange | null>;

export interface RangeOptions {
  readonly connection: Queryable;
  readonly knowledge: TableKnowledge;
  readonly estimatedRows: bigint;
  /** About how many rows a part has. */
  readonly rangeRows: number;
}

const wholeTable: KeyRange = { where: '', values: [] };
const mostRanges = 4_096n;

/**
 * Divides a table by its key. The bounds are values like any others: the parts cover the whole table whatever the bounds
 * are, as long as they rise, so they need not be read in the view in which the rows are.
 *
 * An integer key is divided evenly between its ends, whatever gaps it has. For text and composite keys MariaDB is asked for
 * every n-th key. Types whose literals do not order as the column does (ENUM, SET, FLOAT, DECIMAL …) are not divided.
 */
export async function divideByKey(options: RangeOptions): Promise<RangeSource> {
  const index = findKeyIndex(options.knowledge);
  if (index === null || options.estimatedRows <= BigInt(options.rangeRows)) return listRanges([wholeTable]);
  const [only, ...others] = index.columns;
  if (only?.type.kind === 'integer' && others.length === 0) return divideIntegers(options, index);
  return serialize(walkKeys(options, index));
}

interface KeyIndex {
  /** For FORCE INDEX: the planner may take a part for so large that it reads the whole table. */
  readonly name: string;
  readonly columns: readonly { readonly name: string; readonly type: ColumnType }[];
}

/** The index to read by, or null: the table has no key that divides it. */
export function findKeyIndex({ key, indexes, columns }: TableKnowledge): KeyIndex | null {
  if (key === null) return null;
  const index = indexes.find(
    ({ isUnique, parts, method }) =>
      isUnique && method === 'BTREE' && parts.map(({ column }) => column).join('\0') === key.columns.join('\0'),
  );
  const known = index?.parts.map(({ column, prefix, descending }) => {
    const found = columns.find(({ name }) => name === column);
    return found !== undefined && prefix === null && !descending && isOrdered(found.type) ? found : undefined;
  });
  const parts = known?.flatMap((column) => (column === undefined ? [] : [column])) ?? [];
  return index === undefined || parts.length === 0 || parts.length < index.parts.length
    ? null
    : { name: index.name, columns: parts };
}

function isOrdered({ kind }: ColumnType): boolean {
  return ['integer', 'text', 'binary', 'date', 'datetime', 'timestamp', 'uuid'].includes(kind);
}

export const sourceTable = ({ database, table }: Pick<TableKnowledge, 'database' | 'table'>): string =>
  `${quoteSource(database)}.${quoteSource(table)}`;

function listRanges(ranges: readonly KeyRange[]): RangeSource {
  const rest = [...ranges];
  return async () => rest.shift() ?? null;
}

async function divideIntegers(
  { connection, knowledge, estimatedRows, rangeRows }: RangeOptions,
  { columns }: KeyIndex,
): Promise<RangeSource> {
  const name = quoteSource(columns[0]?.name ?? '');
  const [row] = await connection.query<{ low: string | null; high: string | null }[]>(
    `SELECT CAST(MIN(${name}) AS CHAR) AS low, CAST(MAX(${name}) AS CHAR) AS high FROM ${sourceTable(knowledge)}`,
  );
  if (row === undefined || row.low === null || row.high === null) return listRanges([wholeTable]);
  const bounds = divideEvenly(BigInt(row.low), BigInt(row.high), estimatedRows / BigInt(rangeRows) + 1n);
  const starts = [null, ...bounds];
  return listRanges(
    starts.map((from, i) => {
      const to = bounds[i] ?? null;
      const conditions = [
        ...(from === null ? [] : [`${name} >= ${from}`]),
        ...(to === null ? [] : [`${name} < ${to}`]),
      ];
      return { where: conditions.join(' AND '), values: [] };
    }),
  );
}

/** The inner bounds of `count` parts of low … high. */
export function divideEvenly(low: bigint, high: bigint, count: bigint): bigint[] {
  const most = count < mostRanges ? count : mostRanges;
  const step = (high - low) / most + 1n;
  const bounds: bigint[] = [];
  for (let bound = low + step; bound <= high; bound += step) bounds.push(bound);
  return bounds;
}

async function* walkKeys(
  { connection, knowledge, rangeRows }: RangeOptions,
  index: KeyIndex,
): AsyncGenerator<KeyRange, undefined> {
  const names = index.columns.map(({ name }) => quoteSource(name));
  const list = names.join(', ');
  let after: readonly unknown[] | null = null;
  for (;;) {
    const low: KeyRange = after === null ? wholeTable : compareKeys(names, '>', after);
    const where: string = low.where === '' ? '' : `WHERE ${low.where}`;
    const [bound] = await connection.query<unknown[][]>(
      {
        rowsAsArray: true,
        sql: `SELECT ${list} FROM ${sourceTable(knowledge)} FORCE INDEX (${quoteSource(index.name)}) ${where} ORDER BY ${list} LIMIT 1 OFFSET ${rangeRows}`,
      } as unknown as string,
      low.values,
    );
    if (bound === undefined) {
      yield low;
      return undefined;
    }
    const high = compareKeys(names, '<=', bound);
    yield {
      where: [low.where, high.where]
        .filter((text) => text !== '')
        .map((text) => `(${text})`)
        .join(' AND '),
      values: [...low.values, ...high.values],
    };
    after = bound;
  }
}

/** `(a, b) > (1, 2)` written so that an index finds it: `a > 1 OR (a = 1 AND b > 2)`. */
function compareKeys(names: readonly string[], operator: '>' | '<=', bound: readonly unknown[]): KeyRange {
  const strict = operator === '>' ? '>' : '<';
  const values: unknown[] = [];
  const terms = names.map((name, i) => {
    const isLast = i === names.length - 1;
    const equal = names.slice(0, i).map((former, j) => {
      values.push(bound[j]);
      return `${former} = ?`;
    });
    values.push(bound[i]);
    return [...equal, `${name} ${isLast ? operator : strict} ?`].join(' AND ');
  });
  return { where: terms.map((term) => `(${term})`).join(' OR '), values };
}

/** One question at a time, in the order in which they come. */
function serialize(ranges: AsyncGenerator<KeyRange, undefined>): RangeSource {
  let last: Promise<unknown> = Promise.resolve();
  return () => {
    const next = last.then(async () => {
      const { value } = await ranges.next();
      return value ?? null;
    });
    last = next.catch(() => undefined);
    return next;
  };
}
