import { createHash } from 'node:crypto';
import type { Pool } from 'pg';
import { type Batch, eventLines } from '@afterimage/change-events';
import { type ColumnKnowledge as SourceColumn, type Queryable, quoteSource, sourceValue } from '@afterimage/mariadb';
import { isRowRefused } from '../errors.js';
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

/**
 * Reads the rows that a batch inserts or updates from MariaDB, by key, in one query. They are what they are now: later
 * changes may be in them already, and their events come. A row that is gone is not found, and the value of the stream
 * stands. Rejects with SourceUnavailable when MariaDB cannot be asked.
 */
export async function lookUp(options: LookupOptions): Promise<Lookups> {
  const { version } = options.ready.version;
  const keys = await readKeys(options);
  const found = keys.length === 0 ? [] : await readRows(options, keys);
  return { version, found: JSON.stringify(found) };
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

/** The keys of inserted and updated rows with a value to look up, as PostgreSQL reads them from the lines. */
async function readKeys({ pool, batch, ready }: LookupOptions): Promise<(string | null)[][]> {
  const lines = eventLines(batch).filter((line) => /"event_type": "(?:insert|update_after)"/.test(line.slice(0, 250)));
  if (lines.length === 0) return [];
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
    const text = `SELECT DISTINCT ${key} FROM (${events}) AS e WHERE ${lookupCondition(columns)}`;
    const values = [json, `{${lines.map((_, i) => i).join(',')}}`, ...arrays, ...(nul === null ? [] : [nul])];
    const name = `keys_${createHash('sha256').update(text).digest('hex').slice(0, 24)}`;
    const result = await pool.query<(string | null)[]>({ name, text, values, rowMode: 'array' });
    return result.rows.filter((row) => !row.includes(null));
  } catch (error) {
    // A line that PostgreSQL refuses is for who applies the batch.
    if (isRowRefused(error)) return [];
    throw error;
  }
}

type FoundRow = Readonly<Record<string, string | null>>;

async function readRows(options: LookupOptions, keys: readonly (readonly (string | null)[])[]): Promise<FoundRow[]> {
  const { source, batch, ready, settings } = options;
  const keyed = keyColumns(ready);
  const asked = [...keyed, ...columnsOf(ready, ({ lookup }) => lookup)];
  const reads = asked.map(({ column, postgresType }) => {
    if (column.known === null) throw new Error(`column ${column.name} is looked up, but not known`);
    return sourceValue(column.known, postgresType, settings.types).read;
  });
  const conditions = keyCondition(keyed, keys);
  const { database, table } = batch.stream;
  const sql = `SELECT ${reads.join(', ')} FROM ${quoteSource(database)}.${quoteSource(table)} WHERE ${conditions.sql}`;
  const rows = await askSource(() => source.query<unknown[][]>({ sql, rowsAsArray: true }, conditions.values));
  return (rows ?? []).map((row) => Object.fromEntries(asked.map(({ place }, i) => [`c${place}`, toText(row[i])])));
}

function toText(value: unknown): string | null {
  if (value === null || value === undefined) return null;
  return Buffer.isBuffer(value) ? value.toString('utf8') : String(value as string | number | bigint);
}

/** An index is used for literals of the column's own kind: numbers bare, everything else as text. */
function keyCondition(
  keyed: readonly IndexedColumn[],
  keys: readonly (readonly (string | null)[])[],
): { sql: string; values: string[] } {
  const values: string[] = [];
  const literal = (known: SourceColumn | null, text: string): string => {
    if (isNumeric(known) && /^-?\d+(?:\.\d+)?(?:e[-+]?\d+)?$/.test(text)) return text;
    values.push(known?.type.kind === 'timestamp' ? text.replace(/\+00$/, '') : text);
    return '?';
  };
  const names = keyed.map(({ column }) => quoteSource(column.known?.name ?? column.name));
  const literals = keys.map((row) => keyed.map(({ column }, i) => literal(column.known, row[i] ?? '')));
  const [name = ''] = names;
  if (names.length === 1) return { sql: `${name} IN (${literals.flat().join(', ')})`, values };
  const each = literals.map((row) => `(${row.map((text, i) => `${names[i] ?? ''} = ${text}`).join(' AND ')})`);
  return { sql: each.join(' OR '), values };
}

function isNumeric(known: SourceColumn | null): boolean {
  return ['integer', 'decimal', 'float', 'year'].includes(known?.type.kind ?? '');
}
