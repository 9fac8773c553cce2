import type { ClientBase, Pool } from 'pg';
import { readySchema } from '../apply/context.js';
import type { Relaxation } from '../schema/relax.js';
import { runEvents } from '../apply/run.js';
import { mirrorStatement } from '../apply/statement.js';
import type { StreamRecord } from '../control/streams.js';
import { describeError, isRowRefused, sqlState } from '../errors.js';
import { presentOperations } from '../history/segment.js';
import { quoteName, quoteTable } from '../names.js';
import { applySchemaChange, isInForce } from '../schema/change.js';
import { identityOf, rowHash } from '../schema/ddl.js';
import { fromMirror, toMirror } from '../schema/labels.js';
import { originsOf } from '../schema/origins.js';
import { isKeyLeftOut, targetOf, targetSchema } from '../schema/target.js';
import { type SchemaVersion, keyNames, loadVersions } from '../schema/versions.js';
import type { TableSettingsProvider } from '../settings.js';
import { recordSchemaVersion, refreshState } from '../apply/offset.js';
import { type CurrentReplica, loadCurrent } from './current.js';
import { inRelaxingTransaction } from './relaxing.js';
import { fixTextForms, inTransaction } from '../transaction.js';

export interface DeadLetter {
  readonly id: string;
  readonly streamId: string;
  readonly source: string;
  readonly database: string;
  readonly table: string;
  readonly partition: number;
  readonly schemaVersion: number;
  readonly ordinal: string;
  readonly position: string;
  /** One raw event line, or the two of an update joined by a newline. */
  readonly raw: string;
  readonly sequenceBases: Record<string, string>;
  readonly sqlstate: string;
  readonly message: string;
  readonly state: 'pending' | 'applied' | 'superseded' | 'discarded';
  readonly createdAt: Date;
  readonly resolvedAt: Date | null;
}

const selectLetters = `
  SELECT d.id::text, d.stream_id AS "streamId", s.source, s.database_name AS database, s.table_name AS "table", d.partition,
         d.schema_version AS "schemaVersion", d.ordinal::text, d.position, d.raw, d.sequence_bases AS "sequenceBases",
         d.sqlstate, d.message, d.state, d.created_at AS "createdAt", d.resolved_at AS "resolvedAt"
  FROM afterimage.dead_letters d JOIN afterimage.streams s ON s.id = d.stream_id`;

export interface DeadLetterFilter {
  readonly streamId?: string;
  /** Default: pending. */
  readonly state?: DeadLetter['state'] | 'all';
  /** Default: 100. */
  readonly limit?: number;
}

/** Dead letters in stream order, the oldest first. */
export async function listDeadLetters(
  pool: Pool,
  { streamId, state = 'pending', limit = 100 }: DeadLetterFilter = {},
): Promise<DeadLetter[]> {
  const { rows } = await pool.query<DeadLetter>(
    `${selectLetters} WHERE ($1::uuid IS NULL OR d.stream_id = $1) AND ($2 = 'all' OR d.state = $2) ORDER BY d.stream_id, d.ordinal LIMIT $3`,
    [streamId ?? null, state, limit],
  );
  return rows;
}

/** One dead letter, or undefined. */
export async function showDeadLetter(pool: Pool, id: string): Promise<DeadLetter | undefined> {
  const { rows } = await pool.query<DeadLetter>(`${selectLetters} WHERE d.id = $1`, [id]);
  return rows[0];
}

/** Gives pending dead letters up for good; returns how many were pending. They stay in the table, raw. */
export async function discardDeadLetters(pool: Pool, ids: readonly string[]): Promise<number> {
  return inTransaction(pool, async (client) => {
    const { rows } = await client.query<{ streamId: string }>(
      `UPDATE afterimage.dead_letters SET state = 'discarded', resolved_at = now()
       WHERE id = ANY ($1::bigint[]) AND state = 'pending' RETURNING stream_id AS "streamId"`,
      [ids],
    );
    for (const streamId of new Set(rows.map((row) => row.streamId))) await settleState(client, streamId);
    return rows.length;
  });
}

/** `degraded` only while dead letters wait; a halt stays. */
async function settleState(client: ClientBase, streamId: string): Promise<void> {
  const { rows } = await client.query<{ state: 'active' | 'degraded' | 'halted' }>(
    'SELECT state FROM afterimage.streams WHERE id = $1 FOR UPDATE',
    [streamId],
  );
  if (rows[0]?.state === 'degraded') await refreshState(client, streamId);
}

export interface RetryResult {
  readonly id: string;
  /** superseded: it is in history now, but newer events had decided the mirror already. */
  readonly kind: 'applied' | 'superseded' | 'refused' | 'not-pending';
  readonly message: string | null;
}

export interface RetryOptions {
  readonly stream: StreamRecord;
  readonly settingsOf: TableSettingsProvider;
  readonly id: string;
}

