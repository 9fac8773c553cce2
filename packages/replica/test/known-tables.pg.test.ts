import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Field } from '@afterimage/change-events';
import type { ColumnKnowledge, TableKnowledge } from '@afterimage/mariadb';
// @boundaries-ignore the harness that all tests share
import { type TestDatabase, createDatabase } from '../../../test/harness/databases.js';
import { recordHalt, refreshState } from '../src/apply/offset.js';
import { recordKnowledge, type SeenKnowledge } from '../src/apply/source.js';
import {
  columnsNow,
  createApplier,
  findStream,
  haltForSource,
  inTransaction,
  loadCurrent,
  readStatus,
  registerStreams,
  resumeStream,
} from '../src/index.js';
import { ScriptedStream, field, testSettings } from './batches.js';
import { adopt as adoptTable, integer, know as knowTable, notNull, tableOf, varchar } from './known.js';

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

const applier = () => createApplier(database.pool, () => testSettings({ key: null }));
const rows = async (sql: string) => (await database.pool.query<unknown[]>({ text: sql, rowMode: 'array' })).rows;

const countWaiting = async () =>
  (await rows(`SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`)).length;

const know = (key: string, columns: readonly ColumnKnowledge[]): Promise<void> =>
  knowTable(database.pool, tableOf(key, columns));

const adopt = async (table: TableKnowledge, seen: Partial<SeenKnowledge> = {}) => {
  const stream = await findStream(database.pool, 'shop.orders');
  return adoptTable(database.pool, { ...seen, stream, settings: testSettings({ key: null }), table });
};

describe('a row of before its column became NOT NULL', () => {
  const fields = [field('id', 'int', 'int'), field('a', 'int', 'int')];
  test('is applied when it comes with the first rows of the stream', async () => {
    await know('id', [integer('id', notNull), integer('a', notNull)]);
    source.fields = fields;
    const batch = source.transaction(['insert', 1, null], ['insert', 2, 5]).cut();
    expect(await applier().apply(batch)).toMatchObject({ kind: 'applied', refused: 0 });
    expect(await rows('SELECT id, a FROM shop.orders ORDER BY id')).toEqual([
      [1, null],
      [2, 5],
    ]);
  });

  test('is applied when it comes with new columns', async () => {
    await know('id', [integer('id', notNull), integer('a', notNull), integer('b')]);
    source.fields = fields;
    const writer = applier();
    await writer.apply(source.transaction(['insert', 2, 5]).cut());
    const batch = source
      .alter([...fields, field('b', 'int', 'int')])
      .transaction(['insert', 1, null, 3])
      .cut();
    expect(await writer.apply(batch)).toMatchObject({ kind: 'applied', refused: 0 });
    expect(await rows('SELECT id, a, b FROM shop.orders ORDER BY id')).toEqual([
      [1, null, 3],
      [2, 5, null],
    ]);
  });

  test('is applied by a writer that has just started', async () => {
    await know('id', [integer('id', notNull), integer('a', notNull)]);
    source.fields = fields;
    await applier().apply(source.transaction(['insert', 2, 5]).cut());
    const batch = source.transaction(['insert', 1, null]).cut();
    expect(await applier().apply(batch)).toMatchObject({ kind: 'applied', refused: 0 });
    expect(await rows('SELECT id, a FROM shop.orders ORDER BY id')).toEqual([
      [1, null],
      [2, 5],
    ]);
  });
});

