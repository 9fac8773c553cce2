import type { Config } from '@afterimage/service';
import pg from 'pg';
import { CommandError, explainPostgres } from './failures.js';

const connectTimeoutMs = 10_000;

/**
 * Runs `work` with connections to the configured PostgreSQL, which are closed afterwards. Errors that a user can do
 * something about come out as CommandError.
 */
export async function withDatabase<T>(
  config: Config,
  work: (pool: pg.Pool) => Promise<T>,
  { connections = 4 }: { readonly connections?: number } = {},
): Promise<T> {
  const { url } = config.postgres;
  const pool = new pg.Pool({
    connectionString: url,
    max: connections,
    connectionTimeoutMillis: connectTimeoutMs,
    application_name: 'afterimage cli',
  });
  // An idle connection that breaks is replaced at the next query, which tells if that fails too.
  pool.on('error', () => undefined);
  try {
    await requireMigrated(pool);
    return await work(pool);
  } catch (error) {
    throw explainPostgres(error, url);
  } finally {
    await pool.end();
  }
}

async function requireMigrated(pool: pg.Pool): Promise<void> {
  const { rows } = await pool.query<{ found: boolean }>(
    `SELECT to_regclass('afterimage.dead_letters') IS NOT NULL AS found`,
  );
  if (rows[0]?.found !== true) {
    throw new CommandError('this database has no Afterimage tables yet: run `afterimage migrate` first');
  }
}
