import { createHash } from 'node:crypto';
import type { Pool } from 'pg';
import { type Batch, eventLines } from '@afterimage/change-events';
import {
  type ColumnKnowledge as SourceColumn,
  type Queryable,
  quoteSource,
  selectShape,
  sourceValue,
  type TableKnowledge,
  tableShape,
} from '@afterimage/mariadb';
import { isRowRefused } from '../errors.js';
import type { Followed } from '../schema/origins.js';
import type { TargetColumn } from '../schema/target.js';
import type { TableSettings } from '../settings.js';
import { prepareEvents } from '../types/index.js';
import type { ReadySchema } from './context.js';
import { eventsQuery, hasLookups, lookupCondition } from './events-query.js';
import { splitEvents } from './event-prefix.js';
import { askSource } from './source.js';

/** What MariaDB says now of rows that a batch inserts or updates. */
export interface Lookups {
  /** The schema version they were looked up under. */
  readonly version: number;
  /** JSON array of objects: `ci`, the text of column i, for the key and the columns that are looked up. */
  readonly found: string;
}

export interface LookupOptions {
  readonly pool: Pool;
  readonly source: Queryable;
  readonly batch: Batch;
  readonly ready: ReadySchema;
  readonly settings: TableSettings;
}

/** Whether the schema has columns whose values are read from MariaDB. */
export function needsLookups({ version, target }: ReadySchema): boolean {
  return hasLookups({ version, columns: target.columns });
}

/** What came of it; `other-table` when the table is not any more what the schema version knows. */
type LookupOutcome = { readonly kind: 'found'; readonly lookups: Lookups } | { readonly kind: 'other-table' };

/**
 * Reads the rows that a batch inserts or updates from MariaDB, by key, in one query. They are what they are now: later
 * changes may be in them already, and their events come. A row that is gone is not found, and the value of the stream
 * stands. `now` tells under which names the columns are to be read, by default those of the schema version; where MariaDB
 * has others meanwhile nothing is taken. Rejects with SourceUnavailable when MariaDB cannot be asked.
 */
export async function lookUp(options: LookupOptions, now?: KnownNow): Promise<LookupOutcome> {
  const { version, knowledge } = options.ready.version;
  const names = now ?? { id: knowledge?.id ?? '', table: knowledge?.table ?? null, columns: null };
  const { keys, newest } = await readKeys(options);
  if (keys.length === 0) return { kind: 'found', lookups: { version, found: '[]' } };
  if (newest !== names.id) return { kind: 'other-table' };
  const found = await readRows(options, keys, names);
  return found === null
    ? { kind: 'other-table' }
    : { kind: 'found', lookups: { version, found: JSON.stringify(found) } };
}

/** A reading of the table later than the schema version's. */
export interface KnownNow {
  readonly id: string;
  readonly table: TableKnowledge | null;
  /** What the columns of the version's knowledge are in it; null: the same. */
  readonly columns: Followed | null;
}

/** By their names in the stream. */
export function namesOfLookups({ target }: ReadySchema): string[] {
  return target.columns.flatMap(({ name, lookup }) => (lookup ? [name] : []));
}

/** The columns, by their names in the stream, of which it cannot be told what they are now. */
export function findLost(ready: ReadySchema, columns: Followed): string[] {
  const asked = [...keyColumns(ready), ...columnsOf(ready, ({ lookup }) => lookup)];
  return asked.flatMap(({ column: { known, name } }) =>
    known === null || columns.get(known.name) === undefined ? [name] : [],
  );
}

interface IndexedColumn {
  readonly column: TargetColumn;
  readonly place: number;
  readonly postgresType: string;
}

function columnsOf({ target, version }: ReadySchema, wanted: (column: TargetColumn) => boolean): IndexedColumn[] {
  return target.columns.flatMap((column, place) =>
    wanted(column) ? [{ column, place, postgresType: version.columns[place]?.postgresType ?? 'text' }] : [],
  );
}

const keyColumns = (ready: ReadySchema): IndexedColumn[] =>
  columnsOf(ready, ({ mirror }) => ready.version.key?.includes(mirror) === true);

interface RowKeys {
  readonly keys: (string | null)[][];
  /** The newest reading of the table that is recorded. */
  readonly newest: string;
}

const noKeys: RowKeys = { keys: [], newest: '' };

