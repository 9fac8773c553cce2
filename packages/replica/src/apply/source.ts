import type { ClientBase, Pool } from 'pg';
import {
  type Batch,
  covers,
  coversAll,
  eventLines,
  type Field,
  formatPosition,
  joinPositions,
  parsePosition,
  positionAfterGtids,
} from '@afterimage/change-events';
import { type Queryable, type TableKnowledge, readTableKnowledge } from '@afterimage/mariadb';
import { isOfFields } from '../schema/origins.js';
import type { KnowledgeRecord } from '../schema/versions.js';
import { SourceUnavailable } from '../errors.js';
import { inTransaction } from '../transaction.js';
import { parseEventId, parseEventTime } from './event-prefix.js';

/** Gives the MariaDB server of a source; undefined = none is configured. */
export type SourceDatabases = (source: string) => Queryable | undefined;

/** What MariaDB says to who asks for a table or column that is not there any more, or for a value that is too long to send. */
const goneCodes = new Set([1054, 1146, 1690, 1301]);

/** Null when the table is not there as it was. Rejects with SourceUnavailable when MariaDB does not answer, or refuses. */
export async function askSource<T>(ask: () => Promise<T>): Promise<T | null> {
  try {
    return await ask();
  } catch (error) {
    const { errno, sqlMessage, code } = error as { errno?: number; sqlMessage?: string | null; code?: string };
    if (errno !== undefined && goneCodes.has(errno)) return null;
    throw new SourceUnavailable(
      `MariaDB cannot be asked (${sqlMessage ?? code ?? (error as Error).message}): trying again. Check sources.<name>.mariadb and the user's privileges: it needs SELECT on the table`,
      error,
    );
  }
}

/** A row of afterimage.table_knowledge with when the table was so. */
export interface StoredKnowledge extends KnowledgeRecord {
  readonly lastSeen: Date;
  readonly firstPosition: string | null;
  readonly lastPosition: string | null;
  readonly definedAt: Date | null;
}

/** Knowledge for a batch. */
export interface ChosenKnowledge {
  readonly knowledge: KnowledgeRecord;
  /** Whether the table was so when the rows were written: then the places in both agree. */
  readonly isOfRows: boolean;
  /** Whether nothing else was seen between it and the rows. */
  readonly isNear: boolean;
}

type TableNames = Pick<Batch['stream'], 'source' | 'database' | 'table'>;

/**
 * What MariaDB knew about a batch's table when its events happened, as near as can be told: what it was known to be before
 * and after them, else what was recorded at or after their time and has their columns, else what it says now. What it says
 * now is recorded. Null when it has no such table and never had.
 */
export async function learnTable(pool: Pool, source: Queryable, batch: Batch): Promise<ChosenKnowledge | null> {
  const { stream, schema, firstTimestamp } = batch;
  await readAndRecord(pool, source, stream);
  const { rows } = await pool.query<StoredKnowledge>(
    `SELECT id::text, knowledge AS "table", last_seen AS "lastSeen", first_position AS "firstPosition", last_position AS "lastPosition", defined_at AS "definedAt"
     FROM afterimage.table_knowledge WHERE source = $1 AND database_name = $2 AND table_name = $3 ORDER BY id`,
    [stream.source, stream.database, stream.table],
  );
  const time = new Date(firstTimestamp * 1000);
  return chooseKnowledge(rows, { fields: schema.fields, time, isOfRows: (record) => isOfBatch(record, batch) });
}

/** The newest reading of a table that is recorded. */
export async function loadNewest(pool: Pool, { source, database, table }: TableNames): Promise<KnowledgeRecord | null> {
  const { rows } = await pool.query<KnowledgeRecord>(
    `SELECT id::text, knowledge AS "table" FROM afterimage.table_knowledge
     WHERE source = $1 AND database_name = $2 AND table_name = $3 ORDER BY id DESC LIMIT 1`,
    [source, database, table],
  );
  return rows[0] ?? null;
}