/**
 * Tries one dead letter again, under the settings of now. It enters history at its own place in the stream; the mirror
 * then takes, for each key it touches, the newest event that history has, so a retry never overwrites newer state.
 * Retry a stream's letters in order (the order of `listDeadLetters`).
 */
export async function retryDeadLetter(pool: Pool, options: RetryOptions): Promise<RetryResult> {
  const { id } = options;
  try {
    return await inRelaxingTransaction(pool, options, (client, relaxed) => retry(client, options, relaxed));
  } catch (error) {
    if (!isRowRefused(error)) throw error;
    const message = describeError(error);
    await pool.query('UPDATE afterimage.dead_letters SET message = $2, sqlstate = $3 WHERE id = $1', [
      id,
      message,
      sqlState(error),
    ]);
    return { id, kind: 'refused', message };
  }
}

async function retry(
  client: ClientBase,
  { stream, settingsOf, id }: RetryOptions,
  relaxed: readonly Relaxation[],
): Promise<RetryResult> {
  await fixTextForms(client);
  const locked = await loadCurrent(client, { stream, settingsOf, lock: true });
  const { rows } = await client.query<DeadLetter>(
    `${selectLetters} WHERE d.id = $1 AND d.stream_id = $2 AND d.state = 'pending' FOR UPDATE OF d`,
    [id, stream.id],
  );
  const [letter] = rows;
  if (letter === undefined)
    return { id, kind: 'not-pending', message: 'there is no such pending dead letter for this stream' };
  const current = await underNewSettings(client, { stream, relaxed }, locked);
  const base = await versionFor(client, stream, letter.schemaVersion);
  const target = targetOf(base, current.settings);
  const lines = letter.raw.split('\n');
  const ordinals = lines.map((_, i) => BigInt(letter.ordinal) + BigInt(i));
  const run = { lines, ordinals, sequenceBases: letter.sequenceBases };
  await runEvents(client, readySchema({ version: base, target, names: current.names, isNew: false }), run, {
    mirror: false,
  });
  const newer = await refreshMirror(client, current, BigInt(letter.ordinal), lines.length);
  const kind = newer ? 'superseded' : 'applied';
  await client.query(`UPDATE afterimage.dead_letters SET state = $2, resolved_at = now() WHERE id = $1`, [id, kind]);
  await settleState(client, stream.id);
  return { id, kind, message: null };
}

/** The newest version with the fields of version `recorded`: its types are those of the newest settings. */
async function versionFor(client: ClientBase, stream: StreamRecord, recorded: number): Promise<SchemaVersion> {
  const versions = await loadVersions(client, stream.id);
  const fingerprint = versions.find(({ version }) => version === recorded)?.fingerprint;
  const found = versions.findLast((version) => version.fingerprint === fingerprint);
  if (found === undefined) throw new Error(`schema version ${recorded} of stream ${stream.id} is missing`);
  return found;
}

/** Settings may have changed since (a column's type, say, because of this very letter): then a new schema version comes first. */
async function underNewSettings(
  client: ClientBase,
  { stream, relaxed }: { readonly stream: StreamRecord; readonly relaxed: readonly Relaxation[] },
  current: CurrentReplica,
): Promise<CurrentReplica> {
  const { settings, names, version: before } = current;
  const { knowledge } = before;
  const isKeyless = isKeyLeftOut(before, { ...before, settings });
  const target = targetSchema(before.fields, settings, knowledge?.table ?? null, {
    isKeyless,
    isDivided: stream.partitions > 1,
    origins: originsOf(before),
  });
  if (isInForce(before, target, before.fingerprint)) return { ...current, target };
  await checkDivision(client, stream, keyNames(target));
  const { rows } = await client.query<{ ordinal: string; gtid: string; file: number }>(
    `SELECT o.ordinal, v.source_gtid AS gtid, v.file_version AS file FROM afterimage.offsets o
     JOIN afterimage.schema_versions v ON v.stream_id = o.stream_id AND v.version = $2 WHERE o.stream_id = $1 ORDER BY o.ordinal DESC LIMIT 1`,
    [stream.id, before.version],
  );
  const [at] = rows;
  const version = await applySchemaChange(client, {
    batch: {
      stream: { id: stream.id, source: stream.source, database: stream.database, table: stream.table },
      schema: {
        fingerprint: before.fingerprint,
        fields: [...before.fields],
        version: at?.file ?? 1,
        gtid: at?.gtid ?? '0-0-0',
      },
      firstOrdinal: (BigInt(at?.ordinal ?? '0') + 1n).toString(),
      firstTimestamp: 0,
    },
    current: before,
    target,
    settings,
    names,
    knowledge,
    relaxed,
  });
  await recordSchemaVersion(client, stream.id, version.version);
  return { settings, names, version, target };
}

