import type { Pool } from 'pg';
import type { StreamRecord } from '../control/streams.js';
import { quoteName, quoteTable } from '../names.js';
import type { TableSettingsProvider } from '../settings.js';
import { loadCurrent } from './current.js';
import { inTransaction } from '../transaction.js';

/** Rows as PostgreSQL prints them: every value is its text, or null. */
export interface TextRows {
  readonly columns: readonly string[];
  readonly rows: readonly (readonly (string | null)[])[];
}

const asText = { getTypeParser: () => (value: unknown) => value };

interface Query {
  readonly text: string;
  readonly values: readonly unknown[];
}

async function queryText(pool: Pool, { text, values }: Query): Promise<TextRows> {
  const result = await pool.query<(string | null)[]>({ text, values: [...values], rowMode: 'array', types: asText });
  return { columns: result.fields.map((field) => field.name), rows: result.rows };
}

export interface HistoryOptions {
  readonly stream: StreamRecord;
  readonly settingsOf: TableSettingsProvider;
  /** Mirror column → value as text: only the history of rows that have it. */
  readonly where?: Readonly<Record<string, string>>;
  readonly from?: Date;
  readonly to?: Date;
  /** Newest first when true. */
  readonly newestFirst?: boolean;
  readonly limit: number;
}

/** The changes of a table in stream order, each with its operation, GTID parts and source time. */
export async function readHistory(pool: Pool, options: HistoryOptions): Promise<TextRows> {
  const { stream, settingsOf, where = {}, from, to, newestFirst = false, limit } = options;
  const { names, version } = await inTransaction(pool, (client) =>
    loadCurrent(client, { stream, settingsOf, lock: false }),
  );
  const values: unknown[] = [];
  const conditions = Object.entries(where).map(([name, value]) => {
    const column = version.columns.find((candidate) => candidate.mirror === name);
    if (column === undefined)
      throw new Error(
        `no column ${JSON.stringify(name)}; there are: ${version.columns.map((c) => c.mirror).join(', ')}`,
      );
    return `${quoteName(column.history)} = $${values.push(value)}::${column.postgresType}`;
  });
  if (from !== undefined) conditions.push(`"timestamp" >= $${values.push(from)}`);
  if (to !== undefined) conditions.push(`"timestamp" <= $${values.push(to)}`);
  const condition = conditions.length === 0 ? '' : `WHERE ${conditions.join(' AND ')}`;
  const order = newestFirst ? 'DESC' : '';
  const text = `SELECT * FROM ${quoteTable(names.history)} ${condition} ORDER BY stream_ordinal ${order}, event_number ${order} LIMIT $${values.push(limit)}`;
  return queryText(pool, { text, values });
}

export interface AsOfReadOptions {
  readonly stream: StreamRecord;
  readonly settingsOf: TableSettingsProvider;
  /** A moment at the source, or a GTID (`domain-server-sequence`): up to and with that transaction. */
  readonly moment: { readonly kind: 'time'; readonly at: Date } | { readonly kind: 'gtid'; readonly gtid: string };
  readonly limit: number;
}

/** The rows of a table as they were. */
export async function readAsOf(pool: Pool, { stream, settingsOf, moment, limit }: AsOfReadOptions): Promise<TextRows> {
  const { names, version } = await inTransaction(pool, (client) =>
    loadCurrent(client, { stream, settingsOf, lock: false }),
  );
  const order = version.key === null ? '' : `ORDER BY ${version.key.map(quoteName).join(', ')}`;
  const [name, argument] = moment.kind === 'time' ? [names.asOf, moment.at] : [names.asOfGtid, moment.gtid];
  return queryText(pool, {
    text: `SELECT * FROM ${quoteTable(name)}($1) ${order} LIMIT $2`,
    values: [argument, limit],
  });
}
