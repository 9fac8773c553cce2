import { randomBytes } from 'node:crypto';
import { Client, escapeIdentifier, Pool } from 'pg';
import { inject } from 'vitest';

export interface TestDatabase {
  readonly url: string;
  readonly pool: Pool;
  /** Closes the pool and drops the database, cutting whatever else is connected to it. */
  drop(): Promise<void>;
}

/** A name that no other test of this run uses, also fit for a queue prefix: `<start>_<12 hex digits>`. */
export function uniqueName(start: string): string {
  return `${start}_${randomBytes(6).toString('hex')}`;
}

/** A database of the caller's own, migrated: a copy of the run's template (some 30 ms). */
export async function createDatabase(): Promise<TestDatabase> {
  return createDatabaseFrom(inject('templateDatabase'));
}

/** An empty database, not migrated. */
export async function createEmptyDatabase(): Promise<TestDatabase> {
  return createDatabaseFrom('template0');
}

async function createDatabaseFrom(template: string): Promise<TestDatabase> {
  const adminUrl = inject('postgresAdminUrl');
  const name = uniqueName('test');
  await runAdmin(adminUrl, `CREATE DATABASE ${escapeIdentifier(name)} TEMPLATE ${escapeIdentifier(template)}`);
  const url = new URL(adminUrl);
  url.pathname = `/${name}`;
  const pool = new Pool({ connectionString: url.href, max: 5 });
  // An idle connection that a test cuts on purpose must not end the test process.
  pool.on('error', () => undefined);
  return {
    url: url.href,
    pool,
    drop: async () => {
      await pool.end();
      await runAdmin(adminUrl, `DROP DATABASE IF EXISTS ${escapeIdentifier(name)} WITH (FORCE)`);
    },
  };
}

async function runAdmin(adminUrl: string, statement: string): Promise<void> {
  const client = new Client({ connectionString: adminUrl });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}

/** The run's Redis, or null when this machine has none. Shared by all tests: use a prefix of your own, never FLUSHALL. */
function redisUrl(): string | null {
  return inject('redisUrl');
}

export type TestQueueBackend =
  | { readonly backend: 'postgres'; readonly redisUrl: null; readonly missing: false }
  | { readonly backend: 'redis'; readonly redisUrl: string; readonly missing: false }
  | { readonly backend: 'redis'; readonly redisUrl: null; readonly missing: true };

/**
 * Both queue backends, for `describe.each(queueBackends())('… on $backend', ({ backend, redisUrl, missing }) => …)`.
 * Where there is no Redis its entry is `missing`: give that to `describe.skipIf` or `it.skipIf`, so that the run
 * shows what it did not test. The run itself says why in one line.
 */
export function queueBackends(): readonly TestQueueBackend[] {
  const url = redisUrl();
  return [
    { backend: 'postgres', redisUrl: null, missing: false },
    url === null
      ? { backend: 'redis', redisUrl: null, missing: true }
      : { backend: 'redis', redisUrl: url, missing: false },
  ];
}