describe('a key', () => {
  const primaryKey = `SELECT a.attname FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
    WHERE i.indisprimary AND i.indrelid = 'shop.orders'::regclass`;

  test('stays one when its column is renamed in a way that the stream does not tell', async () => {
    await know('id', [integer('id', notNull), integer('a')]);
    source.fields = [field('id', 'int', 'int'), field('a', 'int', 'int')];
    await applier().apply(source.transaction(['insert', 1, 5]).cut());
    expect(await adopt(tableOf('number', [integer('number', notNull), integer('a')]))).toBe('adopted');
    const batch = source.transaction(['update_before', 1, 5], ['update_after', 1, 6]).cut();
    expect(await applier().apply(batch)).toMatchObject({ kind: 'applied', newSchema: null });
    expect(await rows(primaryKey)).toEqual([['number']]);
    expect(await rows('SELECT number, a FROM shop.orders')).toEqual([[1, 6]]);
  });

  test('that the rows of the mirror do not keep yet is left out: rows are matched whole', async () => {
    source.fields = [field('a', 'int', 'int')];
    const writer = applier();
    await writer.apply(source.transaction(['insert', 5], ['insert', 6]).cut());
    await know('id', [integer('a'), integer('id', { ...notNull, isAutoIncrement: true })]);
    const added = source
      .alter([field('a', 'int', 'int'), field('id', 'int', 'int')])
      .transaction(['insert', 7, 3])
      .cut();
    expect(await writer.apply(added)).toMatchObject({ kind: 'applied', newSchema: { version: 2 } });
    const next = source.transaction(['delete', 7, 3], ['insert', 8, 4]).cut();
    expect(await applier().apply(next)).toMatchObject({ kind: 'applied', newSchema: null });
    expect(await rows('SELECT a, id FROM shop.orders ORDER BY a')).toEqual([
      [5, null],
      [6, null],
      [8, 4],
    ]);
    const leftOut = async () => (await readStatus(database.pool)).map(({ leftOutKey }) => leftOutKey);
    expect(await leftOut()).toEqual([{ columns: ['id'], cause: 'refused' }]);
    // What a copy of the table brings.
    await database.pool.query('UPDATE shop.orders SET id = a WHERE id IS NULL');
    const keyed = createApplier(database.pool, () => testSettings({ key: ['id'] }));
    await keyed.apply(source.transaction(['insert', 9, 9]).cut());
    expect(await rows(primaryKey)).toEqual([['id']]);
    expect(await leftOut()).toEqual([null]);
  });

  test('that the stream bends is left out, and the status says why', async () => {
    const uuid = { definition: 'uuid', type: { kind: 'uuid' } } as const;
    await know('id', [integer('id', { ...notNull, ...uuid }), integer('a')]);
    source.fields = [field('id', 'uuid', 'string'), field('a', 'int', 'int')];
    await applier().apply(source.transaction(['insert', '', 5]).cut());
    const [status] = await readStatus(database.pool);
    expect(status?.leftOutKey).toEqual({ columns: ['id'], cause: 'bent' });
  });
});

describe('a batch that waited for the writer of another partition', () => {
  test('is applied under what that one has brought into force', async () => {
    await know('id', [integer('id', notNull), integer('a')]);
    source.fields = [field('id', 'int', 'int'), field('a', 'int', 'int')];
    const writer = applier();
    await writer.apply(source.transaction(['insert', 1, 5]).cut());
    const other = await database.pool.connect();
    try {
      await other.query('BEGIN');
      await other.query('SELECT FROM afterimage.offsets FOR UPDATE');
      const applied = writer.apply(source.transaction(['insert', 2, 6]).cut());
      await expect.poll(countWaiting).toBe(1);
      await other.query(
        `WITH k AS (INSERT INTO afterimage.table_knowledge (source, database_name, table_name, knowledge, first_seen, last_seen)
           SELECT source, database_name, table_name, knowledge, now(), now() FROM afterimage.table_knowledge RETURNING id),
         v AS (INSERT INTO afterimage.schema_versions
           SELECT (jsonb_populate_record(v, jsonb_build_object('version', 2, 'knowledge_id', k.id))).* FROM afterimage.schema_versions v, k),
         s AS (UPDATE afterimage.streams SET knowledge_id = k.id FROM k)
         UPDATE afterimage.offsets SET schema_version = 2`,
      );
      await other.query('COMMIT');
      expect(await applied).toMatchObject({ kind: 'applied', events: 1 });
    } finally {
      other.release();
    }
    expect(await rows('SELECT max(version) FROM afterimage.schema_versions')).toEqual([[2]]);
  });
});

