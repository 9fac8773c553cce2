import type { Batch } from '@afterimage/change-events';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
// @boundaries-ignore the harness that all tests share
import { type TestDatabase, createDatabase } from '../../../test/harness/databases.js';
import { changeLayout, createApplier, readStatus, registerStreams, type TableSettings } from '../src/index.js';
import { ScriptedStream, field, orderFields, testSettings } from './batches.js';

let database: TestDatabase;
beforeEach(async () => {
  database = await createDatabase();
});
afterEach(() => database.drop());

async function register(): Promise<Batch['stream']> {
  const division = { partitions: 2, key: ['id'] };
  const [stream] = await registerStreams(database.pool, 'main', [{ database: 'shop', table: 'orders', division }]);
  if (stream === undefined) throw new Error('not registered');
  return { id: stream.id, source: 'main', database: stream.database, table: stream.table };
}

const applier = (changes: Partial<TableSettings> = {}) => createApplier(database.pool, () => testSettings(changes));
const mark = (batch: Batch, partition: number, previous: Batch | undefined): Batch => ({
  ...batch,
  partition,
  previous: previous?.last ?? '',
  firstOrdinal: batch.lastOrdinal,
  count: 0,
  events: '',
});
const on = (batch: Batch, partition: number, previous?: Batch): Batch => ({
  ...batch,
  partition,
  previous: previous?.last ?? '',
});

describe('a divided stream', () => {
  test('can be divided by another key while its partitions are apart', async () => {
    const stream = await register();
    const source = new ScriptedStream(stream);
    const first = source.transaction(['insert', 1, 'a', 1]).cut();
    const second = source.transaction(['insert', 2, 'b', 2]).cut();
    // Partition 1 is ahead of partition 0 when everything is restarted with another key.
    await applier().apply(on(second, 1));
    const restarted = applier({ key: ['amount'] });
    // The reader first reads both up to the same event, under the division in force.
    expect.soft(await restarted.apply(on(first, 0))).toMatchObject({ kind: 'applied' });
    await restarted.apply(mark(second, 0, first));
    expect(await changeLayout(database.pool, stream.id, { partitions: 2, key: ['amount'] })).toBe(true);
  });

  test('goes on after its key column was renamed and the configuration follows', async () => {
    const stream = await register();
    const source = new ScriptedStream(stream);
    const first = source.transaction(['insert', 1, 'a', 1]).cut();
    await applier().apply(on(first, 0));
    await applier().apply(mark(first, 1, undefined));
    source.alter([field('uid', 'int', 'int'), ...orderFields.slice(1)]);
    const second = source.transaction(['insert', 2, 'b', 2]).cut();
    expect(await applier().apply(on(second, 0, first))).toMatchObject({ kind: 'halted', code: 'KEY_COLUMN_MISSING' });
    // A second later the other partition gets its mark.
    expect(await applier().apply(mark(second, 1, first))).toMatchObject({ kind: 'applied' });
    // The operator corrects `key` and restarts reader and writers: not aligned, so the reader repeats the old division.
    expect(await changeLayout(database.pool, stream.id, { partitions: 2, key: ['uid'] })).toBe(false);
    expect(await applier({ key: ['uid'] }).apply(on(second, 0, first))).toMatchObject({ kind: 'applied' });
  });

  test('is shown as halted as long as one of its partitions stands', async () => {
    const stream = await register();
    const source = new ScriptedStream(stream);
    const ok = source.transaction(['insert', 1, 'a', 1]).cut();
    const bad = source.transaction(['insert', 2, 'b', 99_999_999_999]).cut();
    const next = source.transaction(['insert', 3, 'c', 3]).cut();
    const writer = applier({ onRefused: 'halt' });
    await writer.apply(on(ok, 0));
    expect(await writer.apply(on(bad, 1))).toMatchObject({ kind: 'halted', code: 'ROW_REFUSED' });
    expect(await writer.apply(on(next, 0, ok))).toMatchObject({ kind: 'applied' });
    const [status] = await readStatus(database.pool);
    expect(status).toMatchObject({ state: 'halted', stateCode: 'ROW_REFUSED' });
  });

  test('dates a schema from its first event, also where a mark of another partition came before', async () => {
    const stream = await register();
    const source = new ScriptedStream(stream);
    const first = source.transaction(['insert', 1, 'a', 1]).cut();
    await applier().apply(on(first, 0));
    await applier().apply(mark(first, 1, undefined));
    source.alter([...orderFields, field('note', 'varchar', 'string')]);
    const second = source.transaction(['insert', 2, 'b', 2, 'x']).transaction(['insert', 3, 'b', 2, 'x']).cut();
    const third = source.transaction(['insert', 4, 'c', 3, 'y']).cut();
    // Partition 0 is slow with `second`; partition 1 gets its mark after a second, then an event.
    expect(await applier().apply(mark(second, 1, first))).toMatchObject({ kind: 'applied' });
    expect(await applier().apply(on(third, 1, second))).toMatchObject({ kind: 'applied' });
    expect(await applier().apply(on(second, 0, first))).toMatchObject({ kind: 'applied' });
    const { rows } = await database.pool.query(
      'SELECT version, first_ordinal FROM afterimage.schema_versions ORDER BY 1',
    );
    expect(rows).toEqual([
      { version: 1, first_ordinal: '1' },
      { version: 2, first_ordinal: '2' },
    ]);
  });
});
