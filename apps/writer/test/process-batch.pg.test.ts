import { setTimeout as sleep } from 'node:timers/promises';
import { Pool } from 'pg';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Batch } from '@afterimage/change-events';
import { openSourceDatabase } from '@afterimage/mariadb';
import { createApplier, noteSourceWait, readSourceWaits, registerStreams } from '@afterimage/replica';
import { createLogger, createRegistry } from '@afterimage/service';
// @boundaries-ignore the harness is the repository's, for all tests
// @boundaries-ignore the harness that all tests share
import { type TestDatabase, createDatabase } from '../../../test/harness/databases.js';
// @boundaries-ignore batches as a reader would cut them
// @boundaries-ignore the harness that all tests share
import { ScriptedStream, testSettings } from '../../../packages/replica/test/batches.js';
import { createWriterMetrics } from '../src/metrics.js';
import { createBatchProcessor } from '../src/process-batch.js';

let database: TestDatabase;
let pool: Pool;
let source: ScriptedStream;
let log: string[];
let processBatch: (batch: Batch, signal: AbortSignal) => Promise<unknown>;
const registry = createRegistry('writer');
const metrics = createWriterMetrics(registry);

beforeEach(async () => {
  database = await createDatabase();
  pool = new Pool({ connectionString: database.url, options: '-c lock_timeout=100ms' });
  pool.on('error', () => undefined);
  const [stream] = await registerStreams(database.pool, 'main', [{ database: 'shop', table: 'orders' }]);
  if (stream === undefined) throw new Error('not registered');
  const { id, database: name, table } = stream;
  source = new ScriptedStream({ id, source: 'main', database: name, table });
  log = [];
  const logger = createLogger({ name: 'writer', level: 'debug', destination: { write: (line) => log.push(line) } });
  processBatch = createBatchProcessor({ applier: createApplier(pool, () => testSettings()), pool, logger, metrics });
});
afterEach(async () => {
  await pool.end();
  await database.drop();
});

const never = new AbortController().signal;
const count = async () =>
  (await database.pool.query<{ n: number }>('SELECT count(*)::int AS n FROM shop.orders')).rows[0]?.n;
async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await sleep(10);
}