export interface ChooseOptions {
  readonly fields: readonly Field[];
  /** Of the first event. */
  readonly time: Date;
  /** Whether the table was as recorded before the first and after the last event. */
  readonly isOfRows: (record: StoredKnowledge) => boolean;
}

/**
 * What held for the rows; else the first that was seen after the events and has their columns, else the last that has them,
 * else the last.
 */
export function chooseKnowledge(
  records: readonly StoredKnowledge[],
  { fields, time, isOfRows }: ChooseOptions,
): ChosenKnowledge | null {
  const held = records.findLast((record) => record.table.columns.length === fields.length && isOfRows(record));
  if (held !== undefined) return { knowledge: held, isOfRows: true, isNear: true };
  // The events' time is in whole seconds.
  const after = records.findIndex(({ lastSeen }) => lastSeen.getTime() >= time.getTime() + 1000);
  const next = after === -1 ? records.length : after;
  const fits = ({ table }: StoredKnowledge): boolean => isOfFields(fields, table);
  const chosen = records.slice(next).find(fits) ?? records.findLast(fits) ?? records.at(-1);
  if (chosen === undefined) return null;
  const place = records.indexOf(chosen);
  return { knowledge: chosen, isOfRows: false, isNear: place === next || place === next - 1 };
}

/** A line that is no event is refused when its turn comes; until then it proves nothing. */
function isOfBatch({ firstPosition, lastPosition, definedAt }: StoredKnowledge, batch: Batch): boolean {
  if (firstPosition === null || lastPosition === null || batch.count === 0) return false;
  if (!coversAll(parsePosition(lastPosition), parsePosition(batch.last))) return false;
  const first = parsePosition(firstPosition);
  try {
    return eventLines(batch).every(
      (line) => !covers(first, parseEventId(line, batch.sequenceBases)) || isSince(definedAt, parseEventTime(line)),
    );
  } catch {
    return false;
  }
}

/** Whether what happened in that second happened after a table was defined: both are whole seconds, of clocks that may differ a little. */
export function isSince(definedAt: Date | null, seconds: number): boolean {
  return definedAt !== null && seconds * 1000 > definedAt.getTime() + 1000;
}

/**
 * Asks MariaDB what a table is now, and records it; null when there is none. Nothing is locked while MariaDB is asked, which
 * may not answer for long: where something else was recorded meanwhile this may be older, and MariaDB is asked again. So
 * readings are recorded in the order in which they were true.
 */
export async function readAndRecord(pool: Pool, source: Queryable, names: TableNames): Promise<KnowledgeRecord | null> {
  for (;;) {
    const newest = await findNewestId(pool, names);
    const seen = await askSource(() => readKnowledge(source, names));
    if (seen === null) return null;
    const id = await inTransaction(pool, async (client) => {
      await lockKnowledge(client, names);
      return (await findNewestId(client, names)) === newest ? record(client, names, seen) : null;
    });
    if (id !== null) return { id, table: seen.table };
  }
}

async function findNewestId(client: Pick<ClientBase | Pool, 'query'>, names: TableNames): Promise<string | null> {
  const { rows } = await client.query<{ id: string | null }>(
    `SELECT max(id)::text AS id FROM afterimage.table_knowledge WHERE source = $1 AND database_name = $2 AND table_name = $3`,
    [names.source, names.database, names.table],
  );
  return rows[0]?.id ?? null;
}

/** The positions enclose the reading: what is above the one after it came later, what is covered by the one before it earlier. */
async function readKnowledge(source: Queryable, { database, table }: TableNames): Promise<SeenKnowledge | null> {
  const before = await readPlace(source);
  const knowledge = await readTableKnowledge(source, database, table);
  if (knowledge === null) return null;
  const definedAt = await readDefinedAt(source, [database, table]);
  const after = await readPlace(source);
  const isOwnClock = !after.isReplica;
  return {
    table: knowledge,
    at: before.at,
    first: after.position,
    last: before.position,
    definedAt: isOwnClock ? definedAt : null,
  };
}

