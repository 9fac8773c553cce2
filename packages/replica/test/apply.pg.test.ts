import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Batch } from '@afterimage/change-events';
// @boundaries-ignore the harness that all tests share
import { type TestDatabase, createDatabase } from '../../../test/harness/databases.js';
import { type TableSettings, createApplier, registerStreams } from '../src/index.js';
import { ScriptedStream, field, glue, orderFields, testSettings } from './batches.js';

let database: TestDatabase;
let source: ScriptedStream;

beforeEach(async () => {
  database = await createDatabase();
  const [stream] = await registerStreams(database.pool, 'main', [{ database: 'shop', table: 'orders' }]);
  if (stream === undefined) throw new Error('not registered');
  const { id, database: name, table } = stream;
  source = new ScriptedStream({ id, source: 'main', database: name, table });
});
afterEach(() => database.drop());

const applierWith = (changes: Partial<TableSettings> = {}) => createApplier(database.pool, () => testSettings(changes));

async function rows(sql: string): Promise<unknown[]> {
  return (await database.pool.query({ text: sql, rowMode: 'array' })).rows;
}
const mirror = () => rows('SELECT * FROM shop.orders AS o ORDER BY o');
const ordinals = async () =>
  (await rows('SELECT stream_ordinal FROM shop_history.orders ORDER BY 1')).flat().map(Number);

describe('a batch with a key', () => {
  test('upserts, deletes and keeps every event as history', async () => {
    source
      .transaction(['insert', 1, 'new', 10], ['insert', 2, 'new', 20], ['insert', 3, 'new', 30])
      .transaction(['update_before', 1, 'new', 10], ['update_after', 1, 'paid', 10], ['delete', 2, 'new', 20]);
    expect(await applierWith().apply(source.cut())).toMatchObject({ kind: 'applied', events: 6, refused: 0 });
    expect(await mirror()).toEqual([
      [1, 'paid', 10],
      [3, 'new', 30],
    ]);
    expect(
      await rows(
        'SELECT stream_ordinal::int, event_type, sequence::int, event_number::int, id, state FROM shop_history.orders ORDER BY 1',
      ),
    ).toEqual([
      [1, 'insert', 2, 1, 1, 'new'],
      [2, 'insert', 2, 2, 2, 'new'],
      [3, 'insert', 2, 3, 3, 'new'],
      [4, 'update_before', 3, 1, 1, 'new'],
      [5, 'update_after', 3, 2, 1, 'paid'],
      [6, 'delete', 3, 3, 2, 'new'],
    ]);
  });

  test('follows keys that change, swap and come back within one batch', async () => {
    source
      .transaction(['insert', 1, 'a', 1], ['insert', 2, 'b', 2])
      .transaction(['update_before', 1, 'a', 1], ['update_after', 9, 'a', 1])
      .transaction(['update_before', 2, 'b', 2], ['update_after', 1, 'b', 2])
      .transaction(['update_before', 9, 'a', 1], ['update_after', 2, 'a', 1])
      .transaction(['delete', 2, 'a', 1], ['insert', 2, 'c', 3]);
    await applierWith().apply(source.cut());
    expect(await mirror()).toEqual([
      [1, 'b', 2],
      [2, 'c', 3],
    ]);
  });

  test('keeps rows of a table that is all key', async () => {
    source.fields = [field('id', 'int', 'int')];
    const applier = applierWith();
    await applier.apply(source.transaction(['insert', 1], ['insert', 2]).cut());
    await applier.apply(source.transaction(['insert', 1], ['delete', 2]).cut());
    expect(await mirror()).toEqual([[1]]);
  });

  test('leaves columns and indexes that a user added alone', async () => {
    const applier = applierWith();
    await applier.apply(source.transaction(['insert', 1, 'a', 1]).cut());
    await database.pool.query(
      `ALTER TABLE shop.orders ADD COLUMN note text DEFAULT 'mine'; CREATE INDEX ON shop.orders (note)`,
    );
    await applier.apply(
      source.transaction(['update_before', 1, 'a', 1], ['update_after', 1, 'b', 1], ['insert', 2, 'c', 2]).cut(),
    );
    source.alter([...orderFields, field('extra', 'int', 'int')]);
    await applier.apply(source.transaction(['insert', 3, 'd', 3, 4]).cut());
    expect(await rows('SELECT id, state, note, extra FROM shop.orders ORDER BY 1')).toEqual([
      [1, 'b', 'mine', null],
      [2, 'c', 'mine', null],
      [3, 'd', 'mine', 4],
    ]);
  });
});

