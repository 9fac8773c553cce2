import { randomBytes } from 'node:crypto';
import { startPostgres, startRedis } from '@afterimage/local-servers';
import { migrate } from '@afterimage/replica';
import { Client, escapeIdentifier } from 'pg';
import type { TestProject } from 'vitest/node';

declare module 'vitest' {
  export interface ProvidedContext {
    /** Superuser connection to the run's PostgreSQL, database `postgres`. */
    postgresAdminUrl: string;
    /** The migrated database that tests copy. */
    templateDatabase: string;
    redisUrl: string | null;
  }
}

let cleanUp = async (): Promise<void> => undefined;

/** Vitest calls it after the last test. */
export async function teardown(): Promise<void> {
  await cleanUp();
}

/**
 * Once per run: one PostgreSQL (or the one that AFTERIMAGE_TEST_POSTGRES_URL names) with a migrated template
 * database, and one Redis where there is one.
 */
export async function setup(project: TestProject): Promise<void> {
  const postgres = await providePostgres();
  const redis = await startRedis();
  if (redis === null) {
    process.stderr.write(
      'SKIPPED: the tests on the Redis queue backend (no REDIS_URL, and no redis-server or valkey-server on the PATH)\n',
    );
  }
  const templateDatabase = `afterimage_template_${randomBytes(4).toString('hex')}`;
  await createTemplate(postgres.adminUrl, templateDatabase);
  project.provide('postgresAdminUrl', postgres.adminUrl);
  project.provide('templateDatabase', templateDatabase);
  project.provide('redisUrl', redis?.url ?? null);
  cleanUp = async () => {
    if (postgres.shared) await dropTemplate(postgres.adminUrl, templateDatabase);
    await Promise.all([postgres.stop(), redis?.stop()]);
  };
}

async function providePostgres(): Promise<{ adminUrl: string; shared: boolean; stop(): Promise<void> }> {
  const given = process.env['AFTERIMAGE_TEST_POSTGRES_URL'];
  if (given !== undefined && given !== '') return { adminUrl: given, shared: true, stop: async () => undefined };
  // Nobody needs these files after a crash, so nothing waits for the disk.
  const settings = {
    fsync: 'off',
    full_page_writes: 'off',
    max_connections: 300,
    max_wal_size: '4GB',
    shared_buffers: '256MB',
  };
  const postgres = await startPostgres({ settings });
  return { adminUrl: postgres.adminUrl, shared: false, stop: () => postgres.stop() };
}

async function createTemplate(adminUrl: string, database: string): Promise<void> {
  await runAdmin(adminUrl, [`CREATE DATABASE ${escapeIdentifier(database)}`]);
  const url = new URL(adminUrl);
  url.pathname = `/${database}`;
  await migrate(url.href);
  // Connections to it would make copying fail.
  await runAdmin(adminUrl, [`ALTER DATABASE ${escapeIdentifier(database)} IS_TEMPLATE true ALLOW_CONNECTIONS false`]);
}

async function dropTemplate(adminUrl: string, database: string): Promise<void> {
  const name = escapeIdentifier(database);
  await runAdmin(adminUrl, [`ALTER DATABASE ${name} IS_TEMPLATE false`, `DROP DATABASE ${name} WITH (FORCE)`]);
}

async function runAdmin(adminUrl: string, statements: readonly string[]): Promise<void> {
  const client = new Client({ connectionString: adminUrl });
  await client.connect();
  try {
    for (const statement of statements) await client.query(statement);
  } finally {
    await client.end();
  }
}