describe('columns that exchange names', () => {
  const fields = [field('id', 'int', 'int'), field('a', 'int', 'int'), field('b', 'int', 'int')];
  const swapped = tableOf('id', [integer('id', notNull), integer('b'), integer('a')]);
  const mirror = 'SELECT id, a, b FROM shop.orders ORDER BY id';

  beforeEach(async () => {
    await know('id', [integer('id', notNull), integer('a'), integer('b')]);
    source.fields = fields;
    await applier().apply(source.transaction(['insert', 1, 5, 6]).cut());
  });

  test('are told from columns that exchange places by the first row after it', async () => {
    expect(await adopt(swapped, { first: '0-1-2:4294967295', last: '0-1-2:4294967295' })).toBe('other-columns');
    await applier().apply(source.transaction(['insert', 2, 7, 8]).cut());
    expect(await adopt(swapped, { last: '0-1-3:4294967295' })).toBe('adopted');
    await applier().apply(source.transaction(['insert', 3, 9, 10]).cut());
    expect(await rows(mirror)).toEqual([
      [1, 6, 5],
      [2, 8, 7],
      [3, 10, 9],
    ]);
    expect(await rows('SELECT id, a, b FROM shop_history.orders ORDER BY id')).toEqual(await rows(mirror));
  });

  test('are told from them by a row of a time after it, too, though nobody had looked yet', async () => {
    await applier().apply(source.transaction(['insert', 2, 7, 8]).cut());
    const seen = { first: '0-1-3:4294967295', last: '0-1-3:4294967295' };
    const second = (n: number) => new Date((1_700_000_000 + n) * 1000).toISOString();
    expect(await adopt(swapped, { ...seen, definedAt: second(2) })).toBe('other-columns');
    await database.pool.query('UPDATE afterimage.table_knowledge SET defined_at = $1', [second(1)]);
    expect(await adopt(swapped, seen)).toBe('adopted');
    expect(await rows(mirror)).toEqual([
      [1, 6, 5],
      [2, 8, 7],
    ]);
  });

  test('are not told from them by the time of a row of another domain, which came after the look', async () => {
    source.domain = 7;
    await applier().apply(source.transaction(['insert', 2, 7, 8]).cut());
    const seen = { first: '0-1-3:4294967295', last: '0-1-3:4294967295' };
    expect(await adopt(swapped, { ...seen, definedAt: new Date(1_700_000_000_000).toISOString() })).toBe(
      'other-columns',
    );
  });

  test('are not compared by names that may be wrong, where a row came that does not tell', async () => {
    const [id, b, a] = swapped.columns as [ColumnKnowledge, ColumnKnowledge, ColumnKnowledge];
    const grown = tableOf('id', [id, b, a, varchar('c', 9)]);
    await know('id', grown.columns);
    await applier().apply(
      source
        .alter([...fields, field('c', 'varchar', 'string')])
        .transaction(['insert', 2, 7, 8, 'c'])
        .cut(),
    );
    const stream = await findStream(database.pool, 'shop.orders');
    const current = await inTransaction(database.pool, (client) =>
      loadCurrent(client, { stream, settingsOf: () => testSettings({ key: null }), lock: false }),
    );
    const found = await columnsNow(database.pool, stream, current, { id: '2', table: grown });
    expect(found.slice(1, 3)).toEqual([undefined, undefined]);
  });

  test('keep their values when MaxScale learns of it', async () => {
    await applier().apply(source.transaction(['insert', 2, 7, 8]).cut());
    expect(await adopt(swapped, { first: '0-1-2:4294967295', last: '0-1-3:4294967295' })).toBe('adopted');
    const [id, a, b] = fields as [Field, Field, Field];
    const told = source.alter([id, b, a]).transaction(['update_before', 2, 7, 8], ['update_after', 2, 7, 9]).cut();
    expect(await applier().apply(told)).toMatchObject({ kind: 'applied', newSchema: { version: 3 } });
    expect(await rows(mirror)).toEqual([
      [1, 6, 5],
      [2, 9, 7],
    ]);
    expect(await rows('SELECT DISTINCT a, b FROM shop_history.orders WHERE id = 1')).toEqual([[6, 5]]);
  });

  test('in a ring of three are what they were', async () => {
    const ring = [integer('id', notNull), integer('c'), integer('a'), integer('b')];
    await applier().apply(
      source
        .alter([...fields, field('c', 'int', 'int')])
        .transaction(['insert', 2, 7, 8, 9])
        .cut(),
    );
    await adopt(tableOf('id', [integer('id', notNull), integer('a'), integer('b'), integer('c')]));
    const seen = { first: '0-1-2:4294967295', last: '0-1-3:4294967295' };
    expect(await adopt(tableOf('id', ring), seen)).toBe('adopted');
    expect(await rows('SELECT id, c, a, b FROM shop.orders ORDER BY id')).toEqual([
      [1, 5, 6, null],
      [2, 7, 8, 9],
    ]);
  });
});

