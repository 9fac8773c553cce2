import { endSilentConnections } from '@afterimage/replica';
import pg from 'pg';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { acquireReaderLock } from '../src/control/reader-lock.js';
// @boundaries-ignore the harness that all tests share
import { type TestDatabase, createDatabase } from '../../../test/harness/databases.js';
// @boundaries-ignore the harness that all tests share
import { FaultProxy } from '../../../test/harness/fault-proxy.js';

describe('a network that swallows everything without a word', () => {
  let database: TestDatabase;
  let proxy: FaultProxy;
  let url: string;
  let pool: pg.Pool;
  const ended: number[] = [];

  beforeEach(async () => {
    database = await createDatabase();
    proxy = await FaultProxy.start({ targetPort: Number(new URL(database.url).port) });
    const through = new URL(database.url);
    through.port = String(proxy.port);
    url = through.href;
    pool = new pg.Pool({ connectionString: url, max: 2 });
    pool.on('error', () => undefined);
    endSilentConnections(pool, { url, suspicionMs: 300, lookMs: 200, onEnd: (id) => ended.push(id) });
    ended.length = 0;
  });

  afterEach(async () => {
    proxy.close();
    await pool.end();
    await database.drop();
  });

  it.each(['up', 'down'] as const)(
    'on the way %s ends a statement with an error, and the pool goes on',
    async (way) => {
      await pool.query('SELECT 1');
      proxy.swallow(way);
      await expect(pool.query('SELECT 2')).rejects.toThrow(/^Connection terminated/);
      expect(ended).toHaveLength(1);
      await expect(pool.query('SELECT 3')).resolves.toBeDefined();
    },
  );

  it('does not end a statement that takes long', async () => {
    await pool.query('SELECT pg_sleep(5)');
    expect(ended).toEqual([]);
  });

  it('passes the reader lock on to a standby', async () => {
    const request = { source: 'main', heartbeatMs: 200, pollMs: 50, signal: AbortSignal.timeout(20_000) };
    const active = await acquireReaderLock({ ...request, url, instance: 'active' });
    const lost = new Promise<void>((resolve) => active.lost.addEventListener('abort', () => resolve()));
    proxy.swallow('up', 'down');
    const standby = await acquireReaderLock({ ...request, url: database.url, instance: 'standby' });
    await lost;
    expect(standby.epoch).toBe(active.epoch + 1n);
    await standby.release();
  });
});
