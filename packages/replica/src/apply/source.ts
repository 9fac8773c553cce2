import type { Pool } from 'pg';
import { type Batch, type Field } from '@afterimage/change-events';
import { type Queryable, type TableKnowledge, readTableKnowledge } from '@afterimage/mariadb';
import { isOfFields } from '../schema/knowledge.js';
import type { KnowledgeRecord } from '../schema/versions.js';
import { SourceUnavailable } from '../errors.js';
import { inTransaction } from '../transaction.js';

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

interface StoredKnowledge extends KnowledgeRecord {
  readonly lastSeen: Date;
}

/**
 * What MariaDB knew about a batch's table when its events happened, as near as can be told: what was recorded at or after
 * their time and has their columns, else what it says now. What it says now is recorded. Null when it has no such table and
 * never had.
 */
export async function learnTable(pool: Pool, source: Queryable, batch: Batch): Promise<KnowledgeRecord | null> {
  const { stream, schema, firstTimestamp } = batch;
  const read = await askSource(async () => readKnowledge(source, stream.database, stream.table));
  const now = read?.table ?? null;
  if (read !== null && now !== null) await recordKnowledge(pool, stream, { table: now, at: read.at });
  const { rows } = await pool.query<StoredKnowledge>(
    `SELECT id::text, knowledge AS "table", last_seen AS "lastSeen" FROM afterimage.table_knowledge
     WHERE source = $1 AND database_name = $2 AND table_name = $3 ORDER BY id`,
    [stream.source, stream.database, stream.table],
  );
  return chooseKnowledge(rows, schema.fields, new Date(firstTimestamp * 1000));
}

/** The first that was seen after the events and has their columns, else the last that has them, else the last. */
export function chooseKnowledge(
  records: readonly StoredKnowledge[],
  fields: readonly Field[],
  time: Date,
): KnowledgeRecord | null {
  const fitting = records.filter(({ table }) => isOfFields(fields, table));
  // The events' time is in whole seconds.
  const chosen =
    fitting.find(({ lastSeen }) => lastSeen.getTime() >= time.getTime() + 1000) ?? fitting.at(-1) ?? records.at(-1);
  return chosen === undefined ? null : { id: chosen.id, table: chosen.table };
}

async function readKnowledge(
  source: Queryable,
  database: string,
  table: string,
): Promise<{ table: TableKnowledge | null; at: string }> {
  const [clock] = await source.query<{ now: string }[]>('SELECT CAST(UTC_TIMESTAMP(6) AS CHAR) AS now');
  return { table: await readTableKnowledge(source, database, table), at: `${clock?.now ?? ''}+00` };
}

interface SeenKnowledge {
  readonly table: TableKnowledge;
  /** When MariaDB was asked, by its clock. */
  readonly at: string;
}

/** Records what MariaDB said: a new row where it is not what it said last. Returns its id. */
export async function recordKnowledge(
  pool: Pool,
  { source, database, table }: Pick<Batch['stream'], 'source' | 'database' | 'table'>,
  seen: SeenKnowledge,
): Promise<string> {
  const json = JSON.stringify(seen.table, (_, member: unknown) =>
    typeof member === 'string' ? member.replaceAll('\0', '') : member,
  );
  const names = [source, database, table];
  return inTransaction(pool, async (client) => {
    await client.query(`SELECT pg_advisory_xact_lock(hashtextextended('afterimage.knowledge:' || $1, 0))`, [
      JSON.stringify(names),
    ]);
    const same = await client.query<{ id: string }>(
      `UPDATE afterimage.table_knowledge SET last_seen = greatest(last_seen, $5::timestamptz)
       WHERE id = (SELECT max(id) FROM afterimage.table_knowledge WHERE source = $1 AND database_name = $2 AND table_name = $3)
         AND knowledge = $4::jsonb RETURNING id::text`,
      [...names, json, seen.at],
    );
    const [known] = same.rows;
    if (known !== undefined) return known.id;
    const { rows } = await client.query<{ id: string }>(
      `INSERT INTO afterimage.table_knowledge (source, database_name, table_name, knowledge, first_seen, last_seen)
       VALUES ($1, $2, $3, $4::jsonb, $5::timestamptz, $5::timestamptz) RETURNING id::text`,
      [...names, json, seen.at],
    );
    return rows[0]?.id ?? '';
  });
}
