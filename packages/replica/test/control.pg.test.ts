import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import pg from 'pg';
import {
  acquireReaderLock,
  listStreamRecords,
  migrate,
  readOffsets,
  registerStreams,
  setReaderState,
} from '@afterimage/replica';
// @boundaries-ignore the harness that all tests share
import { createDatabase, createEmptyDatabase, type TestDatabase } from '../../../test/harness/databases.js';

let database: TestDatabase;

beforeAll(async () => {
  database = await createDatabase();
});

afterAll(async () => {
  await database.drop();
});

describe('migrate', () => {
  it('makes the control tables in an empty database, however many processes start at once', async () => {
    const empty = await createEmptyDatabase();
    try {
      await Promise.all([migrate(empty.url), migrate(empty.url), migrate(empty.url)]);
      await migrate(empty.url);
      const { rows } = await empty.pool.query(`SELECT count(*)::int AS n FROM afterimage.streams`);
      expect(rows).toEqual([{ n: 0 }]);
    } finally {
      await empty.drop();
    }
  });
});

describe('registered streams', () => {
  it('keep their id and their offset when they are registered again, also at the same time', async () => {
    const tables = [
      { database: 'shop', table: 'orders' },
      { database: 'shop', table: 'items', division: { partitions: 2, key: ['id'] } },
    ];
    const [first, second] = await Promise.all([
      registerStreams(database.pool, 'main', tables),
      registerStreams(database.pool, 'main', tables),
    ]);
    expect(second).toEqual(first);
    expect(first.map((r) => [r.source, r.database, r.table, r.partitions])).toEqual([
      ['main', 'shop', 'orders', 1],
      ['main', 'shop', 'items', 2],
    ]);
    const [orders, items] = first;
    await database.pool.query(`UPDATE afterimage.offsets SET position = '0-1-5:2', ordinal = 12 WHERE stream_id = $1`, [
      orders?.id,
    ]);
    const again = await registerStreams(database.pool, 'main', [...tables].reverse());
    expect(again.map((r) => r.id)).toEqual([items?.id, orders?.id]);
    const offsets = await readOffsets(
      database.pool,
      again.map((r) => r.id),
    );
    expect(offsets.get(orders?.id ?? '')?.partitions[0]).toEqual({
      position: '0-1-5:2',
      checkpointGtid: null,
      fileVersion: null,
      sourceTime: null,
      ordinal: 12n,
      schemaVersion: 0,
    });
    expect(offsets.get(items?.id ?? '')?.partitions.map(({ position }) => position)).toEqual(['', '']);
    const { rows } = await database.pool.query(
      `SELECT count(*)::int AS n FROM afterimage.offsets WHERE stream_id = $1`,
      [items?.id],
    );
    expect(rows).toEqual([{ n: 2 }]);
  });

  it('of two sources do not meet, and may have any name', async () => {
    const hostile = `a"b'; DROP TABLE x; --\u2028`;
    await registerStreams(database.pool, 'left', [{ database: hostile, table: hostile }]);
    await registerStreams(database.pool, 'right', [{ database: hostile, table: hostile }]);
    const [left] = await listStreamRecords(database.pool, 'left');
    const [right] = await listStreamRecords(database.pool, 'right');
    expect(left?.table).toBe(hostile);
    expect(left?.id).not.toBe(right?.id);
    expect(await registerStreams(database.pool, 'left', [])).toEqual([]);
  });

  it('tell what their reader is doing and since when', async () => {
    const [stream] = await registerStreams(database.pool, 'states', [{ database: 'd', table: 't' }]);
    const id = stream?.id ?? '';
    const read = async (): Promise<unknown> =>
      (
        await database.pool.query(
          `SELECT reader_state, reader_code, reader_message, reader_since::text FROM afterimage.streams WHERE id = $1`,
          [id],
        )
      ).rows[0] as unknown;
    await setReaderState(database.pool, id, { state: 'halted', code: 'LOST_POSITION', message: 'first' }, 1n);
    const halted = await read();
    expect(halted).toMatchObject({ reader_state: 'halted', reader_code: 'LOST_POSITION', reader_message: 'first' });
    await setReaderState(database.pool, id, { state: 'halted', code: 'LOST_POSITION', message: 'second' }, 1n);
    expect(await read()).toEqual({ ...(halted as object), reader_message: 'second' });
    await setReaderState(database.pool, id, { state: 'streaming', code: null, message: null }, 1n);
    const streaming = await read();
    expect(streaming).toMatchObject({ reader_state: 'streaming', reader_code: null });
    expect(streaming).not.toMatchObject({ reader_since: (halted as { reader_since: string }).reader_since });
  });

  it('are not registered when the connection breaks meanwhile, which is an error like others, and can be afterwards', async () => {
    const pool = new pg.Pool({ connectionString: database.url, max: 1, application_name: 'registering' });
    pool.on('error', () => undefined);
    const blocker = await database.pool.connect();
    await blocker.query('BEGIN; LOCK TABLE afterimage.streams IN ACCESS EXCLUSIVE MODE');
    const failed = registerStreams(pool, 'broken', [{ database: 'shop', table: 'orders' }]).then(
      () => 'registered',
      () => 'failed',
    );
    const terminate = async (): Promise<number | null> =>
      (
        await database.pool.query(
          `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'registering' AND wait_event_type = 'Lock'`,
        )
      ).rowCount;
    await expect.poll(terminate).toBe(1);
    expect(await failed).toBe('failed');
    await blocker.query('ROLLBACK');
    blocker.release();
    expect(await registerStreams(pool, 'broken', [{ database: 'shop', table: 'orders' }])).toHaveLength(1);
    await pool.end();
  });

  it('keep the state that the newest reader gave them, whatever its predecessor still says', async () => {
    const [stream] = await registerStreams(database.pool, 'succeeded', [{ database: 'shop', table: 'state' }]);
    const id = stream?.id ?? '';
    await database.pool.query(`INSERT INTO afterimage.readers (source, epoch) VALUES ('succeeded', 8)`);
    await setReaderState(database.pool, id, { state: 'streaming', code: null, message: null }, 8n);
    await setReaderState(database.pool, id, { state: 'idle', code: null, message: null }, 7n);
    const { rows } = await database.pool.query(`SELECT reader_state FROM afterimage.streams WHERE id = $1`, [id]);
    expect(rows).toEqual([{ reader_state: 'streaming' }]);
  });
});

