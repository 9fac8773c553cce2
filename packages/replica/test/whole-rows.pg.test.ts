import { afterEach, beforeEach, expect, test } from 'vitest';
// @boundaries-ignore the harness that all tests share
import { type TestDatabase, createDatabase } from '../../../test/harness/databases.js';
import { createApplier, findStream, registerStreams } from '../src/index.js';
import { ScriptedStream, field, orderFields, testSettings } from './batches.js';

let database: TestDatabase;
let source: ScriptedStream;

beforeEach(async () => {
  database = await createDatabase();
  await registerStreams(database.pool, 'main', [{ database: 'shop', table: 'orders' }]);
  const { id } = await findStream(database.pool, 'shop.orders');
  source = new ScriptedStream({ id, source: 'main', database: 'shop', table: 'orders' });
});
afterEach(() => database.drop());

const keyless = () => createApplier(database.pool, () => testSettings({ key: null }));
async function rows(sql: string): Promise<unknown[]> {
  return (await database.pool.query({ text: sql, rowMode: 'array' })).rows;
}

test('the index that finds whole rows follows the columns when they change places', async () => {
  const applier = keyless();
  await applier.apply(source.transaction(['insert', 1, 'a', 1]).cut());
  source.alter(orderFields.toReversed());
  await applier.apply(source.transaction(['insert', 2, 'b', 2]).cut());
  expect(await rows(`SELECT indexdef FROM pg_indexes WHERE indexname = 'orders_row_hash'`)).toEqual([
    [expect.stringContaining('ROW(amount, state, id)')],
  ]);
});

test('rows of a table with a thousand columns are found too', async () => {
  source.fields = Array.from({ length: 1_000 }, (_, i) => field(`c${i}`, 'int', 'int'));
  const row = (last: number) => source.fields.map((_, i) => (i === 999 ? last : i));
  const applier = keyless();
  expect(await applier.apply(source.transaction(['insert', ...row(1)], ['insert', ...row(2)]).cut())).toMatchObject({
    kind: 'applied',
    refused: 0,
  });
  expect(await applier.apply(source.transaction(['delete', ...row(1)]).cut())).toMatchObject({ missing: 0 });
  expect(await rows('SELECT c0, c998, c999 FROM shop.orders')).toEqual([[0, 998, 2]]);
});
