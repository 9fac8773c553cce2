import { Pool } from 'pg';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
// @boundaries-ignore the harness that all tests share
import { type TestDatabase, createDatabase } from '../../../test/harness/databases.js';
import {
  type StreamRecord,
  type TableSettings,
  createApplier,
  discardDeadLetters,
  findStream,
  listDeadLetters,
  readAsOf,
  readHistory,
  readStatus,
  rebuild,
  registerStreams,
  retryDeadLetter,
} from '../src/index.js';
import { ScriptedStream, field, orderFields, testSettings } from './batches.js';

let database: TestDatabase;
let source: ScriptedStream;
let stream: StreamRecord;

beforeEach(async () => {
  database = await createDatabase();
  await registerStreams(database.pool, 'main', [{ database: 'shop', table: 'orders' }]);
  stream = await findStream(database.pool, 'shop.orders');
  source = new ScriptedStream({ id: stream.id, source: 'main', database: 'shop', table: 'orders' });
});
afterEach(() => database.drop());

const applierWith = (changes: Partial<TableSettings> = {}) => createApplier(database.pool, () => testSettings(changes));
async function rows(sql: string): Promise<unknown[]> {
  return (await database.pool.query({ text: sql, rowMode: 'array' })).rows;
}
const run = (sql: string) => database.pool.query(sql);
const settingsOf = () => testSettings();
const retryAll = async (changes: Partial<TableSettings> = {}) => {
  const results = [];
  for (const { id } of await listDeadLetters(database.pool)) {
    results.push((await retryDeadLetter(database.pool, { stream, settingsOf: () => testSettings(changes), id })).kind);
  }
  return results;
};

describe('a dead letter that is tried again', () => {
  beforeEach(async () => {
    await applierWith().apply(source.transaction(['insert', 1, 'a', 1], ['insert', 2, 'b', 2]).cut());
    await run('ALTER TABLE shop.orders ADD CONSTRAINT small CHECK (amount < 100)');
    const refused = source
      .transaction(['update_before', 1, 'a', 1], ['update_after', 1, 'a', 500], ['insert', 3, 'c', 300])
      .cut();
    await applierWith().apply(refused);
  });

  test('stays pending while its cause is there', async () => {
    expect(await retryAll()).toEqual(['refused', 'refused']);
    expect(await listDeadLetters(database.pool)).toHaveLength(2);
  });

  test('enters history at its own place and the mirror, and the stream is active again', async () => {
    await run('ALTER TABLE shop.orders DROP CONSTRAINT small');
    expect(await retryAll()).toEqual(['applied', 'applied']);
    expect(await rows('SELECT * FROM shop.orders ORDER BY 1')).toEqual([
      [1, 'a', 500],
      [2, 'b', 2],
      [3, 'c', 300],
    ]);
    expect(await rows('SELECT stream_ordinal::int, event_type FROM shop_history.orders ORDER BY 1')).toEqual([
      [1, 'insert'],
      [2, 'insert'],
      [3, 'update_before'],
      [4, 'update_after'],
      [5, 'insert'],
    ]);
    expect(await rows('SELECT state FROM afterimage.streams')).toEqual([['active']]);
  });

  test('never overwrites newer state', async () => {
    await applierWith().apply(
      source
        .transaction(
          ['update_before', 1, 'a', 1],
          ['update_after', 1, 'newer', 5],
          ['insert', 3, 'newer', 7],
          ['delete', 3, 'newer', 7],
        )
        .cut(),
    );
    await run('ALTER TABLE shop.orders DROP CONSTRAINT small');
    expect(await retryAll()).toEqual(['superseded', 'superseded']);
    expect(await rows('SELECT * FROM shop.orders ORDER BY 1')).toEqual([
      [1, 'newer', 5],
      [2, 'b', 2],
    ]);
  });

  test('goes through a schema change that came after it', async () => {
    await applierWith().apply(
      source
        .alter([...orderFields, field('more', 'int', 'int')])
        .transaction(['insert', 4, 'd', 4, 44])
        .cut(),
    );
    await run('ALTER TABLE shop.orders DROP CONSTRAINT small');
    expect(await retryAll()).toEqual(['applied', 'applied']);
    expect(await rows('SELECT * FROM shop.orders ORDER BY 1')).toEqual([
      [1, 'a', 500, null],
      [2, 'b', 2, null],
      [3, 'c', 300, null],
      [4, 'd', 4, 44],
    ]);
    expect(await rebuild(database.pool, { stream, settingsOf, apply: false })).toMatchObject({ equal: true });
  });

  test('can be given up', async () => {
    const ids = (await listDeadLetters(database.pool)).map(({ id }) => id);
    expect(await discardDeadLetters(database.pool, ids)).toBe(2);
    expect(await discardDeadLetters(database.pool, ids)).toBe(0);
    expect(await rows('SELECT state FROM afterimage.streams')).toEqual([['active']]);
    expect(await listDeadLetters(database.pool, { state: 'discarded' })).toHaveLength(2);
  });
});

