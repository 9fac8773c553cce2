import { readColumnType } from './column-type.js';
import { findJsonColumns } from './json-columns.js';
import { chooseKey, groupIndexes, type IndexColumn } from './keys.js';
import type { Queryable } from './queryable.js';
import { unquoteLiteral } from './quoted-text.js';
import { toStreamName } from './stream-name.js';
import type { ColumnDefault, ColumnKnowledge, GeneratedColumn, TableKnowledge } from './table-knowledge.js';

/**
 * What MariaDB (10.5 or later) knows about one table; null when there is none of that name, when it is a view, or when
 * the user may not see it.
 *
 * Least privilege: `GRANT SELECT ON database.* TO …`, or SELECT on the tables alone. Tables for which the user has no
 * privilege are invisible to it, not an error. Nothing else is needed: no REPLICATION privilege, no SHOW VIEW.
 *
 * Rejects with the connector's SqlError when the connection fails. A DDL statement that runs meanwhile may show in part.
 */
export async function readTableKnowledge(
  connection: Queryable,
  database: string,
  table: string,
): Promise<TableKnowledge | null> {
  const [found] = await readKnowledge(connection, database, table);
  return found ?? null;
}

/**
 * The same for all tables of a database, by name, in three queries, and one more for each table that may have a column
 * declared JSON.
 */
export async function readDatabaseKnowledge(connection: Queryable, database: string): Promise<TableKnowledge[]> {
  return readKnowledge(connection, database, undefined);
}

interface TableRow {
  readonly name: string;
  readonly type: string;
  readonly engine: string | null;
  readonly comment: string;
}

interface ColumnRow {
  readonly tableName: string;
  readonly name: string;
  readonly columnDefault: string | null;
  readonly isNullable: 'YES' | 'NO';
  readonly dataType: string;
  readonly columnType: string;
  readonly characterLength: number | bigint | string | null;
  readonly numericPrecision: number | bigint | string | null;
  readonly numericScale: number | bigint | string | null;
  readonly datetimePrecision: number | bigint | string | null;
  readonly charset: string | null;
  readonly collation: string | null;
  readonly extra: string;
  readonly comment: string;
  readonly generation: string | null;
}

interface StatisticsRow {
  readonly tableName: string;
  readonly name: string;
  readonly nonUnique: number | bigint | string;
  readonly method: string;
  readonly columnName: string;
  readonly prefix: number | bigint | string | null;
  readonly direction: 'A' | 'D' | null;
}

/*
 * One query per view, not a join: a constant database and table is what MariaDB turns into reading one folder, or
 * opening one table (https://mariadb.com/kb/en/optimizing-for-information_schema-queries/).
 */

const selectTables = `
  SELECT TABLE_NAME AS name, TABLE_TYPE AS type, ENGINE AS engine, TABLE_COMMENT AS comment
  FROM information_schema.TABLES
  WHERE TABLE_SCHEMA = ? AND TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED')`;

const selectColumns = `
  SELECT TABLE_NAME AS tableName, COLUMN_NAME AS name, COLUMN_DEFAULT AS columnDefault, IS_NULLABLE AS isNullable,
         DATA_TYPE AS dataType, COLUMN_TYPE AS columnType, CHARACTER_MAXIMUM_LENGTH AS characterLength,
         NUMERIC_PRECISION AS numericPrecision, NUMERIC_SCALE AS numericScale, DATETIME_PRECISION AS datetimePrecision,
         CHARACTER_SET_NAME AS charset, COLLATION_NAME AS collation, EXTRA AS extra, COLUMN_COMMENT AS comment,
         GENERATION_EXPRESSION AS generation
  FROM information_schema.COLUMNS
  WHERE TABLE_SCHEMA = ?`;

const selectStatistics = `
  SELECT TABLE_NAME AS tableName, INDEX_NAME AS name, NON_UNIQUE AS nonUnique, INDEX_TYPE AS method,
         COLUMN_NAME AS columnName, SUB_PART AS prefix, COLLATION AS direction
  FROM information_schema.STATISTICS
  WHERE TABLE_SCHEMA = ?`;