/** Another key must wait until the reader has divided the stream by it: until then rows of one key come by several partitions. */
async function checkDivision(client: ClientBase, { id }: StreamRecord, key: readonly string[] | null): Promise<void> {
  const { rows } = await client.query<{ partitionKey: string[] | null }>(
    'SELECT partition_key AS "partitionKey" FROM afterimage.streams WHERE id = $1',
    [id],
  );
  const partitionKey = rows[0]?.partitionKey ?? [];
  if (partitionKey.every((name) => key?.includes(name))) return;
  throw new Error(
    `the table is still divided by (${partitionKey.join(', ')}): start the reader with this configuration, and retry when it has caught up`,
  );
}

/** Brings the mirror in line with history for what events [ordinal, ordinal + count) touch; returns whether newer events decide. */
async function refreshMirror(
  client: ClientBase,
  current: CurrentReplica,
  ordinal: bigint,
  count: number,
): Promise<boolean> {
  const { names, version, target } = current;
  const last = ordinal + BigInt(count) - 1n;
  const range = `stream_ordinal BETWEEN ${ordinal} AND ${last}`;
  const events = version.key === null ? wholeRowDifferences(current, range) : keyedEvents(current, range);
  const newest = `SELECT max(e.stream_ordinal) AS newest FROM (${events}) AS e`;
  const { rows } = await client.query<{ newest: string | null }>(newest);
  await client.query(mirrorStatement({ names, version, columns: target.columns }, events));
  const decisive = rows[0]?.newest ?? null;
  return decisive === null || BigInt(decisive) > last;
}

/** Only what came after the last time the table was emptied counts. */
function isAlive(history: string): string {
  return `h.event_type <> 'truncate' AND h.stream_ordinal > (SELECT coalesce(max(stream_ordinal), 0) FROM ${history} WHERE event_type = 'truncate')`;
}

/** All events of the keys that the events in `range` touch. */
function keyedEvents({ names, version }: CurrentReplica, range: string): string {
  const history = quoteTable(names.history);
  const values = version.columns.map((column, i) => `h.${quoteName(column.history)} AS v${i}`).join(', ');
  return (
    `SELECT h.event_type, h.stream_ordinal, ${values} FROM ${history} h WHERE ${isAlive(history)} ` +
    `AND (${keyList(version, 'h')}) IN (SELECT ${keyList(version, 't')} FROM ${history} t WHERE t.${range})`
  );
}

/**
 * For each row that the events in `range` put or take: as many inserts or deletes as it takes for the mirror to have it
 * as often as history says. An event that came later may have missed a row that is there only now.
 */
function wholeRowDifferences({ names, version, target }: CurrentReplica, range: string): string {
  const history = quoteTable(names.history);
  const ofHistory = version.columns.map((column) => toMirror(names, column, `h.${quoteName(column.history)}`));
  const touched = ofHistory.map((value, i) => `${value} AS v${i}`).join(', ');
  const asTouched = target.columns.map((column, i) => ({ ...column, mirror: `v${i}` }));
  const values = version.columns.map((column, i) => `${fromMirror(column, `v${i}`)} AS v${i}`).join(', ');
  const row = (refs: readonly string[]) =>
    `ROW(${target.columns.map((column, i) => identityOf(refs[i] ?? '', column)).join(', ')})`;
  const touchedRow = row(asTouched.map(({ mirror }) => `t.${mirror}`));
  const inHistory = row(ofHistory);
  const inMirror = row(version.columns.map((column) => `m.${quoteName(column.mirror)}`));
  const sign = `CASE WHEN h.event_type IN (${presentOperations}) THEN 1 ELSE -1 END`;
  const wanted = `SELECT greatest(coalesce(sum(${sign}), 0), 0) FROM ${history} h WHERE ${isAlive(history)} AND ${inHistory} IS NOT DISTINCT FROM ${touchedRow}`;
  const there = `SELECT count(*) FROM ${quoteTable(names.mirror)} m WHERE ${rowHash('m', target.columns)} = ${rowHash('t', asTouched)} AND ${inMirror} IS NOT DISTINCT FROM ${touchedRow}`;
  return (
    `SELECT CASE WHEN wanted > there THEN 'insert' ELSE 'delete' END::afterimage.operation AS event_type, 0 AS stream_ordinal, ${values} ` +
    `FROM (SELECT t.*, (${wanted}) AS wanted, (${there}) AS there ` +
    `FROM (SELECT DISTINCT ${touched} FROM ${history} h WHERE h.${range} AND ${isAlive(history)}) AS t) AS d, generate_series(1, abs(wanted - there))`
  );
}

function keyList(version: SchemaVersion, row: string): string {
  const key = new Set(version.key);
  return version.columns
    .filter((column) => key.has(column.mirror))
    .map((column) => `${row}.${quoteName(column.history)}`)
    .join(', ');
}