test('a dead letter of a table without a key changes exactly its own rows', async () => {
  const keyless = { key: null };
  await applierWith(keyless).apply(source.transaction(['insert', 1, 'a', 1], ['insert', 1, 'a', 1]).cut());
  await run('ALTER TABLE shop.orders ADD CONSTRAINT small CHECK (amount < 100)');
  await applierWith(keyless).apply(
    source.transaction(['update_before', 1, 'a', 1], ['update_after', 1, 'a', 500]).cut(),
  );
  await run('ALTER TABLE shop.orders DROP CONSTRAINT small');
  expect(await retryAll(keyless)).toEqual(['applied']);
  expect(await rows('SELECT * FROM shop.orders ORDER BY amount')).toEqual([
    [1, 'a', 1],
    [1, 'a', 500],
  ]);
});

test('a dead letter of a table without a key does not bring back a row that was removed since', async () => {
  const keyless = { key: null };
  await applierWith(keyless).apply(source.transaction(['insert', 1, 'a', 1], ['insert', 2, 'b', 2]).cut());
  await run('ALTER TABLE shop.orders ADD CONSTRAINT small CHECK (amount < 100)');
  await applierWith(keyless).apply(
    source.transaction(['update_before', 1, 'a', 1], ['update_after', 1, 'a', 500], ['insert', 3, 'c', 300]).cut(),
  );
  expect(
    await applierWith(keyless).apply(source.transaction(['delete', 1, 'a', 500], ['delete', 3, 'c', 300]).cut()),
  ).toMatchObject({ missing: 2 });
  await run('ALTER TABLE shop.orders DROP CONSTRAINT small');
  expect(await retryAll(keyless)).toEqual(['applied', 'superseded']);
  expect(await rows('SELECT * FROM shop.orders')).toEqual([[2, 'b', 2]]);
  expect(await rebuild(database.pool, { stream, settingsOf: () => testSettings(keyless), apply: false })).toMatchObject(
    { equal: true },
  );
});

test('a dead letter from before its table was dropped and created anew is superseded', async () => {
  await applierWith({ key: null }).apply(source.transaction(['insert', 1, 'a', 1]).cut());
  await run('ALTER TABLE shop.orders ADD CONSTRAINT small CHECK (amount < 100)');
  await applierWith({ key: null }).apply(source.transaction(['insert', 2, 'b', 500]).cut());
  await applierWith({ key: null }).apply(
    source
      .alter([field('x', 'int', 'int')])
      .transaction(['insert', 7])
      .cut(),
  );
  expect(await retryAll({ key: null })).toEqual(['superseded']);
  expect(await rows('SELECT * FROM shop.orders')).toEqual([[7]]);
});

test('a dead letter takes the labels that were configured since, though the table was altered after that', async () => {
  const [id] = orderFields;
  if (id === undefined) throw new Error('no fields');
  const fields = [id, field('state', 'enum', 'string')];
  source.fields = fields;
  await applierWith().apply(source.transaction(['insert', 1, '01']).cut());
  await run('ALTER TABLE shop.orders ADD CONSTRAINT one CHECK (id = 1)');
  await applierWith().apply(source.transaction(['insert', 2, '02']).cut());
  await run('ALTER TABLE shop.orders DROP CONSTRAINT one');
  const labelled = { columns: { state: { type: "enum('new','paid')" } } };
  await applierWith(labelled).apply(source.transaction(['insert', 3, '01']).cut());
  await applierWith(labelled).apply(
    source
      .alter([...fields, field('more', 'int', 'int')])
      .transaction(['insert', 4, '02', 4])
      .cut(),
  );
  expect(await retryAll(labelled)).toEqual(['applied']);
  expect(await rows('SELECT id, state FROM shop.orders ORDER BY 1')).toEqual([
    [1, 'new'],
    [2, 'paid'],
    [3, 'new'],
    [4, 'paid'],
  ]);
});

