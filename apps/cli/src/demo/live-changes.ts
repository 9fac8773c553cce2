import { historyColumns } from '@afterimage/replica';
import { sleep, toPrintable } from '@afterimage/service';
import type pg from 'pg';
import { sqlDatabase, sqlKeys } from './sql-shop.js';

const pollMs = 200;
const shownAtOnce = 8;
const lineLength = 140;

type TextRow = Readonly<Record<string, string | null>>;

/** A history row, every column as text. */
export type HistoryRow = TextRow & Readonly<Record<'stream_ordinal' | 'timestamp' | 'event_type', string>>;

/** Prints what comes into the histories from now on, a line for each changed row, until the signal. */
export async function showChanges(pool: pg.Pool, signal: AbortSignal): Promise<void> {
  const tables = await Promise.all(
    Object.entries(sqlKeys).map(async ([table, key]) => {
      return { table, key, last: await readLast(pool, table) };
    }),
  );
  while (await sleep(pollMs, signal)) {
    for (const each of tables) {
      const rows = await readSince(pool, each);
      for (const line of describeChanges(each, rows)) console.log(line);
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

async function readSince(pool: pg.Pool, { table, last }: { table: string; last: string }): Promise<HistoryRow[]> {
  const types = { getTypeParser: () => (value: unknown) => value };
  const text = `SELECT * FROM ${sqlDatabase}_history.${table} WHERE stream_ordinal > $1 ORDER BY stream_ordinal`;
  return (await pool.query<HistoryRow>({ text, values: [last], types })).rows;
}

export interface ShownTable {
  readonly table: string;
  readonly key: readonly string[] | null;
}

/** What events did to a table's rows: one line for a row, the first few of many; of an update the columns that it changed. */
export function describeChanges({ table, key }: ShownTable, events: readonly HistoryRow[]): string[] {
  const lines: string[] = [];
  let before: TextRow = {};
  for (const event of events) {
    const row = Object.fromEntries(Object.entries(event).filter(([name]) => !isHistoryColumn(name)));
    const kind = event.event_type.replace(/_.*/, '');
    if (event.event_type.endsWith('_before')) {
      before = row;
      continue;
    }
    const what = event.event_type.endsWith('_after') ? describeUpdate(key, before, row) : describeRow(row);
    lines.push(cut(`   ${event.timestamp.slice(11, 19)}  ${table}  ${kind}  ${what}`));
  }
  const more = lines.length - shownAtOnce;
  return more > 1 ? [...lines.slice(0, shownAtOnce), `   … and ${more} more rows of ${table}`] : lines;
}

function describeUpdate(key: ShownTable['key'], before: TextRow, after: TextRow): string {
  const shown = (key ?? []).map((name) => `${name} ${show(before[name])}`);
  const changed = Object.entries(after).filter(([name, value]) => value !== (before[name] ?? null));
  const changes = changed.map(([name, value]) => `${name} ${show(before[name])} → ${show(value)}`);
  return `${shown.join(', ')}${shown.length > 0 ? ': ' : ''}${changes.join(', ')}`;
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
