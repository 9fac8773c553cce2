import { parsePosition, positionAfterGtids } from '@afterimage/change-events';
import { Client } from 'pg';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
// @boundaries-ignore the harness that all tests share
import { type TestDatabase, createDatabase } from '../../../test/harness/databases.js';
import { isCaughtUp, noteSourceWait, registerStreams, saveSourceState, type StreamRecord } from '../src/index.js';
import { isBeyond } from '../src/operations/caught-up.js';

describe('a stream', () => {
  let database: TestDatabase;
  let writer: Client;
  let orders: StreamRecord;
  let carts: StreamRecord;
  const quietMs = 60_000;

  beforeEach(async () => {
    database = await createDatabase();
    writer = new Client({ connectionString: database.url, application_name: 'afterimage-writer' });
    await writer.connect();
    const tables = ['orders', 'carts'].map((table) => ({ database: 'shop', table }));
    const [first, second] = await registerStreams(database.pool, 'main', tables);
    if (first === undefined || second === undefined) throw new Error('not registered');
    [orders, carts] = [first, second];
    await database.pool.query(
      `UPDATE afterimage.streams SET reader_state = 'streaming', reader_since = now() - interval '1 hour'`,
    );
    // The table was seen as it is long ago, when MariaDB had written so much.
    const position = positionAfterGtids('0-1-100,1-1-7');
    await saveSourceState(database.pool, orders.id, { knowledgeId: null, storage: null, changes: [], position });
    await database.pool.query(`UPDATE afterimage.source_states SET position_at = now() - interval '1 hour'`);
    await apply(orders, '0-1-90:1', '1 hour');
    await apply(carts, '0-1-100:3', '1 hour');
  });
  afterEach(async () => {
    await writer.end();
    await database.drop();
  });

  const apply = (stream: StreamRecord, position: string, age = '0 s') =>
    database.pool.query(
      'UPDATE afterimage.offsets SET position = $2, applied_at = now() - $3::interval WHERE stream_id = $1',
      [stream.id, position, age],
    );
  // With this much patience the writer of this test counts as there for long.
  const caughtUp = (patience = 0) => isCaughtUp(database.pool, orders, { quietMs: patience });

  it('has come to what MariaDB had written when an event from after that is applied, and not before', async () => {
    await apply(orders, '0-1-100:5');
    expect(await caughtUp(quietMs)).toBe(false);
    await apply(orders, '0-1-101:1');
    expect(await caughtUp(quietMs)).toBe(true);
    await database.pool.query(`UPDATE afterimage.streams SET reader_state = 'retrying'`);
    expect(await caughtUp(quietMs)).toBe(false);
  });

  it('has not come there with each of its partitions before all are there', async () => {
    await apply(orders, '0-1-101:1');
    await database.pool.query(
      `INSERT INTO afterimage.offsets (stream_id, partition, position, applied_at) VALUES ($1, 1, '0-1-99:1', now())`,
      [orders.id],
    );
    expect(await caughtUp(quietMs)).toBe(false);
    await database.pool.query(`UPDATE afterimage.offsets SET position = '0-1-101:9' WHERE partition = 1`);
    expect(await caughtUp(quietMs)).toBe(true);
  });

  it('of a quiet table has come there once another one of its source is beyond it, and some time has passed', async () => {
    await apply(carts, '0-1-101:1');
    const looks = await database.pool.query(`SELECT FROM afterimage.source_states WHERE passed_at IS NOT NULL`);
    expect(looks.rowCount).toBe(0);
    expect(await caughtUp(quietMs)).toBe(false);
    await database.pool.query(`UPDATE afterimage.source_states SET passed_at = passed_at - interval '1 hour'`);
    expect(await caughtUp()).toBe(true);
    await database.pool.query(`UPDATE afterimage.source_states SET passed_at = now() - interval '1 s'`);
    expect(await caughtUp(quietMs)).toBe(false);
  });

  it('of a quiet table has not come there while others of its source bring what is older', async () => {
    expect(await caughtUp()).toBe(true);
    await apply(carts, '0-1-100:3', '-1 hour');
    expect(await caughtUp()).toBe(false);
  });

  it.each([
    ['its reader has just found its place', `UPDATE afterimage.streams SET reader_since = now() + interval '1 s'`],
    [
      'its reader has just taken over',
      `INSERT INTO afterimage.readers (source, epoch, acquired_at) VALUES ('main', 2, now() + interval '1 s')`,
    ],
    ['something of it was just applied', `UPDATE afterimage.offsets SET applied_at = now() + interval '1 s'`],
    ['MariaDB was just looked at', `UPDATE afterimage.source_states SET position_at = now() + interval '1 s'`],
  ])('does not seem quiet while %s', async (_, change) => {
    expect(await caughtUp()).toBe(true);
    await database.pool.query(change);
    expect(await caughtUp()).toBe(false);
  });

  it('does not seem quiet while a batch of it is being applied, or waits for MariaDB', async () => {
    await writer.query('BEGIN');
    await writer.query('SELECT FROM afterimage.offsets FOR UPDATE');
    expect(await caughtUp()).toBe(false);
    await writer.query('COMMIT');
    expect(await caughtUp()).toBe(true);
    const waiter = { source: 'main', waiter: 'shop.orders' };
    await noteSourceWait(database.pool, waiter, { error: new Error('away'), pauseMs: 1_000 });
    expect(await caughtUp()).toBe(false);
  });

  it('does not seem quiet without a writer', async () => {
    await writer.query(`SET application_name = 'another'`);
    expect(await caughtUp()).toBe(false);
  });
});

describe('a position lies beyond what was written', () => {
  const written = positionAfterGtids('0-1-100,1-1-7');
  it.each([
    ['0-1-100:5', false],
    ['0-1-100:5,1-1-7:1', false],
    ['0-1-101:1', true],
    ['0-1-3:1,1-1-8:1', true],
    ['0-1-3:1,7-1-1:1', true],
    ['0-1-100:4294967295', false],
    ['0-1-100:4294967295,1-1-7:4294967295', true],
    ['', false],
  ])('at %j: %s', (position, expected) => {
    expect(isBeyond(parsePosition(position), written)).toBe(expected);
  });
});
