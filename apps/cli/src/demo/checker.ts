import {
  findStream,
  type ReplicaNames,
  quoteName,
  quoteTable,
  readStatus,
  rebuild,
  replicaNames,
  type StreamStatus,
  type TableSettingsProvider,
} from '@afterimage/replica';
import type pg from 'pg';
import type { TableExpectation } from './source-model.js';

export interface TableCheck {
  readonly table: string;
  readonly rows: number;
  readonly events: number;
  readonly moments: number;
  readonly schemaVersion: number;
  /** What is not as it must be; empty when all is equal. */
  readonly problems: readonly string[];
}

const asText = { getTypeParser: () => (value: unknown) => value };

type Row = readonly (string | null)[];

async function queryRows(pool: pg.Pool, text: string, values: unknown[] = []): Promise<Row[]> {
  return (await pool.query<(string | null)[]>({ text, values, rowMode: 'array', types: asText })).rows;
}

/**
 * Compares one table in PostgreSQL with what the source says: the mirror's rows, every event in history once and in
 * order, the table as of each remembered moment by time and by GTID, and mirror against history.
 */
export async function checkTable(
  pool: pg.Pool,
  expected: TableExpectation,
  settingsOf: TableSettingsProvider,
): Promise<TableCheck> {
  const table = `${expected.database}.${expected.table}`;
  const stream = await findStream(pool, table);
  const settings = settingsOf(stream);
  if (settings === undefined) throw new Error(`${table} is not configured`);
  const names = replicaNames(settings.mirror, settings.historySuffix);
  const status = (await readStatus(pool)).find(({ id }) => id === stream.id);
  const rebuilt = await rebuild(pool, { stream, settingsOf, apply: false });
  return {
    table,
    rows: expected.rows.length,
    events: expected.events.length,
    moments: expected.moments.length,
    schemaVersion: status?.schemaVersion ?? 0,
    problems: [
      ...checkStatus(status),
      ...(await checkMirror(pool, expected, names)),
      ...(await checkHistory(pool, expected, names)),
      ...(await checkMoments(pool, expected, names)),
      ...(rebuilt.equal
        ? []
        : [`mirror and history differ (${rebuilt.missing} rows missing, ${rebuilt.extra} too many)`]),
    ],
  };
}

function checkStatus(status: StreamStatus | undefined): string[] {
  if (status === undefined) return ['there is no such stream'];
  return [
    ...(status.state === 'active' ? [] : [`the stream is ${status.state}: ${status.stateMessage ?? ''}`]),
    ...(status.deadLetters === 0 ? [] : [`${status.deadLetters} dead letters`]),
  ];
}

async function checkMirror(pool: pg.Pool, expected: TableExpectation, names: ReplicaNames): Promise<string[]> {
  const columns = expected.columns.map(quoteName).join(', ');
  return compareSets(
    'mirror',
    expected.rows,
    await queryRows(pool, `SELECT ${columns} FROM ${quoteTable(names.mirror)}`),
  );
}

async function checkHistory(pool: pg.Pool, expected: TableExpectation, names: ReplicaNames): Promise<string[]> {
  const columns = expected.columns.map(quoteName).join(', ');
  const found = await queryRows(
    pool,
    `SELECT stream_ordinal, domain || '-' || server_id || '-' || sequence, event_number, extract(epoch FROM "timestamp")::bigint, event_type, ${columns}
     FROM ${quoteTable(names.history)} ORDER BY stream_ordinal`,
  );
  const wanted = expected.events.map((event, index) => [
    String(index + 1),
    event.gtid,
    String(event.eventNumber),
    String(event.timestamp),
    event.operation,
    ...event.values,
  ]);
  const problems =
    found.length === wanted.length ? [] : [`history has ${found.length} events instead of ${wanted.length}`];
  const wrong = wanted.findIndex((row, index) => JSON.stringify(row) !== JSON.stringify(found[index]));
  if (wrong !== -1)
    problems.push(
      `history differs at event ${wrong + 1}: ${JSON.stringify(found[wrong] ?? null)} instead of ${JSON.stringify(wanted[wrong])}`,
    );
  return problems;
}

async function checkMoments(pool: pg.Pool, expected: TableExpectation, names: ReplicaNames): Promise<string[]> {
  const columns = expected.columns.map(quoteName).join(', ');
  const problems: string[] = [];
  for (const { gtid, at, rows } of expected.moments) {
    const byTime = await queryRows(pool, `SELECT ${columns} FROM ${quoteTable(names.asOf)}(to_timestamp($1))`, [at]);
    const byGtid = await queryRows(pool, `SELECT ${columns} FROM ${quoteTable(names.asOfGtid)}($1)`, [gtid]);
    problems.push(
      ...compareSets(`as of ${new Date(at * 1000).toISOString()}`, rows, byTime),
      ...compareSets(`as of ${gtid}`, rows, byGtid),
    );
  }
  return problems;
}

/** Rows without order, equal ones counted. */
function compareSets(what: string, wanted: readonly Row[], found: readonly Row[]): string[] {
  const counts = new Map<string, number>();
  for (const row of wanted) add(counts, JSON.stringify(row), 1);
  for (const row of found) add(counts, JSON.stringify(row), -1);
  const missing = [...counts].filter(([, count]) => count > 0);
  const extra = [...counts].filter(([, count]) => count < 0);
  if (missing.length === 0 && extra.length === 0) return [];
  const example = (rows: readonly (readonly [string, number])[]) =>
    rows[0] === undefined ? '' : `, such as ${rows[0][0]}`;
  return [`${what}: ${missing.length} rows missing${example(missing)}; ${extra.length} wrong${example(extra)}`];
}

function add(counts: Map<string, number>, key: string, step: number): void {
  const count = (counts.get(key) ?? 0) + step;
  if (count === 0) counts.delete(key);
  else counts.set(key, count);
}
