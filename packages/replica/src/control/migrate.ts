import { existsSync } from 'node:fs';
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
