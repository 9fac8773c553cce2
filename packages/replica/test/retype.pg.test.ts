import { afterEach, beforeEach, describe, expect, test } from 'vitest';
// @boundaries-ignore the harness that all tests share
import { type TestDatabase, createDatabase } from '../../../test/harness/databases.js';
import {
  type StreamRecord,
  type TableSettings,
  createApplier,
  findStream,
  rebuild,
  registerStreams,
} from '../src/index.js';
import { ScriptedStream, field, testSettings } from './batches.js';

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

async function rows(sql: string): Promise<unknown[]> {
  return (await database.pool.query({ text: sql, rowMode: 'array' })).rows;
}

/** What row 1 has in column v, as text in UTC. */
async function oldValue(table: string): Promise<string | undefined> {
  const client = await database.pool.connect();
  try {
    await client.query(`SET timezone = 'UTC'`);
    return (await client.query<{ v: string }>(`SELECT v::text FROM ${table} WHERE id = 1`)).rows[0]?.v;
  } finally {
    client.release();
  }
}

const id = field('id', 'int', 'int');
const newYork = { timeZone: 'America/New_York', zeroDates: 'null', nulCharacters: 'remove' } as const;

interface Retype {
  readonly name: string;
  /** Real type, Avro type and value of column v before the change, and after it. */
  readonly before: readonly [string, string, string | number];
  readonly after: readonly [string, string, string | number];
  readonly settings?: readonly [Partial<TableSettings>, Partial<TableSettings>];
  /** The old value under the new type. */
  readonly becomes: string;
}

const typed = (type: string): Partial<TableSettings> => ({ columns: { v: { type } } });
const cases: readonly Retype[] = [
  {
    name: 'DATETIME to TIMESTAMP, read in the zone of the source',
    before: ['datetime', 'string', '2024-07-01 12:00:00'],
    after: ['timestamp_', 'string', '2024-07-01 12:00:00'],
    settings: [{ types: newYork }, { types: newYork }],
    becomes: '2024-07-01 16:00:00+00',
  },
  {
    name: 'TIMESTAMP to DATETIME, written in the zone of the source',
    before: ['timestamp_', 'string', '2024-07-01 12:00:00'],
    after: ['datetime', 'string', '2024-07-01 12:00:00'],
    settings: [{ types: newYork }, { types: newYork }],
    becomes: '2024-07-01 12:00:00',
  },
  {
    name: 'TIMESTAMP to VARCHAR, written in the zone of the source',
    before: ['timestamp_', 'string', '2024-07-01 12:00:00'],
    after: ['varchar', 'string', 'later'],
    settings: [{ types: newYork }, { types: newYork }],
    becomes: '2024-07-01 12:00:00',
  },
  {
    name: 'VARCHAR to TIMESTAMP, read in the zone of the source',
    before: ['varchar', 'string', '2024-07-01 12:00:00'],
    after: ['timestamp_', 'string', '2024-07-01 12:00:00'],
    settings: [{ types: newYork }, { types: newYork }],
    becomes: '2024-07-01 16:00:00+00',
  },
  {
    name: 'DATE to TIMESTAMP, read in the zone of the source',
    before: ['date', 'string', '2024-07-01'],
    after: ['timestamp_', 'string', '2024-07-01 00:00:00'],
    settings: [{ types: newYork }, { types: newYork }],
    becomes: '2024-07-01 04:00:00+00',
  },
  {
    name: 'BLOB to TEXT where the bytes are text',
    before: ['blob', 'bytes', 'hé\\llo'],
    after: ['text', 'bytes', 'x'],
    becomes: 'hé\\llo',
  },
  {
    name: 'BLOB to TEXT where they are none',
    before: ['blob', 'bytes', 'ff00'],
    after: ['text', 'bytes', 'x'],
    becomes: 'ff00',
  },
  {
    name: 'TEXT to BLOB',
    before: ['text', 'bytes', 'é\\'],
    after: ['blob', 'bytes', 'x'],
    becomes: '\\xc3a95c',
  },
  {
    name: 'an ENUM whose labels become known',
    before: ['enum', 'string', '02'],
    after: ['enum', 'string', '01'],
    settings: [{}, typed("enum('a','b')")],
    becomes: 'b',
  },
  {
    name: 'a SET whose labels become known',
    before: ['set', 'string', '05'],
    after: ['set', 'string', '02'],
    settings: [{}, typed("set('a','b','it''s')")],
    becomes: "a,it's",
  },
  { name: 'DOUBLE to INT', before: ['double', 'double', 1.6], after: ['int', 'int', 2], becomes: '2' },
  { name: 'DECIMAL to INT', before: ['decimal', 'double', 1.5], after: ['int', 'int', 2], becomes: '2' },
  {
    name: 'DECIMAL to fewer decimals',
    before: ['decimal', 'double', 1.25],
    after: ['decimal', 'double', 1.3],
    settings: [typed('decimal(10,2)'), typed('decimal(10,1)')],
    becomes: '1.3',
  },
  {
    name: 'a column that is configured shorter',
    before: ['text', 'bytes', 'abcdef'],
    after: ['text', 'bytes', 'abcdef'],
    settings: [{}, { columns: { v: { postgres: 'varchar(3)' } } }],
    becomes: 'abc',
  },
];