describe('a batch without a key', () => {
  const keyless = { key: null };

  test('removes one of several equal rows for each delete', async () => {
    const applier = applierWith(keyless);
    await applier.apply(
      source
        .transaction(['insert', 1, 'x', 1], ['insert', 1, 'x', 1], ['insert', 1, 'x', 1], ['insert', null, null, null])
        .cut(),
    );
    await applier.apply(source.transaction(['delete', 1, 'x', 1], ['delete', null, null, null]).cut());
    expect(await mirror()).toEqual([
      [1, 'x', 1],
      [1, 'x', 1],
    ]);
    await applier.apply(
      source.transaction(['update_before', 1, 'x', 1], ['update_after', 1, 'y', 1], ['insert', 1, 'y', 1]).cut(),
    );
    expect(await mirror()).toEqual([
      [1, 'x', 1],
      [1, 'y', 1],
      [1, 'y', 1],
    ]);
  });

  test('tells how many rows to remove were not there', async () => {
    const applier = applierWith(keyless);
    await applier.apply(source.transaction(['insert', 1, 'x', 1]).cut());
    expect(
      await applier.apply(source.transaction(['delete', 1, 'x', 1], ['delete', 5, 'never', 0]).cut()),
    ).toMatchObject({ kind: 'applied', missing: 1 });
    expect(await mirror()).toEqual([]);
  });

  test('goes on being right through schema changes', async () => {
    const applier = applierWith(keyless);
    await applier.apply(source.transaction(['insert', 1, 'x', 1], ['insert', 1, 'x', 1]).cut());
    source.alter([...orderFields, field('more', 'text', 'bytes')]);
    await applier.apply(source.transaction(['delete', 1, 'x', 1, null], ['insert', 2, 'y', 2, 'z']).cut());
    expect(await mirror()).toEqual([
      [1, 'x', 1, null],
      [2, 'y', 2, 'z'],
    ]);
  });
});

describe('the offset', () => {
  const three = (): [Batch, Batch, Batch] => [
    source.transaction(['insert', 1, 'a', 1]).cut(),
    source.transaction(['insert', 2, 'b', 2], ['update_before', 1, 'a', 1], ['update_after', 1, 'aa', 1]).cut(),
    source.transaction(['insert', 3, 'c', 3]).cut(),
  ];

  test('refuses a batch that would leave a gap and changes nothing', async () => {
    const applier = applierWith();
    const [first, second, third] = three();
    await applier.apply(first);
    expect(await applier.apply(third)).toEqual({ kind: 'gap', offset: first.last });
    expect(await ordinals()).toEqual([1]);
    await applier.apply(second);
    expect(await applier.apply(third)).toMatchObject({ kind: 'applied' });
    expect(await ordinals()).toEqual([1, 2, 3, 4, 5]);
  });

  test('takes a batch that comes again as a duplicate', async () => {
    const applier = applierWith();
    const [first, second] = three();
    await applier.apply(first);
    await applier.apply(second);
    expect(await applier.apply(first)).toEqual({ kind: 'duplicate' });
    expect(await ordinals()).toEqual([1, 2, 3, 4]);
  });

  test('applies only the new events of a batch that overlaps what was applied', async () => {
    const applier = applierWith();
    const [first, second, third] = three();
    await applier.apply(first);
    await applier.apply(second);
    expect(await applier.apply(glue(glue(first, second), third))).toMatchObject({ kind: 'applied', events: 1 });
    expect(await ordinals()).toEqual([1, 2, 3, 4, 5]);
    expect(await mirror()).toHaveLength(3);
  });

  test('makes two writers at the same batch harmless', async () => {
    const [first, second, third] = three();
    const writers = [applierWith(), applierWith(), applierWith()];
    for (const batch of [first, second, third]) {
      const kinds = (await Promise.all(writers.map((writer) => writer.apply(batch)))).map(({ kind }) => kind);
      expect(kinds.toSorted()).toEqual(['applied', 'duplicate', 'duplicate']);
    }
    expect(await ordinals()).toEqual([1, 2, 3, 4, 5]);
  });

  test('orders each domain by itself', async () => {
    const applier = applierWith();
    await applier.apply(source.transaction(['insert', 1, 'a', 1]).cut());
    source.domain = 7;
    await applier.apply(source.transaction(['insert', 2, 'b', 2]).cut());
    source.domain = 0;
    const batch = source.transaction(['insert', 3, 'c', 3]).cut();
    expect(batch.previous).toBe('0-1-2:1,7-1-2:1');
    expect(await applier.apply(batch)).toMatchObject({ kind: 'applied' });
    expect(await rows('SELECT position FROM afterimage.offsets')).toEqual([['0-1-3:1,7-1-2:1']]);
  });

  test('holds sequences beyond 2^32 and the 32-bit wraps of the stream', async () => {
    const batch = source.transaction(['insert', 1, 'a', 1]).cut();
    const wrapped: Batch = {
      ...batch,
      events: batch.events.replace('"sequence": 2', '"sequence": -3').replace('"server_id": 1', '"server_id": -1'),
      sequenceBases: { '0': '4294967296' },
      last: '0-4294967295-8589934589:1',
    };
    expect(await applierWith().apply(wrapped)).toMatchObject({ kind: 'applied' });
    expect(await rows('SELECT server_id, sequence FROM shop_history.orders')).toEqual([['4294967295', '8589934589']]);
  });
});