describe('a column that was renamed in a way that the stream does not tell', () => {
  const price = {
    definition: 'decimal(30,10)',
    type: { kind: 'decimal', precision: 30, scale: 10, isUnsigned: false, isZerofill: false },
  } as const;
  const [id, paid, note] = [
    field('id', 'int', 'int'),
    field('price', 'decimal', 'double'),
    field('note', 'int', 'int'),
  ] as const;
  const renamed = [integer('number', notNull), integer('cost', price)];
  const types = `SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute
    WHERE attrelid = 'shop.orders'::regclass AND attnum > 0 AND NOT attisdropped`;

  beforeEach(async () => {
    await know('id', [integer('id', notNull), integer('price', price)]);
    source.fields = [id, paid];
    await applier().apply(source.transaction(['insert', 1, 5]).cut());
    expect(await adopt(tableOf('number', renamed))).toBe('adopted');
  });

  test('keeps its type and its name when another is added, though nothing proves that it is the same', async () => {
    await know('number', [...renamed, integer('note')]);
    const added = source.alter([id, paid, note]).transaction(['insert', 2, 6, 7]).cut();
    expect(await applier().apply(added)).toMatchObject({ kind: 'applied', refused: 0 });
    const next = source.transaction(['update_before', 2, 6, 7], ['update_after', 2, 6, 8]).cut();
    expect(await applier().apply(next)).toMatchObject({ kind: 'applied', newSchema: null });
    expect(await rows(types)).toEqual([
      ['number', 'integer'],
      ['cost', 'numeric(30,10)'],
      ['note', 'integer'],
    ]);
    const steps =
      "SELECT DISTINCT s.value ->> 'kind' FROM afterimage.schema_versions, jsonb_array_elements(steps) AS s WHERE version = 3";
    expect(await rows(steps)).toEqual([['add']]);
  });

  test('keeps them where its schema version is from before origins were kept', async () => {
    await database.pool.query(
      `UPDATE afterimage.schema_versions SET columns = (SELECT jsonb_agg(c.value - 'source' ORDER BY c.ordinality) FROM jsonb_array_elements(columns) WITH ORDINALITY AS c)`,
    );
    const next = source.transaction(['insert', 2, 6]).cut();
    expect(await applier().apply(next)).toMatchObject({ kind: 'applied', newSchema: null });
  });
});

test('a column that takes the name of a renamed one is another, in history too', async () => {
  const [id, a, z] = [field('id', 'int', 'int'), field('a', 'int', 'int'), field('z', 'int', 'int')];
  await know('id', [integer('id', notNull), integer('a')]);
  source.fields = [id, a];
  await applier().apply(source.transaction(['insert', 1, 5]).cut());
  expect(await adopt(tableOf('id', [integer('id', notNull), integer('z')]))).toBe('adopted');
  await know('id', [integer('id', notNull), integer('z'), integer('a')]);
  await applier().apply(source.alter([id, z, a]).transaction(['insert', 2, 6, 7]).cut());
  const expected = [
    [1, 5, null],
    [2, 6, 7],
  ];
  expect(await rows('SELECT id, z, a FROM shop.orders ORDER BY id')).toEqual(expected);
  expect(await rows('SELECT id, z, a FROM shop_history.orders ORDER BY id')).toEqual(expected);
});

test('what MariaDB says is kept without its NULs, whatever escapes its texts hold', async () => {
  const comments = ['a\0b', String.raw`\u0000`, String.raw`\\u0000`];
  const table = tableOf(
    'id',
    comments.map((comment, i) => integer(`c${i}`, { comment })),
  );
  const seen = { table, at: '2026-01-01 00:00:00+00', first: null, last: null };
  const id = await recordKnowledge(database.pool, source.stream, seen);
  const kept = await rows(
    `SELECT c ->> 'comment' FROM afterimage.table_knowledge, jsonb_array_elements(knowledge -> 'columns') AS c WHERE id = ${id}`,
  );
  expect(kept.flat()).toEqual(['ab', String.raw`\u0000`, String.raw`\\u0000`]);
});

test('a batch in flight does not end a halt for a change at the source', async () => {
  const { id } = source.stream;
  const state = () => rows('SELECT state, state_code FROM afterimage.streams');
  await haltForSource(database.pool, id, 'a column was altered');
  const client = await database.pool.connect();
  await recordHalt(client, { stream: source.stream, partition: 0 }, { code: 'MIRROR_CHANGED', message: 'dropped' });
  await refreshState(client, id);
  client.release();
  expect(await state()).toEqual([['halted', 'SOURCE_CHANGED']]);
  await resumeStream(database.pool, id);
  expect(await state()).toEqual([['active', null]]);
});
