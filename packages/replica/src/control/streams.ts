import { and, asc, eq, sql } from 'drizzle-orm';
import { drizzle } from 'drizzle-orm/node-postgres';
import type { Pool } from 'pg';
import { inTransaction } from '../transaction.js';
import { type Division, undivided } from './layout.js';
import { offsets, readers, streams } from './tables.js';

export interface TableRegistration {
  readonly database: string;
  readonly table: string;
  /** How its events are to be divided; one partition when absent. */
  readonly division?: Division;
}

/** One table of one source, as registered. `id` names it in queues, jobs, offsets and history. */
export interface StreamRecord {
  readonly id: string;
  readonly source: string;
  readonly database: string;
  readonly table: string;
  readonly partitions: number;
}

const recordColumns = {
  id: streams.id,
  source: streams.source,
  database: streams.databaseName,
  table: streams.tableName,
  partitions: streams.partitions,
};

/**
 * Makes sure that each table has its stream and each partition its offset row, and returns the streams in the
 * order of `tables`. A stream that exists keeps its id, offsets and division: see changeLayout.
 */
export async function registerStreams(
  pool: Pool,
  source: string,
  tables: readonly TableRegistration[],
): Promise<StreamRecord[]> {
  if (tables.length === 0) return [];
  return inTransaction(pool, async (client) => {
    const tx = drizzle(client);
    const wanted = tables.map(({ database, table, division = undivided }) => ({
      source,
      databaseName: database,
      tableName: table,
      partitions: division.partitions,
      partitionKey: division.key === null ? null : [...division.key],
    }));
    await tx.insert(streams).values(wanted).onConflictDoNothing();
    const known = await tx.select(recordColumns).from(streams).where(eq(streams.source, source));
    const byName = new Map(known.map((record) => [JSON.stringify([record.database, record.table]), record]));
    const records = tables.flatMap(({ database, table }) => byName.get(JSON.stringify([database, table])) ?? []);
    const lanes = records.flatMap(({ id, partitions }) =>
      Array.from({ length: partitions }, (_, partition) => ({ streamId: id, partition })),
    );
    await tx.insert(offsets).values(lanes).onConflictDoNothing();
    return records;
  });
}

/** All streams, or those of one source, by source, database and table. */
export async function listStreamRecords(pool: Pool, source?: string): Promise<StreamRecord[]> {
  return drizzle(pool)
    .select(recordColumns)
    .from(streams)
    .where(source === undefined ? undefined : eq(streams.source, source))
    .orderBy(asc(streams.source), asc(streams.databaseName), asc(streams.tableName));
}

export type ReaderState = (typeof streams.$inferSelect)['readerState'];

export interface ReaderStatus {
  readonly state: ReaderState;
  /** One word for programs, where the state has a cause: LOST_POSITION, AUTH_FAILED … */
  readonly code: string | null;
  /** For people: what happened and what to do. */
  readonly message: string | null;
}

/**
 * Writes what the reader of `epoch` is doing with a stream; `reader_since` moves only when state or code change. Does
 * nothing when a later reader has taken over: a reader that lost its lock may take long to stop, and its last words
 * must not stand over those of its successor.
 */
export async function setReaderState(pool: Pool, streamId: string, status: ReaderStatus, epoch: bigint): Promise<void> {
  const same = sql`${streams.readerState} = ${status.state} AND ${streams.readerCode} IS NOT DISTINCT FROM ${status.code}`;
  await drizzle(pool)
    .update(streams)
    .set({
      readerState: status.state,
      readerCode: status.code,
      readerMessage: status.message,
      readerSince: sql`CASE WHEN ${same} THEN ${streams.readerSince} ELSE now() END`,
    })
    .where(
      and(
        eq(streams.id, streamId),
        sql`NOT EXISTS (SELECT FROM ${readers} WHERE ${readers.source} = ${streams.source} AND ${readers.epoch} > ${epoch})`,
      ),
    );
}