describe('the reader lock', () => {
  const request = (source: string, signal = new AbortController().signal) => ({
    url: database.url,
    source,
    instance: 'test',
    signal,
    pollMs: 20,
    heartbeatMs: 50,
  });

  it('is held by one reader per source, and passes on with a higher epoch when it is released', async () => {
    const first = await acquireReaderLock(request('a'));
    const other = await acquireReaderLock(request('b'));
    let standby: () => void = () => undefined;
    const waits = new Promise<void>((resolve) => (standby = resolve));
    const second = acquireReaderLock({ ...request('a'), onStandby: () => standby() });
    await waits;
    await first.release();
    const successor = await second;
    expect([first.epoch, successor.epoch, other.epoch]).toEqual([1n, 2n, 1n]);
    expect(first.lost.aborted).toBe(false);
    await Promise.all([successor.release(), other.release()]);
  });

  it('tells its owner when the connection that holds it is cut, and the standby takes over', async () => {
    const owner = await acquireReaderLock(request('cut'));
    const successor = acquireReaderLock(request('cut'));
    const lost = once(owner.lost, 'abort');
    await database.pool.query(
      `SELECT pg_terminate_backend(l.pid) FROM pg_locks l
       WHERE l.locktype = 'advisory' AND l.granted AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
         AND (l.classid::bigint << 32 | l.objid::bigint) = hashtextextended('afterimage.reader:cut', 0)`,
    );
    await lost;
    const lock = await successor;
    expect(lock.epoch).toBe(2n);
    await owner.release();
    await lock.release();
  });

  it('stops waiting when it is told to', async () => {
    const owner = await acquireReaderLock(request('stop'));
    const stop = new AbortController();
    const waiting = acquireReaderLock({
      ...request('stop', stop.signal),
      onStandby: () => stop.abort(new Error('enough')),
    });
    await expect(waiting).rejects.toThrow('enough');
    await owner.release();
  });

  it('waits through an outage of PostgreSQL', async () => {
    const stop = new AbortController();
    const errors: unknown[] = [];
    const waiting = acquireReaderLock({
      ...request('outage', stop.signal),
      url: 'postgres://nobody@127.0.0.1:1/none',
      onError: (error) => {
        errors.push(error);
        if (errors.length === 2) stop.abort(new Error('seen twice'));
      },
    });
    await expect(waiting).rejects.toThrow('seen twice');
    expect(errors).toMatchObject([{ code: 'ECONNREFUSED' }, { code: 'ECONNREFUSED' }]);
  });
});
