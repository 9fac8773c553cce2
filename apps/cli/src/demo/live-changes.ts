import { sleep, toPrintable } from '@afterimage/service';
import type pg from 'pg';
import { sqlDatabase, sqlKeys } from './sql-shop.js';

const pollMs = 200;
const shownAtOnce = 8;
const lineLength = 140;

/** Columns of a history view that are not the source's. */
const historyColumns = [
  'stream_ordinal',
  'domain',
  'server_id',
  'sequence',
  'event_number',
  'timestamp',
  'event_type',
] as const;

type TextRow = Readonly<Record<string, string | null>>;

/** A history row, every column as text. */
export type HistoryRow = TextRow & Readonly<Record<'stream_ordinal' | 'timestamp' | 'event_type', string>>;

/** Prints what comes into the histories from now on, a line for each changed row, until the signal. */
export async function showChanges(pool: pg.Pool, signal: AbortSignal): Promise<void> {
  const tables = await Promise.all(
    Object.entries(sqlKeys).map(async ([table, key]) => {
      const last = await readLast(pool, table);
      const changes = new TableChanges(table, key, await readRows<TextRow>(pool, `${sqlDatabase}.${table}`));
      return { table, changes, last };
    }),
  );
  while (await sleep(pollMs, signal)) {
    for (const each of tables) {
      const source = `${sqlDatabase}_history.${each.table} WHERE stream_ordinal > ${each.last} ORDER BY stream_ordinal`;
      const rows = await readRows<HistoryRow>(pool, source);
      for (const line of each.changes.describe(rows)) console.log(line);
      each.last = rows.at(-1)?.stream_ordinal ?? each.last;
    }
  }
}

async function readLast(pool: pg.Pool, table: string): Promise<string> {
  const { rows } = await pool.query<{ last: string }>(
    `SELECT coalesce(max(stream_ordinal), 0) AS last FROM ${sqlDatabase}_history.${table}`,
  );
  return rows[0]?.last ?? '0';
}

async function readRows<Row extends TextRow>(pool: pg.Pool, from: string): Promise<Row[]> {
  const types = { getTypeParser: () => (value: unknown) => value };
  return (await pool.query<Row>({ text: `SELECT * FROM ${from}`, types })).rows;
}

/**
 * Tells what events did to a table's rows. It remembers the rows, because a before-image lacks what the stream does not
 * carry and only MariaDB can tell, which is the value of now.
 */
export class TableChanges {
  readonly #table: string;
  readonly #key: readonly string[] | null;
  readonly #rows = new Map<string, TextRow>();

  constructor(table: string, key: readonly string[] | null, rows: readonly TextRow[]) {
    this.#table = table;
    this.#key = key;
    for (const row of rows) this.#remember(row);
  }

  /** One line for a row, the first few of many; of an update the columns that it changed. */
  describe(events: readonly HistoryRow[]): string[] {
    const lines: string[] = [];
    let before: TextRow = {};
    for (const event of events) {
      const row = Object.fromEntries(Object.entries(event).filter(([name]) => !isHistoryColumn(name)));
      const kind = event.event_type.replace(/_.*/, '');
      if (event.event_type.endsWith('_before')) {
        before = this.#forget(row);
        continue;
      }
      const what = event.event_type.endsWith('_after') ? this.#describeUpdate(before, row) : describeRow(row);
      if (kind === 'delete') this.#forget(row);
      else this.#remember(row);
      lines.push(cut(`   ${event.timestamp.slice(11, 19)}  ${this.#table}  ${kind}  ${what}`));
    }
    const more = lines.length - shownAtOnce;
    return more > 1 ? [...lines.slice(0, shownAtOnce), `   … and ${more} more rows of ${this.#table}`] : lines;
  }

  #describeUpdate(before: TextRow, after: TextRow): string {
    const shown = (this.#key ?? []).map((name) => `${name} ${show(before[name])}`);
    const changed = Object.entries(after).filter(([name, value]) => value !== (before[name] ?? null));
    const changes = changed.map(([name, value]) => `${name} ${show(before[name])} → ${show(value)}`);
    return `${shown.join(', ')}${shown.length > 0 ? ': ' : ''}${changes.join(', ')}`;
  }

  #remember(row: TextRow): void {
    if (this.#key !== null) this.#rows.set(this.#placeOf(row), row);
  }

  /** The row as it was known last. */
  #forget(row: TextRow): TextRow {
    const place = this.#placeOf(row);
    const known = this.#rows.get(place) ?? row;
    this.#rows.delete(place);
    return known;
  }

  #placeOf(row: TextRow): string {
    return JSON.stringify((this.#key ?? []).map((name) => row[name]));
  }
}

function isHistoryColumn(name: string): boolean {
  return historyColumns.some((each) => each === name);
}

function describeRow(row: TextRow): string {
  return Object.entries(row)
    .map(([name, value]) => `${name} ${show(value)}`)
    .join(', ');
}

function show(value: string | null | undefined): string {
  return value === null || value === undefined ? 'NULL' : toPrintable(value === '' ? `''` : value);
}

function cut(line: string): string {
  return line.length <= lineLength ? line : `${line.slice(0, lineLength - 1)}…`;
}