describe('a row that PostgreSQL refuses', () => {
  const guard = `ALTER TABLE shop.orders ADD CHECK (amount < 100)`;

  test('is isolated with its cause while the rest goes on, and the stream is degraded', async () => {
    const applier = applierWith();
    await applier.apply(source.transaction(['insert', 1, 'a', 1]).cut());
    await database.pool.query(guard);
    source.transaction(['insert', 2, 'b', 2], ['insert', 3, 'c', 100], ['insert', 4, 'd', 4]);
    source.transaction(['update_before', 1, 'a', 1], ['update_after', 1, 'a', 999], ['insert', 5, 'e', 5]);
    expect(await applier.apply(source.cut())).toMatchObject({ kind: 'applied', events: 4 - 1, refused: 2 });
    expect(await mirror()).toEqual([
      [1, 'a', 1],
      [2, 'b', 2],
      [4, 'd', 4],
      [5, 'e', 5],
    ]);
    expect(await rows('SELECT ordinal::int, position, sqlstate FROM afterimage.dead_letters ORDER BY 1')).toEqual([
      [3, '0-1-3:2', '23514'],
      [5, '0-1-4:1', '23514'],
    ]);
    expect(await rows('SELECT state, state_code FROM afterimage.streams')).toEqual([['degraded', 'DEAD_LETTERS']]);
    expect(await ordinals()).toEqual([1, 2, 4, 7]);
  });

  test('is isolated, too, when the constraint that refuses it is deferred to the end of the transaction', async () => {
    const applier = applierWith();
    await applier.apply(source.transaction(['insert', 1, 'a', 1]).cut());
    await database.pool.query('ALTER TABLE shop.orders ADD UNIQUE (amount) DEFERRABLE INITIALLY DEFERRED');
    source.transaction(['insert', 2, 'b', 1], ['insert', 3, 'c', 3]);
    expect(await applier.apply(source.cut())).toMatchObject({ kind: 'applied', refused: 1 });
    expect(await mirror()).toEqual([
      [1, 'a', 1],
      [3, 'c', 3],
    ]);
  });

  test('is not taken twice when its batch comes again with new events', async () => {
    const applier = applierWith();
    const first = source.transaction(['insert', 1, 'a', 1]).cut();
    await applier.apply(first);
    await database.pool.query(guard);
    const second = source.transaction(['insert', 2, 'b', 100], ['insert', 3, 'c', 3]).cut();
    await applier.apply(second);
    const third = source.transaction(['insert', 4, 'd', 200]).cut();
    await applier.apply(glue(second, third));
    expect(await rows('SELECT ordinal::int FROM afterimage.dead_letters ORDER BY 1')).toEqual([[2], [4]]);
  });

  test('may be a line that is no event at all', async () => {
    const batch = source.transaction(['insert', 1, 'a', 1], ['insert', 2, 'b', 2], ['insert', 3, 'c', 3]).cut();
    const lines = batch.events.split('\n');
    const broken = [lines[0], '{"half a line": tru', lines[2]?.replace('"insert"', '"explode"')].join('\n');
    expect(await applierWith().apply({ ...batch, events: broken })).toMatchObject({
      kind: 'applied',
      events: 1,
      refused: 2,
    });
    expect(await rows('SELECT ordinal::int, position, sqlstate, raw FROM afterimage.dead_letters ORDER BY 1')).toEqual([
      [2, '', 'AFI01', '{"half a line": tru'],
      [3, '0-1-2:3', '22P02', expect.stringContaining('explode')],
    ]);
  });

  test('stops the stream under policy halt, and the stream goes on once there is room for it', async () => {
    const applier = applierWith({ onRefused: 'halt' });
    await applier.apply(source.transaction(['insert', 1, 'a', 1]).cut());
    await database.pool.query(guard);
    const batch = source.transaction(['insert', 2, 'b', 100]).cut();
    expect(await applier.apply(batch)).toMatchObject({ kind: 'halted', code: 'ROW_REFUSED' });
    expect(await rows('SELECT state, state_code FROM afterimage.streams')).toEqual([['halted', 'ROW_REFUSED']]);
    await database.pool.query('ALTER TABLE shop.orders DROP CONSTRAINT orders_amount_check');
    expect(await applier.apply(batch)).toMatchObject({ kind: 'applied', events: 1 });
    expect(await rows('SELECT state, state_code FROM afterimage.streams')).toEqual([['active', null]]);
  });
});
