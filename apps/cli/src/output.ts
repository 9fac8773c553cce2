import { toPrintable, toPrintableJson } from '@afterimage/service';
import Table from 'cli-table3';

export interface TableColumn {
  readonly title: string;
  readonly align?: 'left' | 'right';
}

/** A table for people: no rules but one below the titles. */
export function renderTable(columns: readonly (string | TableColumn)[], rows: readonly (readonly string[])[]): string {
  const heads = columns.map((column) => (typeof column === 'string' ? { title: column } : column));
  const table = new Table({
    head: heads.map(({ title }) => toPrintable(title)),
    colAligns: heads.map(({ align = 'left' }: TableColumn) => align),
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 2 },
    chars: {
      top: '',
      'top-mid': '',
      'top-left': '',
      'top-right': '',
      bottom: '',
      'bottom-mid': '',
      'bottom-left': '',
      'bottom-right': '',
      left: '',
      'left-mid': '',
      mid: '',
      'mid-mid': '',
      right: '',
      'right-mid': '',
      middle: '',
    },
  });
  table.push(...rows.map((row) => row.map(toPrintable)));
  const [head = '', ...body] = table
    .toString()
    .split('\n')
    .map((line) => line.trimEnd());
  const width = Math.max(0, ...[head, ...body].map((line) => line.length));
  return [head, '─'.repeat(width), ...body].join('\n');
}

export function printJson(value: unknown): void {
  const text = JSON.stringify(value, (_key, item: unknown) => (typeof item === 'bigint' ? item.toString() : item), 2);
  console.log(toPrintableJson(text));
}

/** Rows of texts by column name, as a script wants them. */
export function toObjects({
  columns,
  rows,
}: {
  readonly columns: readonly string[];
  readonly rows: readonly (readonly (string | null)[])[];
}) {
  return rows.map((row) => Object.fromEntries(columns.map((column, index) => [column, row[index] ?? null])));
}

/** 1234567 → `1,234,567`. */
export function formatCount(value: number | bigint | string): string {
  return BigInt(Math.round(Number(value))).toLocaleString('en-US');
}

/** `1 row`, `1,234 rows`. */
export function formatRows(count: number): string {
  return `${formatCount(count)} ${count === 1 ? 'row' : 'rows'}`;
}

/** 0.4 → `0.4 s`, 75 → `1 min 15 s`, 7300 → `2 h 1 min`. */
export function formatSeconds(seconds: number): string {
  if (seconds < 10) return `${Math.max(0, seconds).toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  if (whole < 48 * 3600) return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
  return `${Math.floor(whole / 86_400)} days`;
}

/** `2026-11-22 14:03:05 UTC`. */
export function formatMoment(moment: Date | null): string {
  return moment === null ? '' : `${moment.toISOString().slice(0, 19).replace('T', ' ')} UTC`;
}