async function readKnowledge(
  connection: Queryable,
  database: string,
  table: string | undefined,
): Promise<TableKnowledge[]> {
  const query = <Row>(sql: string, order: string): Promise<Row[]> => {
    const [condition, values] = table === undefined ? ['', [database]] : [' AND TABLE_NAME = ?', [database, table]];
    return connection.query<Row[]>(`${sql}${condition} ORDER BY ${order}`, values);
  };
  const [tables, columns, statistics] = await Promise.all([
    query<TableRow>(selectTables, 'TABLE_NAME'),
    query<ColumnRow>(selectColumns, 'TABLE_NAME, ORDINAL_POSITION'),
    query<StatisticsRow>(selectStatistics, 'TABLE_NAME, INDEX_NAME, SEQ_IN_INDEX'),
  ]);
  const columnsOf = groupByTable(columns);
  const statisticsOf = groupByTable(statistics);
  const jsonColumnsOf = await readJsonColumns(connection, database, columns);
  return tables.map((row) => {
    const known = (columnsOf.get(row.name) ?? []).map((column) =>
      describeColumn(column, jsonColumnsOf.get(row.name)?.has(column.name) ?? false),
    );
    const indexes = groupIndexes((statisticsOf.get(row.name) ?? []).map(toIndexColumn));
    return {
      database,
      table: row.name,
      comment: row.comment,
      engine: row.engine,
      isSystemVersioned: row.type === 'SYSTEM VERSIONED',
      columns: known,
      key: chooseKey(indexes, known),
      indexes,
    };
  });
}

/** By table, of those tables that have a column which may be one: what JSON becomes has this collation. */
async function readJsonColumns(
  connection: Queryable,
  database: string,
  columns: readonly ColumnRow[],
): Promise<ReadonlyMap<string, ReadonlySet<string>>> {
  const candidates = columns.filter(
    ({ dataType, collation }) => dataType === 'longtext' && collation === 'utf8mb4_bin',
  );
  const found = new Map<string, ReadonlySet<string>>();
  for (const table of new Set(candidates.map(({ tableName }) => tableName))) {
    found.set(table, await findJsonColumns(connection, database, table));
  }
  return found;
}

function groupByTable<Row extends { readonly tableName: string }>(rows: readonly Row[]): Map<string, Row[]> {
  const groups = new Map<string, Row[]>();
  for (const row of rows) {
    const group = groups.get(row.tableName);
    if (group === undefined) groups.set(row.tableName, [row]);
    else group.push(row);
  }
  return groups;
}

function toIndexColumn({ name, nonUnique, method, columnName, prefix, direction }: StatisticsRow): IndexColumn {
  const part = { column: columnName, prefix: toNumber(prefix), descending: direction === 'D' };
  return { name, isUnique: Number(nonUnique) === 0, method, part };
}

function describeColumn(row: ColumnRow, isJson: boolean): ColumnKnowledge {
  const { name, extra, comment } = row;
  const [, onUpdate = null] = /\bon update (\S+)/i.exec(extra) ?? [];
  return {
    name,
    streamName: toStreamName(name),
    definition: row.columnType.replace(/\/\*M?!\d* ?(.*?) ?\*\//g, '$1'),
    type: readColumnType({
      dataType: row.dataType,
      columnType: row.columnType,
      characterLength: toNumber(row.characterLength),
      numericPrecision: toNumber(row.numericPrecision),
      numericScale: toNumber(row.numericScale),
      datetimePrecision: toNumber(row.datetimePrecision),
      charset: row.charset,
      collation: row.collation,
      isJson,
    }),
    isNullable: row.isNullable === 'YES',
    default: /binary|blob/.test(row.dataType) ? describeBytes(row.columnDefault) : describeDefault(row.columnDefault),
    generated: describeGenerated(row),
    isInvisible: /\bINVISIBLE\b/.test(extra),
    isAutoIncrement: /\bauto_increment\b/.test(extra),
    onUpdate,
    comment,
  };
}

/** The server gives a default as SQL; none at all as NULL. */
function describeDefault(sql: string | null): ColumnDefault {
  if (sql === null) return { kind: 'none' };
  if (sql.toUpperCase() === 'NULL') return { kind: 'null' };
  const text = /^-?[\d.]+(?:e[-+]?\d+)?$/i.test(sql) ? sql : unquoteLiteral(sql);
  return text === null ? { kind: 'expression', sql } : { kind: 'value', text };
}

/** Bytes that are no UTF-8 come as question marks. */
function describeBytes(sql: string | null): ColumnDefault {
  const [, hex] = /^x'([0-9a-f]*)'$/i.exec(sql ?? '') ?? [];
  if (hex !== undefined) return { kind: 'bytes', hex: hex.toLowerCase() };
  const given = describeDefault(sql);
  if (given.kind !== 'value') return given;
  if (/[?\uFFFD]/.test(given.text)) return { kind: 'expression', sql: sql ?? '' };
  return { kind: 'bytes', hex: Buffer.from(given.text, 'utf8').toString('hex') };
}

function describeGenerated({ generation, extra }: ColumnRow): GeneratedColumn | null {
  if (generation === null || generation === '') return null;
  return { storage: /\bVIRTUAL\b/.test(extra) ? 'virtual' : 'stored', expression: generation };
}

function toNumber(value: number | bigint | string | null): number | null {
  return value === null ? null : Number(value);
}