test('a dead letter fits after the type of its column was configured', async () => {
  const fields = [orderFields[0] ?? field('id', 'int', 'int'), field('born', 'date', 'string')];
  source.fields = fields;
  await applierWith().apply(source.transaction(['insert', 1, '2024-02-29']).cut());
  await run(`ALTER TABLE shop.orders ADD CHECK (born < '2030-01-01')`);
  await applierWith().apply(source.transaction(['insert', 2, '2031-05-05']).cut());
  await run('ALTER TABLE shop.orders DROP CONSTRAINT orders_born_check');
  // Dates are written as a writer writes them, whatever the operator's session says.
  await run(`DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET datestyle = German', current_database()); END $$`);
  const pool = new Pool({ connectionString: database.url });
  const settings = () => testSettings({ columns: { born: { postgres: 'text' } } });
  const [letter] = await listDeadLetters(pool);
  expect(await retryDeadLetter(pool, { stream, settingsOf: settings, id: letter?.id ?? '' })).toMatchObject({
    kind: 'applied',
  });
  await pool.end();
  expect(await rows('SELECT * FROM shop.orders ORDER BY 1')).toEqual([
    [1, '2024-02-29'],
    [2, '2031-05-05'],
  ]);
  expect(await rows('SELECT version FROM afterimage.schema_versions ORDER BY 1')).toEqual([[1], [2]]);
});

describe('a table as it was', () => {
  const asOf = async (moment: Parameters<typeof readAsOf>[1]['moment'], settings = testSettings()) =>
    (await readAsOf(database.pool, { stream, settingsOf: () => settings, moment, limit: 100 })).rows;

  test('is told for every moment and every transaction', async () => {
    source.transaction(['insert', 1, 'a', 1], ['insert', 2, 'b', 2]); // 0-1-2, at …002
    source.transaction(['update_before', 1, 'a', 1], ['update_after', 3, 'a', 1]); // 0-1-3
    source.transaction(['delete', 2, 'b', 2]); // 0-1-4
    await applierWith().apply(source.cut());
    await applierWith().apply(
      source
        .alter([...orderFields.slice(0, 2), field('amount', 'varchar', 'string')])
        .transaction(['insert', 5, 'e', 'x'])
        .cut(),
    );
    const at = (second: number) => asOf({ kind: 'time', at: new Date((1_700_000_000 + second) * 1000) });
    expect(await at(1)).toEqual([]);
    expect(await at(2)).toEqual([
      ['1', 'a', '1'],
      ['2', 'b', '2'],
    ]);
    expect(await asOf({ kind: 'gtid', gtid: '0-1-3' })).toEqual([
      ['2', 'b', '2'],
      ['3', 'a', '1'],
    ]);
    expect(await asOf({ kind: 'gtid', gtid: '0-1-4' })).toEqual([['3', 'a', '1']]);
    expect(await at(9)).toEqual([
      ['3', 'a', '1'],
      ['5', 'e', 'x'],
    ]);
  });

  test('holds equal rows as often as they were there, without a key', async () => {
    const keyless = testSettings({ key: null });
    await applierWith({ key: null }).apply(
      source
        .transaction(['insert', 1, 'a', null], ['insert', 1, 'a', null])
        .transaction(['delete', 1, 'a', null])
        .cut(),
    );
    expect(await asOf({ kind: 'gtid', gtid: '0-1-2' }, keyless)).toHaveLength(2);
    expect(await asOf({ kind: 'gtid', gtid: '0-1-3' }, keyless)).toHaveLength(1);
  });
});

test('the history of one row is its changes in order', async () => {
  await applierWith().apply(
    source
      .transaction(['insert', 1, 'a', 1], ['insert', 2, 'b', 2])
      .transaction(['update_before', 1, 'a', 1], ['update_after', 1, 'z', 1])
      .cut(),
  );
  const history = await readHistory(database.pool, { stream, settingsOf, where: { id: '1' }, limit: 10 });
  expect(history.columns).toEqual([
    'stream_ordinal',
    'domain',
    'server_id',
    'sequence',
    'event_number',
    'timestamp',
    'event_type',
    'id',
    'state',
    'amount',
  ]);
  expect(history.rows.map((row) => [row[6], row[8]])).toEqual([
    ['insert', 'a'],
    ['update_before', 'a'],
    ['update_after', 'z'],
  ]);
  await expect(readHistory(database.pool, { stream, settingsOf, where: { nr: '1' }, limit: 1 })).rejects.toThrow(
    'there are: id, state, amount',
  );
});

