import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
// @boundaries-ignore the names that cut names get are made for this test
import { fitName } from '../../packages/replica/src/names.js';
import { queueBackends } from '../harness/databases.js';
import { expectedRows, type HostileTable, nameOf, playTable, readStored, tableSettings } from './hostile-tables.js';
import { SecurityRig } from './security-rig.js';

const long = 'x'.repeat(64);
const fitted = fitName(long);

function makeTable(table: string, columns: readonly string[], more: Partial<HostileTable> = {}): HostileTable {
  const values = columns.slice(1).map((_, i) => `value ${i}`);
  const rows = [values, values.toReversed(), values.map(() => null), values];
  return { database: 'limits', table, columns, isKeyed: true, as: null, rows, ...more };
}

const tables = {
  'columns of 64 characters, and others that are called as those are when cut': makeTable('cut', [
    'id',
    long,
    fitted,
    `${fitted.slice(0, 62)}`,
    `${long.slice(0, 63)}y`,
    'é'.repeat(64),
    'é'.repeat(63),
    '😀'.repeat(16),
  ]),
  'columns that differ in case or trailing space alone': makeTable('alike', ['id', 'ID', 'Id', 'id ', 'id  ']),
  'columns called like those of history, and like each other with a _': makeTable('history', [
    'id',
    'stream_ordinal',
    'stream_ordinal_',
    'stream_ordinal__',
    'domain_',
    'event_type_',
  ]),
  'columns called like PostgreSQL’s own': makeTable('system', [
    'ctid',
    'xmin',
    'xmin_',
    'xmax',
    'cmin',
    'cmax',
    'tableoid',
    'oid',
  ]),
  'a table without a key whose columns are called like what our statements use': makeTable(
    'ours',
    ['generate_series', 'counted', 'copies', 'h', 'm', 'net', 'newest', 'v0', 'excluded', 'event', 'x'],
    { isKeyed: false },
  ),
  'columns called like what JavaScript’s objects have': makeTable(
    '__proto__',
    ['constructor', '__proto__', 'prototype', 'toString', 'hasOwnProperty', 'then'],
    { database: 'constructor' },
  ),
  'tables of 64 characters that begin alike': makeTable('漢'.repeat(64), ['id', 'v']),
  'tables of 64 characters that begin alike (the other)': makeTable(`${'漢'.repeat(63)}字`, ['id', 'v']),
  'a table called like a history segment of another': makeTable('cut$2', ['id', 'v']),
  'a table called like an as-of function of another': makeTable('cut_as_of', ['id', 'v']),
  'a database called public, a table called pg_class': makeTable('pg_class', ['id', 'v'], { database: 'public' }),
  'rows of 20 MB': makeTable('big', ['id', 'v'], { rows: [[`'"\\\n😀`.repeat(2_200_000)], ['x'], ['y']] }),
  'numbers, JSON and dates that are none': makeTable('values', ['id', 'a', 'b'], {
    rows: [
      ['9'.repeat(100_000), '['.repeat(100_000)],
      ['9999-99-99', '\\u0000'],
      ['{"a":'.repeat(10_000), '-infinity'],
      ['NULL', 'null'],
    ],
  }),
};

// Several programs at once: a busy machine takes its time.
vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

describe('at the limits', () => {
  let rig: SecurityRig;

  beforeAll(async () => {
    const [queue] = queueBackends();
    if (queue === undefined) throw new Error('no queue');
    const list = Object.values(tables);
    const settings = Object.fromEntries(list.map((table) => [nameOf(table), tableSettings(table)]));
    rig = await SecurityRig.create({ queue, source: { tables: settings } });
    const events = new Map(list.map((table) => [nameOf(table), playTable(rig.server, table)]));
    const doubled = rig.server.table('limits', 'alike');
    doubled.appendLines(
      '{"domain": 0, "server_id": 1, "sequence": 900, "event_number": 1, "timestamp": 1795347409, "event_type": "insert", "id": 1, "ID": "a", "Id": "b", "id ": "c", "id  ": "d", "ID": "last", "id": 9}\n',
    );
    events.set('limits.alike', (events.get('limits.alike') ?? 0) + 1);
    rig.start();
    await rig.waitForEvents(events);
  });
  afterAll(() => rig?.close());

  it.each(Object.entries(tables))('%s are replicated with all their values', async (_what, table) => {
    const stored = await readStored(rig.pool, table);
    const expected = expectedRows(table);
    const isOwn = (row: readonly (string | null)[]) => row[0] !== '9';
    expect(stored.mirror.filter(isOwn)).toEqual(expected.mirror);
    expect(stored.history.filter(isOwn)).toEqual(expected.history);
    expect(stored.asOf.filter(isOwn)).toEqual(expected.mirror);
    expect(new Set(stored.columns).size).toBe(table.columns.length);
  });

  it('of a key that comes twice in a line the last one counts, as in every JSON parser', async () => {
    const { rows } = await rig.pool.query('SELECT "ID" AS value FROM limits.alike WHERE id = 9');
    expect(rows).toEqual([{ value: 'last' }]);
  });
});
