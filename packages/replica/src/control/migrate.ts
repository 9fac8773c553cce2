import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { drizzle } from 'drizzle-orm/node-postgres';
import { migrate as runMigrations } from 'drizzle-orm/node-postgres/migrator';
import pg from 'pg';

/** Finds the repository's `migrations` folder from wherever this module runs: src, dist or an installed copy. */
function findMigrations(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  for (;;) {
    const candidate = join(folder, 'migrations');
    if (existsSync(join(candidate, 'meta', '_journal.json'))) return candidate;
    const parent = dirname(folder);
    if (parent === folder) throw new Error(`no migrations folder above ${fileURLToPath(import.meta.url)}`);
    folder = parent;
  }
}

/**
 * Brings the control tables (schema `afterimage`) of the database at `url` up to date. Does nothing where they
 * are; processes that call it at once take turns. Rejects with PostgreSQL's error, and then nothing has changed.
 */
export async function migrate(url: string): Promise<void> {
  const client = new pg.Client({ connectionString: url, keepAlive: true });
  // Without a listener a connection that breaks between two queries would end the process.
  client.on('error', () => undefined);
  await client.connect();
  try {
    await client.query(`SELECT pg_advisory_lock(hashtextextended('afterimage.migrate', 0))`);
    // "CREATE SCHEMA IF NOT EXISTS" reports an existing schema with a notice at every start.
    await client.query(`SET client_min_messages = warning`);
    await runMigrations(drizzle(client), { migrationsFolder: findMigrations(), migrationsSchema: 'afterimage' });
  } finally {
    await client.end();
  }
}

/**
 * Names of the migrations that this version has and the database does not; all of them where there is none yet. `ahead`
 * tells whether the database was migrated by a later version.
 */
export async function readPendingMigrations(pool: pg.Pool): Promise<{ pending: string[]; ahead: boolean }> {
  const journal = JSON.parse(readFileSync(join(findMigrations(), 'meta', '_journal.json'), 'utf8')) as {
    entries: { tag: string; when: number }[];
  };
  const { rows } = await pool.query<{ found: boolean }>(
    `SELECT to_regclass('afterimage.__drizzle_migrations') IS NOT NULL AS found`,
  );
  if (rows[0]?.found !== true) return { pending: journal.entries.map(({ tag }) => tag), ahead: false };
  const { rows: last } = await pool.query<{ when: string | null }>(
    'SELECT max(created_at)::text AS when FROM afterimage.__drizzle_migrations',
  );
  const applied = Number(last[0]?.when ?? 0);
  return {
    pending: journal.entries.filter(({ when }) => when > applied).map(({ tag }) => tag),
    ahead: journal.entries.every(({ when }) => when < applied),
  };
}