describe('a type change is the same in mirror and history view:', () => {
  for (const { name, before, after, settings = [{}, {}], becomes } of cases) {
    test(`${name}`, async () => {
      const [old, now] = settings.map((changes) => testSettings(changes));
      source.fields = [id, field('v', before[0], before[1])];
      const first = source.transaction(['insert', 1, before[2]]).cut();
      expect(await createApplier(database.pool, () => old).apply(first)).toMatchObject({ kind: 'applied', refused: 0 });
      const second = source
        .alter([id, field('v', after[0], after[1])])
        .transaction(['insert', 2, after[2]])
        .cut();
      expect(await createApplier(database.pool, () => now).apply(second)).toMatchObject({
        kind: 'applied',
        refused: 0,
      });
      expect(await oldValue('shop.orders')).toBe(becomes);
      expect(await oldValue('shop_history.orders')).toBe(becomes);
      expect(await rebuild(database.pool, { stream, settingsOf: () => now, apply: false })).toMatchObject({
        equal: true,
      });
    });
  }
});

test('a type that changes again and again is the same in mirror and history view', async () => {
  const types = [
    ['varchar', 'string', '12.75'],
    ['decimal', 'double', 1.5],
    ['int', 'int', 3],
    ['varchar', 'string', 'x'],
    ['blob', 'bytes', 'é'],
    ['text', 'bytes', 'y'],
  ] as const;
  const settingsOf = () => testSettings();
  const applier = createApplier(database.pool, settingsOf);
  for (const [i, [real, avro, value]] of types.entries()) {
    source.alter([id, field('v', real, avro)]);
    const outcome = await applier.apply(source.transaction(['insert', i, value]).cut());
    expect(outcome).toMatchObject({ kind: 'applied', refused: 0 });
    expect(await rebuild(database.pool, { stream, settingsOf, apply: false })).toMatchObject({ equal: true });
  }
  expect(await rows('SELECT v FROM shop_history.orders ORDER BY id')).toEqual([
    ['13'],
    ['2'],
    ['3'],
    ['x'],
    ['é'],
    ['y'],
  ]);
});

test('a number of long ago that does not fit the newest type is NULL in the history view, which goes on working', async () => {
  source.fields = [id, field('v', 'bigint', 'long')];
  const first = source.transaction(['insert', 1, 123456], ['delete', 1, 123456]).cut();
  await createApplier(database.pool, () => testSettings()).apply(first);
  for (const type of ['decimal(5,2)', 'smallint']) {
    source.alter([id, type === 'smallint' ? field('v', 'smallint', 'int') : field('v', 'decimal', 'double')]);
    const batch = source.transaction(['insert', 2, 1]).cut();
    const applier = createApplier(database.pool, () => testSettings(typed(type)));
    expect(await applier.apply(batch)).toMatchObject({ kind: 'applied', refused: 0 });
    expect(await rows('SELECT v FROM shop_history.orders WHERE id = 1')).toEqual([[null], [null]]);
  }
});

test('a mirror with a type that cannot be compared, such as json, is rebuilt all the same', async () => {
  const settingsOf = () => testSettings({ columns: { v: { postgres: 'json' } } });
  source.fields = [id, field('v', 'longtext', 'bytes')];
  await createApplier(database.pool, settingsOf).apply(
    source.transaction(['insert', 1, '{"a": 1}'], ['insert', 2, '[]'], ['insert', 3, null]).cut(),
  );
  await database.pool.query(`UPDATE shop.orders SET v = '{"a":2}' WHERE id = 1; DELETE FROM shop.orders WHERE id = 2`);
  expect(await rebuild(database.pool, { stream, settingsOf, apply: true })).toMatchObject({
    missing: 2,
    extra: 1,
    equal: true,
  });
  expect(await rows('SELECT id, v::text FROM shop.orders ORDER BY id')).toEqual([
    [1, '{"a": 1}'],
    [2, '[]'],
    [3, null],
  ]);
});
