import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Client } from 'pg';
import { describe, expect, it, vi } from 'vitest';
// @boundaries-ignore the harness that all tests share
import { createDatabase, createEmptyDatabase } from '../../../test/harness/databases.js';
import { startPostgres, startRedis } from '../src/index.js';
import { accepts } from './accepts.js';

async function query(url: string, sql: string): Promise<Record<string, unknown>[]> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(sql)).rows;
  } finally {
    await client.end();
  }
}

describe('a private PostgreSQL', () => {
  it('stores UTF-8 and sorts by code point on every machine', async () => {
    const postgres = await startPostgres({ database: 'shop', settings: { fsync: 'off' } });
    try {
      const [row] = await query(
        postgres.url,
        `SELECT current_database() AS database, pg_encoding_to_char(encoding) AS encoding, datlocale, current_setting('fsync') AS fsync,
           upper('é') AS upper, (SELECT string_agg(v, '' ORDER BY v) FROM unnest(ARRAY['b','a','B','é']) v) AS sorted
         FROM pg_database WHERE datname = current_database()`,
      );
      expect(row).toEqual({
        database: 'shop',
        encoding: 'UTF8',
        datlocale: 'C.UTF-8',
        fsync: 'off',
        upper: 'É',
        sorted: 'Babé',
      });
    } finally {
      await postgres.stop();
    }
    await expect(query(postgres.url, 'SELECT 1')).rejects.toThrow('ECONNREFUSED');
    await expect(postgres.stop()).resolves.toBeUndefined();
  });

  it('keeps its data in a folder that it is given', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'afterimage-test-'));
    await chmod(folder, 0o755);
    const dataDir = join(folder, 'cluster');
    try {
      const first = await startPostgres({ dataDir });
      await query(first.url, 'CREATE TABLE kept AS SELECT 42 AS n');
      await first.stop();
      const second = await startPostgres({ dataDir });
      expect(await query(second.url, 'SELECT n FROM kept')).toEqual([{ n: 42 }]);
      await second.stop();
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it('says what the server said when it cannot start', async () => {
    await expect(startPostgres({ settings: { shared_buffers: 'plenty' } })).rejects.toThrow(
      /PostgreSQL ended with exit code 1:[^]*shared_buffers/,
    );
  });

  it.each([
    ['the usual PATH', process.env['PATH'] ?? ''],
    ['no PATH to speak of', '/nonexistent'],
  ])('ends when the process that started it is killed, with %s', async (_name, path) => {
    const program = `import { startPostgres } from ${JSON.stringify(new URL('../dist/index.js', import.meta.url).href)};
      const { url } = await startPostgres({ settings: { fsync: 'off' } }); console.log(url); setInterval(() => {}, 1000);`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
      env: { ...process.env, PATH: path },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [url] = (await once(createInterface(child.stdout), 'line')) as [string];
    const port = Number(new URL(url).port);
    expect(await accepts(port)).toBe(true);
    child.kill('SIGKILL');
    await vi.waitUntil(async () => !(await accepts(port)), { timeout: 20_000, interval: 50 });
  });
});

describe('a private Redis', () => {
  it('is the one that REDIS_URL names', async () => {
    const redis = await startRedis({ REDIS_URL: 'redis://elsewhere:6379' });
    expect(redis?.url).toBe('redis://elsewhere:6379');
    await redis?.stop();
  });

  it('is null where there is no server program', async () => {
    expect(await startRedis({ PATH: '/nonexistent' })).toBeNull();
  });

  it('answers on its port, and removes its folder when stopped', async ({ skip }) => {
    const redis = await startRedis({ PATH: process.env['PATH'] });
    if (redis === null) return skip('no redis-server on the PATH');
    const port = Number(new URL(redis.url).port);
    expect(await accepts(port)).toBe(true);
    await redis.stop();
    expect(await accepts(port)).toBe(false);
  });
});

describe('the databases of the tests', () => {
  it('are migrated copies that do not see each other', async () => {
    const [one, two] = await Promise.all([createDatabase(), createDatabase()]);
    await one.pool.query(`INSERT INTO afterimage.readers (source) VALUES ('a')`);
    expect((await one.pool.query('SELECT source FROM afterimage.readers')).rows).toEqual([{ source: 'a' }]);
    expect((await two.pool.query('SELECT source FROM afterimage.readers')).rows).toEqual([]);
    await Promise.all([one.drop(), two.drop()]);
    await expect(query(one.url, 'SELECT 1')).rejects.toMatchObject({ code: '3D000' });
  });

  it('can be empty', async () => {
    const database = await createEmptyDatabase();
    const { rows } = await database.pool.query(`SELECT to_regclass('afterimage.streams') AS streams`);
    expect(rows).toEqual([{ streams: null }]);
    await database.drop();
  });
});

it('leaves no folder behind after stop', async () => {
  const postgres = await startPostgres({ settings: { fsync: 'off' } });
  const [row] = await query(postgres.url, `SELECT current_setting('data_directory') AS folder`);
  await postgres.stop();
  await expect(access(String(row?.['folder']))).rejects.toMatchObject({ code: 'ENOENT' });
});