/** The keys of inserted and updated rows with a value to look up, as PostgreSQL reads them from the lines. */
async function readKeys({ pool, batch, ready }: LookupOptions): Promise<RowKeys> {
  const lines = eventLines(batch).filter((line) => /"event_type": "(?:insert|update_after)"/.test(line.slice(0, 250)));
  if (lines.length === 0) return noKeys;
  const keys = keyColumns(ready);
  // The key first, so that its values are v0, v1, …
  const taken = [...keys, ...columnsOf(ready, ({ lookup }) => lookup)];
  const version = {
    ...ready.version,
    columns: taken.flatMap(({ place }) => ready.version.columns.slice(place, place + 1)),
  };
  try {
    const { rows, arrays } = splitEvents(lines, batch.sequenceBases);
    const { json, nul } = prepareEvents(rows);
    const columns = taken.map(({ column }) => column);
    const events = eventsQuery({ version, columns, nul: nul !== null });
    const key = keys.map((_, i) => `v${i}::text`).join(', ');
    const values = [json, `{${lines.map((_, i) => i).join(',')}}`, ...arrays, ...(nul === null ? [] : [nul])];
    const { source, database, table } = batch.stream;
    const $ = (n: number): string => `$${values.length + n}::text`;
    const newest =
      `(SELECT max(id)::text FROM afterimage.table_knowledge ` +
      `WHERE source = ${$(1)} AND database_name = ${$(2)} AND table_name = ${$(3)})`;
    const text = `SELECT DISTINCT ${newest}, ${key} FROM (${events}) AS e WHERE ${lookupCondition(columns)}`;
    const name = `keys_${createHash('sha256').update(text).digest('hex').slice(0, 24)}`;
    const asked = [...values, source, database, table];
    const { rows: found } = await pool.query<(string | null)[]>({ name, text, values: asked, rowMode: 'array' });
    return { newest: found[0]?.[0] ?? '', keys: found.map((row) => row.slice(1)).filter((row) => !row.includes(null)) };
  } catch (error) {
    // A line that PostgreSQL refuses is for who applies the batch.
    if (isRowRefused(error)) return noKeys;
    throw error;
  }
}

type FoundRow = Readonly<Record<string, string | null>>;

/** Null when the table has other columns than `now` says. */
async function readRows(
  options: LookupOptions,
  keys: readonly (readonly (string | null)[])[],
  now: KnownNow,
): Promise<FoundRow[] | null> {
  const { source, batch, ready, settings } = options;
  const nowOf = ({ known, name }: TargetColumn): SourceColumn => {
    const column = known === null || now.columns === null ? known : (now.columns.get(known.name) ?? null);
    if (column === null) throw new Error(`column ${name} is looked up, but not known`);
    return column;
  };
  const keyed = keyColumns(ready);
  const asked = [...keyed, ...columnsOf(ready, ({ lookup }) => lookup)];
  const reads = asked.map(({ column, postgresType }) => sourceValue(nowOf(column), postgresType, settings.types).read);
  const conditions = keyCondition(
    keyed.map(({ column }) => nowOf(column)),
    keys,
  );
  const { database, table } = batch.stream;
  const sql = `SELECT ${[selectShape, ...reads].join(', ')} FROM ${quoteSource(database)}.${quoteSource(table)} WHERE ${conditions.sql}`;
  const values = [database, table, ...conditions.values];
  const rows = await askSource(() => source.query<unknown[][]>({ sql, rowsAsArray: true }, values));
  const shape = tableShape({ columns: now.table?.columns ?? [] });
  // Where a column is not there any more others may be, too; where the table is gone or a value is too long, none can be had.
  if (rows === null) return [shape, null].includes(await readShape(source, [database, table])) ? [] : null;
  if (rows.some(([there]) => toText(there) !== shape)) return null;
  return rows.map(([, ...row]) => Object.fromEntries(asked.map(({ place }, i) => [`c${place}`, toText(row[i])])));
}

/** Null where there is no such table. */
async function readShape(source: Queryable, names: readonly [string, string]): Promise<string | null> {
  const sql = `SELECT ${selectShape} AS shape`;
  const rows = await askSource(() => source.query<{ shape: unknown }[]>(sql, [...names]));
  return toText(rows?.[0]?.shape);
}

function toText(value: unknown): string | null {
  if (value === null || value === undefined) return null;
  return Buffer.isBuffer(value) ? value.toString('utf8') : String(value as string | number | bigint);
}

/** An index is used for literals of the column's own kind: numbers bare, everything else as text. */
function keyCondition(
  keyed: readonly SourceColumn[],
  keys: readonly (readonly (string | null)[])[],
): { sql: string; values: string[] } {
  const values: string[] = [];
  const literal = (known: SourceColumn | undefined, text: string): string => {
    if (isNumeric(known) && /^-?\d+(?:\.\d+)?(?:e[-+]?\d+)?$/.test(text)) return text;
    values.push(known?.type.kind === 'timestamp' ? text.replace(/\+00$/, '') : text);
    return '?';
  };
  const names = keyed.map(({ name }) => quoteSource(name));
  const literals = keys.map((row) => keyed.map((column, i) => literal(column, row[i] ?? '')));
  const [name = ''] = names;
  if (names.length === 1) return { sql: `${name} IN (${literals.flat().join(', ')})`, values };
  const each = literals.map((row) => `(${row.map((text, i) => `${names[i] ?? ''} = ${text}`).join(' AND ')})`);
  return { sql: each.join(' OR '), values };
}

function isNumeric(known: SourceColumn | undefined): boolean {
  return ['integer', 'decimal', 'float', 'year'].includes(known?.type.kind ?? '');
}