describe('a batch that cannot be applied for the moment', () => {
  test('is tried again in place until the lock is free, and the job is not handed back', async () => {
    const holder = await database.pool.connect();
    await holder.query('BEGIN');
    await holder.query('SELECT * FROM afterimage.offsets FOR UPDATE');
    const done = processBatch(source.transaction(['insert', 1, 'a', 1]).cut(), never);
    await until(() => log.filter((line) => line.includes('55P03')).length >= 2);
    await holder.query('COMMIT');
    holder.release();
    expect(await done).toEqual({ kind: 'done' });
    expect(await count()).toBe(1);
  });

  test('survives the loss of its connection in the middle of the transaction', async () => {
    const holder = await database.pool.connect();
    await holder.query('BEGIN');
    await holder.query('SELECT * FROM afterimage.offsets FOR UPDATE');
    const done = processBatch(source.transaction(['insert', 1, 'a', 1]).cut(), never);
    const cut = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`;
    await until(async () => ((await database.pool.query(cut)).rowCount ?? 0) > 0);
    await holder.query('COMMIT');
    holder.release();
    expect(await done).toEqual({ kind: 'done' });
    expect(await count()).toBe(1);
  });

  test('is given back when the writer is told to stop', async () => {
    const holder = await database.pool.connect();
    await holder.query('BEGIN');
    await holder.query('SELECT * FROM afterimage.offsets FOR UPDATE');
    const stop = new AbortController();
    const done = processBatch(source.transaction(['insert', 1, 'a', 1]).cut(), stop.signal);
    await until(() => log.some((line) => line.includes('55P03')));
    stop.abort(new Error('stopping'));
    await expect(done).rejects.toThrow('stopping');
    await holder.query('ROLLBACK');
    holder.release();
  });
});

test('a batch that came too early comes again soon, and one that came before is done', async () => {
  const [first, second] = [
    source.transaction(['insert', 1, 'a', 1]).cut(),
    source.transaction(['insert', 2, 'b', 2]).cut(),
  ];
  expect(await processBatch(second, never)).toEqual({ kind: 'retry', inMs: 200 });
  expect(await processBatch(first, never)).toEqual({ kind: 'done' });
  expect(await processBatch(first, never)).toEqual({ kind: 'done' });
  expect(await processBatch(second, never)).toEqual({ kind: 'done' });
  expect(await count()).toBe(2);
});

test('a batch whose lines are not what its envelope says stands in its stream, with nothing applied', async () => {
  const batch = source.transaction(['insert', 1, 'a', 1], ['insert', 2, 'b', 2]).cut();
  expect(await processBatch({ ...batch, count: 3 }, never)).toMatchObject({ kind: 'retry' });
  const { rows } = await database.pool.query('SELECT state, state_code FROM afterimage.streams');
  expect(rows).toEqual([{ state: 'halted', state_code: 'BATCH_REFUSED' }]);
});

test('a stream that stands is logged once, with its code, and seen in the metrics', async () => {
  await processBatch(source.transaction(['insert', 1, 'a', 1]).cut(), never);
  await database.pool.query('DROP TABLE shop.orders');
  const batch = source.transaction(['insert', 2, 'b', 2]).cut();
  expect(await processBatch(batch, never)).toEqual({ kind: 'retry', inMs: 5_000 });
  expect(await processBatch(batch, never)).toEqual({ kind: 'retry', inMs: 5_000 });
  expect(log.filter((line) => line.includes('MIRROR_CHANGED'))).toHaveLength(1);
  const behind = source.transaction(['insert', 3, 'c', 3]).cut();
  expect(await processBatch(behind, never)).toEqual({ kind: 'retry', inMs: 200 });
  const halted = async (value: number) =>
    expect(await registry.metrics()).toMatch(
      new RegExp(`^afterimage_writer_halted\\{.*table="orders".*\\} ${value}$`, 'm'),
    );
  await halted(1);
  await database.pool.query('CREATE TABLE shop.orders (id int PRIMARY KEY, state text, amount int)');
  expect(await processBatch(batch, never)).toEqual({ kind: 'done' });
  await halted(0);
});

describe('a batch that MariaDB is needed for', () => {
  test('tells that it waits while MariaDB is away, without a password, and takes that back when it goes on', async () => {
    const mariadb = openSourceDatabase({ url: 'mariadb://reader:secret@127.0.0.1:1', acquireTimeoutMs: 100 });
    let isAway = true;
    const applier = createApplier(
      pool,
      () => testSettings({ hasSource: true }),
      () => (isAway ? mariadb : undefined),
    );
    const logger = createLogger({ name: 'writer', level: 'debug', destination: { write: (line) => log.push(line) } });
    const processThis = createBatchProcessor({ applier, pool, logger, metrics });
    try {
      const done = processThis(source.transaction(['insert', 1, 'a', 1]).cut(), never);
      await until(async () => (await readSourceWaits(pool)).length > 0);
      const [wait] = await readSourceWaits(pool);
      expect(wait).toMatchObject({ source: 'main', waiter: 'shop.orders' });
      expect(wait?.message).toMatch(/^MariaDB cannot be asked \(.*\): trying again/);
      expect(wait?.message).not.toContain('secret');
      expect(await registry.metrics()).toMatch(/afterimage_writer_source_waits\{.*table="orders".*\} 1/);
      isAway = false;
      expect(await done).toEqual({ kind: 'done' });
      expect(await readSourceWaits(pool)).toEqual([]);
      expect(await registry.metrics()).toMatch(/afterimage_writer_source_waits\{.*table="orders".*\} 0/);
    } finally {
      await mariadb.end();
    }
  });

  test('is believed to wait since its first try, and not for long after its writer has died', async () => {
    const waiter = { source: 'main', waiter: 'shop.orders' };
    const note = () => noteSourceWait(pool, waiter, { error: new Error('gone'), pauseMs: 1_000 });
    await note();
    const [first] = await readSourceWaits(pool);
    await note();
    expect(await readSourceWaits(pool)).toEqual([first]);
    await pool.query(`UPDATE afterimage.source_waits SET valid_until = now()`);
    expect(await readSourceWaits(pool)).toEqual([]);
    await note();
    const [again] = await readSourceWaits(pool);
    expect(again?.since.getTime()).toBeGreaterThan(first?.since.getTime() ?? Infinity);
  });
});
