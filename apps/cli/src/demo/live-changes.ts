import { sleep, toPrintable } from '@afterimage/service';
import type pg from 'pg';
import { sqlDatabase, sqlTables } from './sql-shop.js';

const pollMs = 200;
const shownAtOnce = 8;
const lineLength = 150;

/** Columns of a history view that are not the source's. */
const ownColumns = ['stream_ordinal', 'domain', 'server_id', 'sequence', 'event_number', 'timestamp', 'event_type'];

interface HistoryEvent {
  readonly ordinal: string;
  readonly at: string;
  readonly type: string;
  readonly row: Readonly<Record<string, unknown>>;
}

/** Prints what comes into the histories from now on, a line for each changed row, until the signal. */
export async function showChanges(pool: pg.Pool, signal: AbortSignal): Promise<void> {
  const seen = new Map<string, string>();
  for (const table of Object.keys(sqlTables)) {
    const { rows } = await pool.query<{ last: string }>(
      `SELECT coalesce(max(stream_ordinal), 0) AS last FROM ${sqlDatabase}_history.${table}`,
    );
    seen.set(table, rows[0]?.last ?? '0');
  }
  while (await sleep(pollMs, signal)) {
    for (const [table, last] of seen) {
      const events = await readEvents(pool, table, last).catch((error: unknown) => {
        if (signal.aborted) return [];
        throw error;
      });
      for (const line of describeEvents(table, events)) console.log(line);
      seen.set(table, events.at(-1)?.ordinal ?? last);
    }
  }
}

async function readEvents(pool: pg.Pool, table: string, after: string): Promise<HistoryEvent[]> {
  const { rows } = await pool.query<HistoryEvent>(
    `SELECT stream_ordinal AS ordinal, to_char("timestamp", 'HH24:MI:SS') AS at, event_type AS type, to_jsonb(h) - $2::text[] AS row
     FROM ${sqlDatabase}_history.${table} AS h WHERE stream_ordinal > $1 ORDER BY stream_ordinal`,
    [after, ownColumns],
  );
  return rows;
}

/** One line for a row, the first few of many; of an update the columns that it changed. */
export function describeEvents(table: string, events: readonly HistoryEvent[]): string[] {
  const lines: string[] = [];
  for (const [index, { at, type, row }] of events.entries()) {
    if (type === 'update_before') continue;
    const before = type === 'update_after' ? events[index - 1]?.row : undefined;
    const [name = ''] = type.split('_');
    lines.push(cut(`   ${at}  ${table}  ${name.padEnd(6)}  ${describeRow(row, before)}`));
  }
  const more = lines.length - shownAtOnce;
  return more > 0 ? [...lines.slice(0, shownAtOnce), `   … and ${more} more in ${table}`] : lines;
}

function describeRow(row: HistoryEvent['row'], before: HistoryEvent['row'] | undefined): string {
  const columns = Object.entries(row);
  const show = (value: unknown): string => toPrintable(JSON.stringify(value));
  if (before === undefined) return columns.map(([name, value]) => `${name} ${show(value)}`).join(', ');
  const isSame = ([name, value]: [string, unknown]): boolean => show(value) === show(before[name]);
  const changed = columns.filter((column) => !isSame(column));
  const first = columns.find(isSame);
  const key = first === undefined ? '' : `${first[0]} ${show(first[1])}: `;
  return key + changed.map(([name, value]) => `${name} ${show(before[name])} → ${show(value)}`).join(', ');
}

function cut(line: string): string {
  return line.length <= lineLength ? line : `${line.slice(0, lineLength - 1)}…`;
}
