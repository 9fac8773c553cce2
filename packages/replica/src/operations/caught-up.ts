import { coversAll, parsePosition, type Position } from '@afterimage/change-events';
import type { Pool } from 'pg';
import type { StreamRecord } from '../control/streams.js';

/**
 * Whether `position` lies beyond `source`, all that MariaDB had written at a moment. What is not part of that was written
 * later, in whatever domain; and MaxScale goes through one binary log, in its order.
 */
export function isBeyond(position: Position, source: Position): boolean {
  const isLater = [...position.values()].some(({ domain, sequence }) => {
    const then = source.get(domain);
    return then === undefined || sequence > then.sequence;
  });
  return isLater || (source.size > 0 && coversAll(position, source));
}

interface Progress {
  readonly positions: readonly string[];
  readonly isRunning: boolean;
  readonly isQuiet: boolean;
  /** What MariaDB had written when the table was first seen as it is. */
  readonly source: string | null;
}

/**
 * Whether all that the stream has to tell of the time before the table was seen as it is, is applied.
 *
 * An event from after that proves it. In a table without events the stream says nothing; then it must have been quiet for
 * `quietMs` while reader and writers were there, since MaxScale has come that far: another stream of the source is beyond it.
 * Where no stream is, the whole source must have been quiet: a MaxScale that is further behind, and has sent nothing of any
 * table meanwhile, is not noticed.
 */
export async function isCaughtUp(
  pool: Pool,
  { id, source }: Pick<StreamRecord, 'id' | 'source'>,
  { quietMs }: { readonly quietMs: number },
): Promise<boolean> {
  const progress = await readProgress(pool, id, quietMs);
  if (progress === undefined || !progress.isRunning) return false;
  const seen = progress.source === null ? null : parsePosition(progress.source);
  if (seen !== null && progress.positions.every((position) => isBeyond(parsePosition(position), seen))) return true;
  const hasPassed = seen !== null && (await readPositions(pool, source)).some((position) => isBeyond(position, seen));
  const ready = hasPassed
    ? await isPassedLongEnough(pool, id, quietMs)
    : await isSourceQuiet(pool, { id, source }, quietMs);
  return ready && progress.isQuiet;
}

/** A batch that is being applied holds the lock of its offset; one that waits for MariaDB says so. */
async function readProgress(pool: Pool, id: string, quietMs: number): Promise<Progress | undefined> {
  const { rows } = await pool.query<Progress>(
    `WITH free AS (SELECT FROM afterimage.offsets WHERE stream_id = $1 FOR SHARE SKIP LOCKED),
          quiet AS (SELECT now() - $2::float8 * interval '1 millisecond' AS since)
     SELECT array_agg(o.position) AS positions, max(c.position) AS source,
            bool_and(s.state <> 'halted' AND s.reader_state IN ('streaming', 'waiting')) AS "isRunning",
            bool_and(coalesce(o.applied_at, '-infinity') < q.since AND s.reader_since < q.since AND coalesce(r.acquired_at, '-infinity') < q.since)
              AND count(*) = (SELECT count(*) FROM free)
              AND EXISTS (SELECT FROM pg_stat_activity a, quiet WHERE a.datname = current_database()
                          AND a.application_name = 'afterimage-writer' AND a.backend_start < quiet.since)
              AND NOT EXISTS (SELECT FROM afterimage.source_waits w
                              WHERE w.source = min(s.source) AND w.waiter = min(s.database_name || '.' || s.table_name) AND w.valid_until > now()) AS "isQuiet"
     FROM afterimage.offsets o JOIN afterimage.streams s ON s.id = o.stream_id LEFT JOIN afterimage.readers r ON r.source = s.source
          LEFT JOIN afterimage.source_states c ON c.stream_id = s.id, quiet q
     WHERE o.stream_id = $1 GROUP BY s.id`,
    [id, quietMs],
  );
  return rows[0];
}

async function readPositions(pool: Pool, source: string): Promise<Position[]> {
  const { rows } = await pool.query<{ position: string }>(
    'SELECT DISTINCT o.position FROM afterimage.offsets o JOIN afterimage.streams s ON s.id = o.stream_id WHERE s.source = $1',
    [source],
  );
  return rows.map(({ position }) => parsePosition(position));
}

/** What MaxScale has converted takes a moment to come: it must be there that long. */
async function isPassedLongEnough(pool: Pool, id: string, quietMs: number): Promise<boolean> {
  const { rows } = await pool.query<{ ready: boolean }>(
    `UPDATE afterimage.source_states SET passed_at = coalesce(passed_at, now()) WHERE stream_id = $1
     RETURNING passed_at < now() - $2::float8 * interval '1 millisecond' AS ready`,
    [id, quietMs],
  );
  return rows[0]?.ready === true;
}

async function isSourceQuiet(
  pool: Pool,
  { id, source }: Pick<StreamRecord, 'id' | 'source'>,
  quietMs: number,
): Promise<boolean> {
  const { rows } = await pool.query<{ ready: boolean }>(
    `SELECT coalesce(max(o.applied_at), '-infinity') < q.since
            AND (SELECT coalesce(position_at, '-infinity') FROM afterimage.source_states WHERE stream_id = $2) < q.since AS ready
     FROM afterimage.offsets o JOIN afterimage.streams s ON s.id = o.stream_id,
          (SELECT now() - $3::float8 * interval '1 millisecond' AS since) AS q
     WHERE s.source = $1 GROUP BY q.since`,
    [source, id, quietMs],
  );
  return rows[0]?.ready === true;
}
