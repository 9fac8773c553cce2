import type { ClientBase, Pool } from 'pg';
import type { Settled } from './settle.js';

/** The latest snapshot of a stream, as `status` shows it. */
export interface SnapshotRecord {
  readonly streamId: string;
  readonly state: 'copying' | 'settling' | 'done' | 'failed';
  /** A process works at it now. */
  readonly isRunning: boolean;
  readonly gtid: string | null;
  readonly rows: string;
  readonly bytes: string;
  readonly estimatedRows: string | null;
  readonly written: string | null;
  readonly removed: string | null;
  readonly attempt: number;
  readonly message: string | null;
  readonly startedAt: Date;
  readonly updatedAt: Date;
  readonly finishedAt: Date | null;
}

const lockKey = `hashtextextended('afterimage.snapshot:' || stream_id::text, 0)`;

/** The latest snapshot of every stream that has one. */
export async function readSnapshots(pool: Pool): Promise<SnapshotRecord[]> {
  const { rows } = await pool.query<SnapshotRecord>(
    `SELECT stream_id AS "streamId", state, gtid, rows::text, bytes::text, estimated_rows::text AS "estimatedRows",
            written::text, removed::text, attempt, message, started_at AS "startedAt", updated_at AS "updatedAt", finished_at AS "finishedAt",
            EXISTS (SELECT FROM pg_locks l WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
                    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
                    AND (l.classid::bigint << 32) | l.objid::bigint = ${lockKey}) AS "isRunning"
     FROM afterimage.snapshots ORDER BY started_at`,
  );
  return rows;
}

/** Takes the right to copy a stream, for as long as the connection lives; false when another process has it. */
export async function lockSnapshot(client: ClientBase, streamId: string): Promise<boolean> {
  const { rows } = await client.query<{ locked: boolean }>(
    `SELECT pg_try_advisory_lock(hashtextextended('afterimage.snapshot:' || $1::uuid::text, 0)) AS locked`,
    [streamId],
  );
  return rows[0]?.locked === true;
}

export async function unlockSnapshot(client: ClientBase, streamId: string): Promise<void> {
  await client.query(`SELECT pg_advisory_unlock(hashtextextended('afterimage.snapshot:' || $1::uuid::text, 0))`, [
    streamId,
  ]);
}

/** A copy begins, or begins again. */
export async function recordStart(
  pool: Pool,
  { streamId, attempt, estimatedRows }: { streamId: string; attempt: number; estimatedRows: bigint | null },
): Promise<void> {
  await pool.query(
    `INSERT INTO afterimage.snapshots AS s (stream_id, state, attempt, estimated_rows) VALUES ($1, 'copying', $2, $3)
     ON CONFLICT (stream_id) DO UPDATE SET state = 'copying', attempt = excluded.attempt, estimated_rows = excluded.estimated_rows,
       gtid = NULL, rows = 0, bytes = 0, written = NULL, removed = NULL, message = NULL, finished_at = NULL, updated_at = now(),
       started_at = CASE WHEN excluded.attempt = 1 THEN now() ELSE s.started_at END`,
    [streamId, attempt, estimatedRows?.toString() ?? null],
  );
}

export interface SnapshotProgress {
  readonly streamId: string;
  readonly state: 'copying' | 'settling';
  readonly gtid: string;
  readonly rows: number;
  readonly bytes: number;
}

export async function recordProgress(
  pool: Pool,
  { streamId, state, gtid, rows, bytes }: SnapshotProgress,
): Promise<void> {
  await pool.query(
    'UPDATE afterimage.snapshots SET state = $2, gtid = $3, rows = $4, bytes = $5, updated_at = now() WHERE stream_id = $1 AND finished_at IS NULL',
    [streamId, state, gtid, rows, bytes],
  );
}

/** To be called in the transaction that makes the snapshot part of its stream. */
export async function recordDone(
  client: ClientBase,
  streamId: string,
  done: Pick<Settled, 'written' | 'removed'> & Pick<SnapshotProgress, 'gtid' | 'rows' | 'bytes'>,
): Promise<void> {
  await client.query(
    `UPDATE afterimage.snapshots
     SET state = 'done', gtid = $2, rows = $3, bytes = $4, written = $5, removed = $6, updated_at = now(), finished_at = clock_timestamp()
     WHERE stream_id = $1`,
    [streamId, done.gtid, done.rows, done.bytes, done.written, done.removed],
  );
}

export async function recordFailure(pool: Pool, streamId: string, message: string): Promise<void> {
  await pool.query(
    `UPDATE afterimage.snapshots SET state = 'failed', message = $2, updated_at = now(), finished_at = now() WHERE stream_id = $1`,
    [streamId, message.replaceAll('\0', '')],
  );
}
