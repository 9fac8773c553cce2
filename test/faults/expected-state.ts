import type { ModelEvent, ModelRow, ModelTable } from './source-model.js';

/** What PostgreSQL must hold, from the model's events alone: rows as JSON arrays of texts under the newest columns. */

/** The mirror's rows after all events, sorted. */
export function expectedRows(table: ModelTable): string[] {
  return table.rows.map((row) => rowText(table, row)).toSorted();
}

/** The history's rows in stream order. */
export function expectedHistory(table: ModelTable): string[] {
  return table.events.map((event) => {
    const { domain, serverId, sequence, eventNumber, timestamp, operation, row } = event;
    return `${domain}-${serverId}-${sequence}:${eventNumber} ${timestamp} ${operation} ${rowText(table, row)}`;
  });
}

/** The table's rows after its first `count` events, sorted: each image adds a row or takes one away. */
export function rowsAfter(table: ModelTable, count: number): string[] {
  const counts = new Map<string, number>();
  for (const { operation, row } of table.events.slice(0, count)) {
    const text = rowText(table, row);
    const change = operation === 'insert' || operation === 'update_after' ? 1 : -1;
    counts.set(text, (counts.get(text) ?? 0) + change);
  }
  return [...counts].flatMap(([text, times]) => Array.from({ length: times }, () => text)).toSorted();
}

/** How many events of the table there had been at a time (Unix seconds): times never go back in the model. */
export function eventsUntil({ events }: ModelTable, timestamp: number): number {
  return events.findLastIndex((event) => event.timestamp <= timestamp) + 1;
}

/** How many events of the table there had been with the transaction of `event`, the GTID's own included. */
export function eventsThrough({ events }: ModelTable, { domain, sequence }: ModelEvent): number {
  return events.findLastIndex((event) => event.domain === domain && event.sequence <= sequence) + 1;
}

function rowText({ columns }: ModelTable, row: ModelRow): string {
  return JSON.stringify(columns.map(({ origin }) => row.get(origin)?.text ?? null));
}