describe('a rebuild from history', () => {
  for (const key of [['id'], null]) {
    test(`finds and mends every difference ${key === null ? 'without' : 'with'} a key, and nothing else`, async () => {
      const settings = () => testSettings({ key });
      await applierWith({ key }).apply(
        source.transaction(['insert', 1, 'a', 1], ['insert', 2, 'b', 2], ['insert', 3, null, 3]).cut(),
      );
      const check = () => rebuild(database.pool, { stream, settingsOf: settings, apply: false });
      expect(await check()).toEqual({ rows: 3, missing: 0, extra: 0, created: false, equal: true });
      await run(
        `UPDATE shop.orders SET state = 'changed' WHERE id = 1; DELETE FROM shop.orders WHERE id = 2; INSERT INTO shop.orders VALUES (9, 'extra', 9)`,
      );
      expect(await check()).toMatchObject({ missing: 2, extra: 2, equal: false });
      expect(await rebuild(database.pool, { stream, settingsOf: settings, apply: true })).toMatchObject({
        missing: 2,
        extra: 2,
        equal: true,
      });
      expect(await rows('SELECT * FROM shop.orders ORDER BY 1')).toEqual([
        [1, 'a', 1],
        [2, 'b', 2],
        [3, null, 3],
      ]);
    });
  }

  test('creates a mirror that was dropped, and the stream that stood for it goes on', async () => {
    const applier = applierWith();
    await applier.apply(source.transaction(['insert', 1, 'a', 1]).cut());
    await run('DROP TABLE shop.orders');
    const batch = source.transaction(['insert', 2, 'b', 2]).cut();
    expect(await applier.apply(batch)).toMatchObject({ kind: 'halted', code: 'MIRROR_CHANGED' });
    expect(await rebuild(database.pool, { stream, settingsOf, apply: true })).toMatchObject({
      created: true,
      equal: true,
    });
    expect(await applier.apply(batch)).toMatchObject({ kind: 'applied' });
    expect(await rows('SELECT * FROM shop.orders ORDER BY 1')).toEqual([
      [1, 'a', 1],
      [2, 'b', 2],
    ]);
  });
});

describe('a rebuild puts back', () => {
  for (const key of [['id'], null]) {
    test(`what was dropped of a mirror ${key === null ? 'without' : 'with'} a key`, async () => {
      const settings = () => testSettings({ key });
      const applier = applierWith({ key });
      await applier.apply(source.transaction(['insert', 1, 'a', 1], ['insert', 2, 'b', 2]).cut());
      await run('ALTER TABLE shop.orders DROP COLUMN state');
      await run(
        key === null
          ? 'DROP INDEX IF EXISTS shop.orders_row_hash'
          : 'ALTER TABLE shop.orders DROP CONSTRAINT orders_pkey',
      );
      const batch = source.transaction(['delete', 2, 'b', 2]).cut();
      expect(await applier.apply(batch)).toMatchObject({ kind: 'halted', code: 'MIRROR_CHANGED' });
      await expect(rebuild(database.pool, { stream, settingsOf: settings, apply: false })).rejects.toThrow(
        'lacks column "state", its key or row index; rebuild it with --apply',
      );
      const done = await rebuild(database.pool, { stream, settingsOf: settings, apply: true });
      expect(done).toMatchObject({ created: false, equal: true });
      expect(await applier.apply(batch)).toMatchObject({ kind: 'applied', missing: 0 });
      expect(await rows('SELECT id, state, amount FROM shop.orders')).toEqual([[1, 'a', 1]]);
      expect(await rows(`SELECT count(*)::int FROM pg_indexes WHERE tablename = 'orders'`)).toEqual([[1]]);
    });
  }
});

test('status tells where each stream stands', async () => {
  expect(await readStatus(database.pool)).toMatchObject([
    {
      database: 'shop',
      table: 'orders',
      state: 'active',
      position: '',
      ordinal: '0',
      schemaVersion: 0,
      sourceTime: null,
    },
  ]);
  source.fields = [field('id', 'int', 'int'), field('flags', 'bit', 'string')];
  await applierWith().apply(source.transaction(['insert', 1, ''], ['insert', 2, null]).cut());
  const [status] = await readStatus(database.pool);
  expect(status).toMatchObject({ position: '0-1-2:2', ordinal: '2', schemaVersion: 1, batches: '1', deadLetters: 0 });
  expect(status?.unreliable).toMatchObject([{ column: 'flags', values: 1 }]);
});

test('a stream is asked for by its table, and by its source where several have it', async () => {
  await registerStreams(database.pool, 'other', [{ database: 'shop', table: 'orders' }]);
  await expect(findStream(database.pool, 'shop.orders')).rejects.toThrow('write main/shop.orders or other/shop.orders');
  expect(await findStream(database.pool, 'other/shop.orders')).toMatchObject({ source: 'other' });
  await expect(findStream(database.pool, 'shop.nothing')).rejects.toThrow('known: shop.orders, shop.orders');
});
