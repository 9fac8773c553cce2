import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { configuredSettings, createApplier, registerStreams } from '@afterimage/replica';
import { parseConfig } from '@afterimage/service';
import { stringify } from 'yaml';
// @boundaries-ignore batches are scripted as the package's own tests do
import { ScriptedStream } from '../../../packages/replica/test/batches.js';
// @boundaries-ignore the harness that all tests share
import { createDatabase, type TestDatabase } from '../../../test/harness/databases.js';
import { checkTable } from '../src/demo/checker.js';
import type { TableExpectation } from '../src/demo/source-model.js';
import { configFor } from './run-cli.js';

const at = (sequence: number) => 1_700_000_000 + sequence;

/** What the source below says of itself. */
const truth: TableExpectation = {
  database: 'shop',
  table: 'orders',
  key: ['id'],
  columns: ['id', 'state'],
  rows: [['2', 'new']],
  events: [
    { gtid: '0-1-2', eventNumber: 1, operation: 'insert', timestamp: at(2), values: ['1', 'new'] },
    { gtid: '0-1-2', eventNumber: 2, operation: 'insert', timestamp: at(2), values: ['2', 'new'] },
    { gtid: '0-1-3', eventNumber: 1, operation: 'delete', timestamp: at(3), values: ['1', 'new'] },
  ],
  moments: [
    {
      gtid: '0-1-2',
      at: at(2),
      rows: [
        ['1', 'new'],
        ['2', 'new'],
      ],
    },
  ],
};

let database: TestDatabase;
const settings = () =>
  configuredSettings(parseConfig(stringify(configFor(database.url, { 'shop.orders': { key: ['id'] } })), 'test', {}));

beforeEach(async () => {
  database = await createDatabase();
  const [stream] = await registerStreams(database.pool, 'main', [{ database: 'shop', table: 'orders' }]);
  const source = new ScriptedStream({ id: stream?.id ?? '', source: 'main', database: 'shop', table: 'orders' });
  source.transaction(['insert', 1, 'new', 10], ['insert', 2, 'new', 20]).transaction(['delete', 1, 'new', 10]);
  await createApplier(database.pool, settings()).apply(source.cut());
});
afterEach(() => database.drop());

const problemsOf = async (expectation: TableExpectation) =>
  (await checkTable(database.pool, expectation, settings())).problems;
const run = (sql: string) => database.pool.query(sql);

describe('the check of the demo', () => {
  it('finds nothing where all is equal', async () => {
    expect(await checkTable(database.pool, truth, settings())).toEqual({
      table: 'shop.orders',
      rows: 1,
      events: 3,
      moments: 1,
      schemaVersion: 1,
      problems: [],
    });
  });

  it('finds a row that is missing, wrong or too many in the mirror', async () => {
    await run(`UPDATE shop.orders SET state = 'paid' WHERE id = 2`);
    expect(await problemsOf(truth)).toEqual([
      'mirror: 1 rows missing, such as ["2","new"]; 1 wrong, such as ["2","paid"]',
      'mirror and history differ (1 rows missing, 1 too many)',
    ]);
  });

  it('finds an event that is in history twice, and one that is not there', async () => {
    await run(`INSERT INTO shop_history."orders$1" SELECT * FROM shop_history."orders$1" WHERE stream_ordinal = 3`);
    expect((await problemsOf(truth))[0]).toBe('history has 4 events instead of 3');
    await run(`DELETE FROM shop_history."orders$1" WHERE stream_ordinal = 3`);
    expect(await problemsOf(truth)).toContain('history has 2 events instead of 3');
  });

  it('finds an event with other values, in another order or at another time', async () => {
    const [first, second, third] = truth.events as [
      TableExpectation['events'][0],
      TableExpectation['events'][0],
      TableExpectation['events'][0],
    ];
    for (const events of [
      [second, first, third],
      [{ ...first, timestamp: 5 }, second, third],
      [first, { ...second, values: ['2', null] }, third],
    ]) {
      expect((await problemsOf({ ...truth, events }))[0]).toMatch(/^history differs at event [12]:/);
    }
  });

  it('finds a moment that is remembered otherwise', async () => {
    const moments = [
      {
        gtid: '0-1-3',
        at: at(3),
        rows: [
          ['1', 'new'],
          ['2', 'new'],
        ],
      },
    ];
    expect(await problemsOf({ ...truth, moments })).toEqual([
      `as of ${new Date(at(3) * 1000).toISOString()}: 1 rows missing, such as ["1","new"]; 0 wrong`,
      'as of 0-1-3: 1 rows missing, such as ["1","new"]; 0 wrong',
    ]);
  });

  it('finds a stream that is not in order', async () => {
    await run(`UPDATE afterimage.streams SET state = 'halted', state_message = 'no room'`);
    expect(await problemsOf(truth)).toEqual(['the stream is halted: no room']);
  });
});
