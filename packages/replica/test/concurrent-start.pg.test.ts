import { afterEach, beforeEach, expect, test } from 'vitest';
// @boundaries-ignore the harness that all tests share
import { type TestDatabase, createDatabase } from '../../../test/harness/databases.js';
import { createApplier, registerStreams } from '../src/index.js';
import { ScriptedStream, testSettings } from './batches.js';

let database: TestDatabase;

beforeEach(async () => {
  database = await createDatabase();
});
afterEach(() => database.drop());

test('streams whose mirrors share a schema can begin all at once', async () => {
  const tables = Array.from({ length: 5 }, (_, index) => ({ database: 'shop', table: `orders_${index}` }));
  const streams = await registerStreams(database.pool, 'main', tables);
  const applier = createApplier(database.pool, ({ table }) => testSettings({ mirror: { schema: 'shop', table } }));
  const batches = streams.map((stream) => {
    const { id, source, database: name, table } = stream;
    return new ScriptedStream({ id, source, database: name, table }).transaction(['insert', 1, 'new', 10]).cut();
  });
  const outcomes = await Promise.all(batches.map((batch) => applier.apply(batch)));
  expect(outcomes.map(({ kind }) => kind)).toEqual(tables.map(() => 'applied'));
});
