import type { Pool } from 'pg';

export interface Presence {
  /** Sources that a reader holds the lock of. */
  readonly readSources: ReadonlySet<string>;
  /** Whether any writer has a connection to this database. */
  readonly hasWriters: boolean;
}

/**
 * Which processes are there now, as PostgreSQL sees them: a state that a process wrote says nothing about whether the
 * process still lives. The application name of writers is seen by their own role and by those that may see all.
 */
export async function readPresence(pool: Pool, sources: readonly string[]): Promise<Presence> {
  const { rows } = await pool.query<{ readSources: string[]; hasWriters: boolean }>(
    `SELECT ARRAY(
              SELECT source FROM unnest($1::text[]) AS source
              WHERE EXISTS (SELECT 1 FROM pg_locks l
                            WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
                              AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
                              AND (l.classid::bigint << 32 | l.objid::bigint) = hashtextextended('afterimage.reader:' || source, 0))
            ) AS "readSources",
            EXISTS (SELECT 1 FROM pg_stat_activity
                    WHERE datname = current_database() AND application_name = 'afterimage-writer') AS "hasWriters"`,
    [sources],
  );
  const [found] = rows;
  return { readSources: new Set(found?.readSources), hasWriters: found?.hasWriters ?? false };
}