/** In the session's zone, which is UTC. Null where the storage engine does not say. */
async function readDefinedAt(source: Queryable, names: readonly string[]): Promise<string | null> {
  const [row] = await source.query<{ at: string | null }[]>(
    `SELECT CONCAT(CAST(CREATE_TIME AS CHAR), '+00') AS at
     FROM information_schema.TABLES WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ?`,
    [...names],
  );
  return row?.at ?? null;
}

interface SourcePlace {
  /** By MariaDB's clock. */
  readonly at: string;
  readonly position: string | null;
  readonly isReplica: boolean;
}

/** Of a replica, what it has applied counts, too. */
async function readPlace(source: Queryable): Promise<SourcePlace> {
  const [row] = await source.query<{ now: string; binlog: string; slave: string }[]>(
    'SELECT CAST(UTC_TIMESTAMP(6) AS CHAR) AS now, @@GLOBAL.gtid_binlog_pos AS `binlog`, @@GLOBAL.gtid_slave_pos AS `slave`',
  );
  const { now = '', binlog = '', slave = '' } = row ?? {};
  const position = formatPosition(joinPositions(positionAfterGtids(binlog), positionAfterGtids(slave)));
  return { at: `${now}+00`, position: position === '' ? null : position, isReplica: slave !== '' };
}

export interface SeenKnowledge {
  readonly table: TableKnowledge;
  /** When MariaDB was asked, by its clock. */
  readonly at: string;
  /** All events above it came after the table was so. */
  readonly first: string | null;
  /** All events that it covers came before that. */
  readonly last: string | null;
  /** When it became so, at the latest; null or absent: not known. */
  readonly definedAt?: string | null;
}

/**
 * Records what MariaDB said: a new row where it is not what it said last. Returns its id. Only for who keeps the table from
 * being altered since he asked: others use `readAndRecord`.
 */
export async function recordKnowledge(pool: Pool, names: TableNames, seen: SeenKnowledge): Promise<string> {
  return inTransaction(pool, async (client) => {
    await lockKnowledge(client, names);
    return record(client, names, seen);
  });
}

async function lockKnowledge(client: ClientBase, { source, database, table }: TableNames): Promise<void> {
  await client.query(`SELECT pg_advisory_xact_lock(hashtextextended('afterimage.knowledge:' || $1, 0))`, [
    JSON.stringify([source, database, table]),
  ]);
}

async function record(
  client: ClientBase,
  { source, database, table }: TableNames,
  seen: SeenKnowledge,
): Promise<string> {
  const json = JSON.stringify(seen.table, (_, member: unknown) =>
    typeof member === 'string' ? member.replaceAll('\0', '') : member,
  );
  const names = [source, database, table];
  const same = await client.query<{ id: string }>(
    `UPDATE afterimage.table_knowledge SET last_seen = greatest(last_seen, $5::timestamptz), last_position = CASE WHEN last_seen <= $5 THEN coalesce($6, last_position) ELSE last_position END,
            first_position = coalesce(first_position, $7)
     WHERE id = (SELECT max(id) FROM afterimage.table_knowledge WHERE source = $1 AND database_name = $2 AND table_name = $3)
       AND knowledge = $4::jsonb RETURNING id::text`,
    [...names, json, seen.at, seen.last, seen.first],
  );
  const [known] = same.rows;
  if (known !== undefined) return known.id;
  const { rows } = await client.query<{ id: string }>(
    `INSERT INTO afterimage.table_knowledge
       (source, database_name, table_name, knowledge, first_seen, last_seen, first_position, last_position, defined_at)
     VALUES ($1, $2, $3, $4::jsonb, $5::timestamptz, $5::timestamptz, $6, $7, $8::timestamptz) RETURNING id::text`,
    [...names, json, seen.at, seen.first, seen.last, seen.definedAt ?? null],
  );
  return rows[0]?.id ?? '';
}
