import { afterEach, beforeEach, expect, test } from 'vitest';
// @boundaries-ignore the harness that all tests share
import { type TestDatabase, createDatabase } from '../../../test/harness/databases.js';
import {
  type RowRepair,
  type StreamRecord,
  createApplier,
  findStream,
  rebuild,
  registerStreams,
  repairRows,
} from '../src/index.js';
import { ScriptedStream, testSettings } from './batches.js';

let database: TestDatabase;
let source: ScriptedStream;
let stream: StreamRecord;
const settingsOf = () => testSettings();

beforeEach(async () => {
  database = await createDatabase();
  await registerStreams(database.pool, 'main', [{ database: 'shop', table: 'orders' }]);
  stream = await findStream(database.pool, 'shop.orders');
  source = new ScriptedStream({ id: stream.id, source: 'main', database: 'shop', table: 'orders' });
  const batch = source.transaction(['insert', 1, 'a', 1], ['insert', 2, 'b', 2]).cut();
  await createApplier(database.pool, settingsOf).apply(batch);
});
afterEach(() => database.drop());

const repair = (rows: readonly RowRepair[], version = 1): Promise<number> =>
  repairRows(database.pool, {
    stream,
    settingsOf,
    version,
    columns: ['id', 'state', 'amount'],
    rowHash: 'm.state',
    after: null,
    repairs: { kind: 'rows', key: ['id'], rows },
  });
const mirror = async (): Promise<unknown[]> =>
  (await database.pool.query({ text: 'SELECT * FROM shop.orders ORDER BY id', rowMode: 'array' })).rows;

test('a row that is not any more what was compared is left to the stream', async () => {
  const rows: RowRepair[] = [
    { key: ['1'], row: ['1', 'right', '10'], before: 'what it was' },
    { key: ['2'], row: null, before: null },
    { key: ['3'], row: ['3', 'new', '30'], before: 'there once' },
  ];
  expect(await repair(rows)).toBe(0);
  expect(await repair([{ key: ['1'], row: ['1', 'right', '10'], before: 'a' }], 2)).toBe(0);
  expect(await mirror()).toEqual([
    [1, 'a', 1],
    [2, 'b', 2],
  ]);
});

test('rows are changed, removed and added, a user’s own columns stay, and history gives the mirror at every time', async () => {
  await database.pool.query(`ALTER TABLE shop.orders ADD own text DEFAULT 'mine'`);
  await database.pool.query(`UPDATE shop.orders SET own = 'yours'`);
  const rows: RowRepair[] = [
    { key: ['1'], row: ['1', 'right', '10'], before: 'a' },
    { key: ['2'], row: null, before: 'b' },
    { key: ['3'], row: ['3', 'new', '30'], before: null },
  ];
  expect(await repair(rows)).toBe(3);
  // Again, behind the same event.
  expect(await repair([{ key: ['3'], row: null, before: 'new' }])).toBe(1);
  expect(await repair([{ key: ['1'], row: ['1', 'better', '11'], before: 'right' }])).toBe(1);
  expect(await mirror()).toEqual([[1, 'better', 11, 'yours']]);
  expect(await rebuild(database.pool, { stream, settingsOf, apply: false })).toMatchObject({ equal: true });
  const { rows: before } = await database.pool.query(
    `SELECT id, state FROM shop_history.orders_as_of('2024-01-01') ORDER BY id`,
  );
  expect(before).toEqual([
    { id: 1, state: 'a' },
    { id: 2, state: 'b' },
  ]);
  const { rows: now } = await database.pool.query(`SELECT id, state FROM shop_history.orders_as_of(now())`);
  expect(now).toEqual([{ id: 1, state: 'better' }]);
});

test('of a stream with partitions, a repair stands behind the newest event of its own key', async () => {
  await database.pool.query(`UPDATE afterimage.streams SET partitions = 2, partition_key = '["id"]'`);
  await database.pool.query(
    `INSERT INTO afterimage.offsets (stream_id, partition, ordinal, schema_version) VALUES ($1, 1, 1, 1)`,
    [stream.id],
  );
  stream = await findStream(database.pool, 'shop.orders');
  expect(await repair([{ key: ['2'], row: ['2', 'right', '20'], before: 'b' }])).toBe(1);
  const { rows } = await database.pool.query(
    `SELECT DISTINCT stream_ordinal::int AS ordinal FROM shop_history.orders WHERE event_type::text LIKE 'repair%'`,
  );
  expect(rows).toEqual([{ ordinal: 2 }]);
  expect(await rebuild(database.pool, { stream, settingsOf, apply: false })).toMatchObject({ equal: true });
});
