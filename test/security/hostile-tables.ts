import { deleted, inserted, updated, type FakeMaxScale } from '@afterimage/cdc-protocol/testing';
import { replicaNames, type TableName } from '@afterimage/replica';
import fc from 'fast-check';
import { escapeIdentifier, type Pool } from 'pg';
import { columnName, hostileTexts, isColumnName, isTableName, tableName, textValue } from './hostile-names.js';

/** A table whose names and values are all hostile. Its first column is a number: its key, if it has one. */
export interface HostileTable {
  readonly database: string;
  readonly table: string;
  readonly columns: readonly string[];
  readonly isKeyed: boolean;
  /** Mirror name by `as`, for what a table at the source cannot be called. */
  readonly as: TableName | null;
  /** Values of the other columns. */
  readonly rows: readonly (readonly (string | null)[])[];
}

type Row = readonly (string | null)[];

export const nameOf = ({ database, table }: HostileTable): string => `${database}.${table}`;

/** Fits the configuration: no dot, no schema that is reserved. */
const relationName = columnName.filter(
  (name) => !name.includes('.') && !/^(?:pg_|information_schema$|afterimage$)/.test(name),
);

const hostileTable: fc.Arbitrary<HostileTable> = fc
  .uniqueArray(columnName, { minLength: 3, maxLength: 8 })
  .chain((columns) =>
    fc.record({
      database: tableName.filter((name) => !/^(?:pg_|information_schema$|afterimage$)/.test(name)),
      table: tableName,
      columns: fc.constant(columns),
      isKeyed: fc.boolean(),
      as: fc.option(fc.record({ schema: relationName, table: relationName })),
      rows: fc.array(fc.tuple(...columns.slice(1).map(() => textValue)), { minLength: 3, maxLength: 4 }),
    }),
  );

const mirrorOf = ({ database, table, as }: HostileTable): TableName => as ?? { schema: database, table };

/** Random tables, each with a mirror of its own. */
export const hostileTables = fc
  .uniqueArray(hostileTable, {
    minLength: 8,
    maxLength: 8,
    selector: (table) => JSON.stringify(mirrorOf(table)),
  })
  .filter((tables) => new Set(tables.map(nameOf)).size === tables.length);

/** Every hostile text once as the name of a column and once as a value; every one that can be as database, table and mirror. */
export function dictionaryTables(): HostileTable[] {
  const names = hostileTexts.filter(isTableName);
  const columns = hostileTexts.filter(isColumnName);
  const relations = columns.filter((name) => !name.includes('.'));
  const perTable = 6;
  const count = Math.ceil(columns.length / perTable);
  return Array.from({ length: count }, (_, i): HostileTable => {
    const own = columns.slice(i * perTable, (i + 1) * perTable);
    const values = hostileTexts.slice(i * perTable, (i + 1) * perTable);
    const pick = (list: readonly string[], at: number): string => list[at % list.length] ?? '';
    const as = { schema: `${pick(relations, i * 3)}_${i}`, table: pick(relations, i * 3 + 1) };
    return {
      database: pick(names, i * 2),
      table: pick(names, i * 2 + 1),
      columns: [`${pick(columns, i).slice(0, 20)} key ${i}`, ...own],
      isKeyed: i % 2 === 0,
      as: i % 3 === 0 ? as : null,
      rows: [
        values.slice(0, own.length),
        own.map(() => null),
        own.map((__, at) => pick(values, at + 1)),
        values.slice(0, own.length),
      ],
    };
  });
}

/** What the source's tables entry of the configuration says about it. */
export function tableSettings({ columns, isKeyed, as }: HostileTable): object {
  return {
    ...(isKeyed ? { key: columns.slice(0, 1) } : {}),
    ...(as === null ? {} : { as: `${as.schema}.${as.table}` }),
  };
}

/** Inserts all rows, then changes the second into the first and removes the last. Gives the number of events. */
export function playTable(server: FakeMaxScale, table: HostileTable): number {
  const scripted = server.table(table.database, table.table);
  scripted.create(table.columns.map((name, i) => ({ name, realType: i === 0 ? 'int' : 'longtext' })));
  const values = (id: number, row: Row) =>
    Object.fromEntries(table.columns.map((name, i) => [name, i === 0 ? id : (row[i - 1] ?? null)]));
  scripted.append(inserted(...table.rows.map((row, i) => values(i + 1, row))));
  const [first = [], second = []] = table.rows;
  const last = table.rows.at(-1) ?? [];
  scripted.append([...updated(values(2, second), values(2, first)), ...deleted(values(table.rows.length, last))]);
  return table.rows.length + 3;
}

/** The rows as they must be in the end, and every row image of the history; the first value is the number. */
export function expectedRows({ rows }: HostileTable): { mirror: Row[]; history: Row[] } {
  const numbered = rows.map((row, i): Row => [String(i + 1), ...row]);
  const [first = [], second = []] = numbered;
  const changed = ['2', ...first.slice(1)];
  return {
    mirror: [first, changed, ...numbered.slice(2, -1)],
    history: [...numbered, second, changed, numbered.at(-1) ?? []],
  };
}

export interface StoredTable {
  /** Mirror names of the columns, in order. */
  readonly columns: readonly string[];
  readonly mirror: Row[];
  readonly history: Row[];
  readonly asOf: Row[];
  readonly asOfGtid: Row[];
}

/** What PostgreSQL holds of the table, read with the test's own quoting. */
export async function readStored(pool: Pool, table: HostileTable): Promise<StoredTable> {
  const { rows: versions } = await pool.query<{ columns: { mirror: string; history: string }[] }>(
    `SELECT v.columns FROM afterimage.schema_versions v JOIN afterimage.streams s ON s.id = v.stream_id
     WHERE s.database_name = $1 AND s.table_name = $2`,
    [table.database, table.table],
  );
  const columns = versions[0]?.columns ?? [];
  const names = replicaNames(mirrorOf(table), '_history');
  const quote = (name: TableName) => `${escapeIdentifier(name.schema)}.${escapeIdentifier(name.table)}`;
  const read = async (from: string, list: readonly string[], order: string): Promise<Row[]> => {
    const values = list.map((name) => `q.${escapeIdentifier(name)}::text`).join(', ');
    const text = `SELECT ${values} FROM ${from} AS q ORDER BY ${order}`;
    return (await pool.query<(string | null)[]>({ text, rowMode: 'array' })).rows;
  };
  const mirrorColumns = columns.map(({ mirror }) => mirror);
  const historyColumns = columns.map(({ history }) => history);
  return {
    columns: mirrorColumns,
    mirror: await read(quote(names.mirror), mirrorColumns, '1'),
    history: await read(quote(names.history), historyColumns, 'q.stream_ordinal'),
    asOf: await read(`${quote(names.asOf)}('infinity')`, mirrorColumns, '1'),
    asOfGtid: await read(`${quote(names.asOfGtid)}('0-1-4294967295')`, mirrorColumns, '1'),
  };
}
