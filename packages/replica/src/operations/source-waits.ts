import { redactUrl } from '@afterimage/service';
import type { Pool } from 'pg';

/** Something that cannot go on because MariaDB, which it needs, does not answer or refuses. */
export interface Waiter {
  readonly source: string;
  /** `database.table` whose batch waits, `reader` or `watcher`. */
  readonly waiter: string;
}

export interface SourceWait extends Waiter {
  readonly message: string;
  readonly since: Date;
}

/**
 * Longer than a wait for an answer and the pause after it. Who waits says so again within this time, so that what a killed
 * process left is not believed for long.
 */
const believedMs = 60_000;

/** To be called at every try that failed; `pauseMs`: until the next one. */
export async function noteSourceWait(
  pool: Pool,
  { source, waiter }: Waiter,
  { error, pauseMs }: { readonly error: Error; readonly pauseMs: number },
): Promise<void> {
  await pool.query(
    `INSERT INTO afterimage.source_waits AS w (source, waiter, message, since, valid_until)
     VALUES ($1, $2, $3, now(), now() + $4::float8 * interval '1 millisecond')
     ON CONFLICT (source, waiter) DO UPDATE SET message = excluded.message, valid_until = excluded.valid_until,
       since = CASE WHEN w.valid_until < now() THEN excluded.since ELSE w.since END`,
    [
      source,
      waiter,
      redactUrl(error.message)
        .replace(/[\s\0]+/g, ' ')
        .slice(0, 500),
      believedMs + pauseMs,
    ],
  );
}

/** MariaDB has answered. */
export async function endSourceWait(pool: Pool, { source, waiter }: Waiter): Promise<void> {
  await pool.query('DELETE FROM afterimage.source_waits WHERE source = $1 AND waiter = $2', [source, waiter]);
}

/** What waits now, the longest wait of each source first. */
export async function readSourceWaits(pool: Pool): Promise<SourceWait[]> {
  const { rows } = await pool.query<SourceWait>(
    `SELECT source, waiter, message, since FROM afterimage.source_waits WHERE valid_until > now() ORDER BY source, since, waiter`,
  );
  return rows;
}
