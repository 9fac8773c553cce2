import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
// @boundaries-ignore the harness that all tests share
import { type TestDatabase, createDatabase } from '../../../test/harness/databases.js';
import {
  type StreamRecord,
  type TableSettings,
  createApplier,
  createShadow,
  dropShadow,
  findStream,
  finishReadHistory,
  indexShadow,
  listDeadLetters,
  listSchemaVersions,
  rebuild,
  registerStreams,
  repairRows,
  retryDeadLetter,
  settleSnapshot,
  tablesToFill,
  withConnection,
} from '../src/index.js';
import { enumName, quoteTable, replicaNames } from '../src/names.js';
import { ScriptedStream, field, testSettings } from './batches.js';
import { adopt, integer, know, labelled, notNull, tableOf } from './known.js';

let database: TestDatabase;
let source: ScriptedStream;
let stream: StreamRecord;

beforeEach(async () => {
  database = await createDatabase();
  await registerStreams(database.pool, 'main', [{ database: 'shop', table: 'orders' }]);
  stream = await findStream(database.pool, 'shop.orders');
  source = new ScriptedStream({ id: stream.id, source: 'main', database: 'shop', table: 'orders' });
  source.fields = [field('id', 'int', 'int'), field('state', 'enum', 'string')];
});
afterEach(() => database.drop());

const typed = { key: null, labels: 'enum' } as const;
const settingsOf =
  (changes: Partial<TableSettings> = {}) =>
  () =>
    testSettings({ ...typed, ...changes });
const apply = (changes: Partial<TableSettings> = {}) =>
  createApplier(database.pool, settingsOf(changes)).apply(source.cut());
const rows = async (sql: string) => (await database.pool.query<unknown[]>({ text: sql, rowMode: 'array' })).rows;
const mirror = () => rows('SELECT id, state::text FROM shop.orders ORDER BY id');
const typeOf = async (column = 'state') =>
  (
    await rows(
      `SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'shop.orders'::regclass AND attname = '${column}'`,
    )
  ).flat();
const types = () =>
  rows(
    `SELECT typname, array_agg(enumlabel::text ORDER BY enumsortorder) FROM pg_type t JOIN pg_enum e ON e.enumtypid = t.oid
     WHERE typnamespace = 'shop'::regnamespace GROUP BY 1 ORDER BY 1`,
  );
const checks = () =>
  rows(`SELECT conname FROM pg_constraint WHERE conrelid = 'shop.orders'::regclass AND contype = 'c'`);
const rebuilt = (changes: Partial<TableSettings> = {}, apply = false) =>
  rebuild(database.pool, { stream, settingsOf: settingsOf(changes), apply });
const orders = (...labels: string[]) => tableOf('id', [integer('id', notNull), labelled('state', 'enum', labels)]);

const named = (name: string) => ({ name, streamName: name });

/** As the stream has it: upper-case hex of the index, low byte first. */
const hex = (index: number) =>
  Buffer.from([index & 255, index >> 8])
    .toString('hex')
    .toUpperCase()
    .replace(/00$/, '') || '00';

test('labels that are configured go before those that MariaDB says, in the CHECK, too', async () => {
  await know(database.pool, orders('new', 'old'));
  source.transaction(['insert', 1, '03']);
  const configured = { columns: { state: { type: "enum('new','old','late')" } }, labels: 'check' } as const;
  expect(await apply(configured)).toMatchObject({ kind: 'applied', refused: 0 });
  expect(await mirror()).toEqual([[1, 'late']]);
});

describe('labels: enum', () => {
  test('an ENUM is a PostgreSQL enum of its labels, the error value among them; history and as-of keep text', async () => {
    await know(database.pool, orders('new', "it's", 'old'));
    source.transaction(['insert', 1, '01'], ['insert', 2, '02'], ['insert', 3, '00'], ['insert', 4, null]);
    expect(await apply()).toMatchObject({ kind: 'applied', refused: 0 });
    expect(await types()).toEqual([['orders$state', ['', 'new', "it's", 'old']]]);
    expect(await typeOf()).toEqual(['shop."orders$state"']);
    expect(await mirror()).toEqual([
      [1, 'new'],
      [2, "it's"],
      [3, ''],
      [4, null],
    ]);
    expect(await rows('SELECT id FROM shop.orders ORDER BY state NULLS FIRST')).toEqual([[4], [3], [1], [2]]);
    expect(await checks()).toEqual([]);
    expect(await rows(`SELECT DISTINCT pg_typeof(state)::text FROM shop_history.orders`)).toEqual([['text']]);
    expect(await rows('SELECT id, state FROM shop_history.orders_as_of(now()) ORDER BY id')).toEqual(await mirror());
    source.transaction(['update_before', 1, '01'], ['update_after', 1, '03'], ['delete', 2, '02']);
    await apply();
    expect(await mirror()).toEqual([
      [1, 'old'],
      [3, ''],
      [4, null],
    ]);
    expect(await rebuilt()).toMatchObject({ equal: true });
  });

  test('a SET, a label of more than 63 bytes and a type that the configuration chose stay as they are', async () => {
    const long = 'é'.repeat(32);
    const columns = [integer('id', notNull), labelled('a', 'set', ['x', 'y']), labelled('b', 'enum', [long])];
    await know(database.pool, tableOf('id', [...columns, labelled('c', 'enum', ['p'])]));
    source.fields = [
      field('id', 'int', 'int'),
      ...['a', 'b', 'c'].map((name) => field(name, name === 'a' ? 'set' : 'enum', 'string')),
    ];
    source.transaction(['insert', 1, '03', '01', '01']);
    await apply({ columns: { c: { postgres: 'varchar(9)' } } });
    expect(await rows('SELECT a, b, c FROM shop.orders')).toEqual([['x,y', long, 'p']]);
    expect([await typeOf('a'), await typeOf('b'), await typeOf('c')].flat()).toEqual([
      'text',
      'text',
      'character varying(9)',
    ]);
    expect(await checks()).toHaveLength(2);
  });

  test('the setting may change at any time, back and forth, and columns may be renamed, dropped and added', async () => {
    await know(database.pool, orders('new', 'old'));
    const insert = (id: number) => source.transaction(['insert', id, '01']);
    insert(1);
    await apply({ labels: 'check' });
    expect([await typeOf(), (await checks()).length]).toEqual([['text'], 1]);
    insert(2);
    expect(await apply()).toMatchObject({ newSchema: { version: 2 } });
    expect([await typeOf(), (await checks()).length]).toEqual([['shop."orders$state"'], 0]);
    insert(3);
    expect(await apply()).toMatchObject({ newSchema: null });
    insert(4);
    expect(await apply({ labels: 'none' })).toMatchObject({ newSchema: { version: 3 } });
    expect([await typeOf(), await types(), await checks()]).toEqual([['text'], [], []]);
    insert(5);
    await apply();
    const renamed = labelled('phase', 'enum', ['new', 'old']);
    const table = tableOf('id', [integer('id', notNull), renamed]);
    expect(await adopt(database.pool, { stream, settings: settingsOf()(), table })).toBe('adopted');
    insert(6);
    await apply();
    expect(await types()).toEqual([['orders$phase', ['', 'new', 'old']]]);
    const added = labelled('more', 'enum', ['a', 'b'], { isNullable: false, default: { kind: 'value', text: 'b' } });
    await know(database.pool, tableOf('id', [integer('id', notNull), added]));
    source.alter([field('id', 'int', 'int'), field('more', 'enum', 'string')]).transaction(['insert', 7, '01']);
    await apply({ rename: 'drop-add' });
    expect(await types()).toEqual([['orders$more', ['', 'a', 'b']]]);
    expect(await rows('SELECT more::text, count(*)::int FROM shop.orders GROUP BY 1 ORDER BY 1')).toEqual([
      ['a', 1],
      ['b', 6],
    ]);
    expect(await rebuilt({ rename: 'drop-add' })).toMatchObject({ equal: true });
    expect(await listSchemaVersions(database.pool, stream.id)).toHaveLength(6);
  });

  test('columns that exchange names exchange those of their types', async () => {
    const [id, state, kind] = [
      integer('id', notNull),
      labelled('state', 'enum', ['a', 'b']),
      labelled('kind', 'enum', ['x', 'y']),
    ];
    await know(database.pool, tableOf('id', [id, state, kind]));
    source.fields = [...source.fields, field('kind', 'enum', 'string')];
    source.transaction(['insert', 1, '01', '02']);
    await apply();
    const table = tableOf('id', [id, { ...state, ...named('kind') }, { ...kind, ...named('state') }]);
    const proven = { first: '', last: '0-1-9:1' };
    expect(await adopt(database.pool, { stream, settings: settingsOf()(), table, ...proven })).toBe('adopted');
    expect(await types()).toEqual([
      ['orders$kind', ['', 'a', 'b']],
      ['orders$state', ['', 'x', 'y']],
    ]);
    source.transaction(['insert', 2, '02', '01']);
    expect(await apply()).toMatchObject({ kind: 'applied', refused: 0 });
    expect(await rows('SELECT id, kind::text, state::text FROM shop.orders ORDER BY id')).toEqual([
      [1, 'a', 'y'],
      [2, 'b', 'x'],
    ]);
  });

  test('an ENUM may be a part of the key, or of rows that are matched whole', async () => {
    for (const key of ['state', null]) {
      await know(database.pool, tableOf(key, [integer('id', notNull), labelled('state', 'enum', ['a', 'b'], notNull)]));
      source.transaction(
        ['insert', 1, '01'],
        ['insert', 2, '02'],
        ['update_before', 1, '01'],
        ['update_after', 3, '01'],
      );
      await apply();
      expect(await mirror()).toEqual([
        [2, 'b'],
        [3, 'a'],
      ]);
      source.transaction(['delete', 2, '02'], ['delete', 3, '01']);
      expect(await apply()).toMatchObject({ missing: 0 });
      expect(await mirror()).toEqual([]);
      expect(await rebuilt()).toMatchObject({ equal: true });
    }
  });

  test('a mirror that was dropped by hand, a repair and a dead letter find the type, and a label of long ago', async () => {
    await know(database.pool, orders('gone', 'old'));
    source.transaction(['insert', 1, '01'], ['insert', 2, '02']);
    await apply();
    await database.pool.query(`ALTER TABLE shop.orders ADD CONSTRAINT one CHECK (id <> 3)`);
    source.transaction(['insert', 3, '01']);
    expect(await apply()).toMatchObject({ refused: 1 });
    await know(database.pool, orders('new', 'old'));
    source.transaction(['insert', 4, '01']);
    await apply();
    expect(await mirror()).toEqual([
      [1, 'gone'],
      [2, 'old'],
      [4, 'new'],
    ]);
    expect(await rebuilt()).toMatchObject({ equal: true });
    await database.pool.query('DROP TABLE shop.orders');
    expect(await rebuilt({}, true)).toMatchObject({ created: true, equal: true });
    expect(await typeOf()).toEqual(['shop."orders$state"']);
    const [letter] = await listDeadLetters(database.pool);
    const retry = { stream, settingsOf: settingsOf(), id: letter?.id ?? '' };
    expect(await retryDeadLetter(database.pool, retry)).toMatchObject({ kind: 'applied' });
    const repairs = { kind: 'rows', key: ['id'], rows: [{ key: ['2'], row: ['2', 'new'], before: 'old' }] } as const;
    const repair = {
      stream,
      settingsOf: settingsOf(),
      columns: ['id', 'state'],
      rowHash: 'm.state::text',
      after: null,
      repairs,
    };
    expect(await repairRows(database.pool, { ...repair, version: 2 })).toBe(1);
    expect(await mirror()).toEqual([
      [1, 'gone'],
      [2, 'new'],
      [3, 'new'],
      [4, 'new'],
    ]);
    expect(await rebuilt()).toMatchObject({ equal: true });
  });

  test.each([['id'], [null]])(
    'a copy of the table brings its type along, and may come again (key: %s)',
    async (key) => {
      const { pool } = database;
      const table = tableOf(key, [integer('id', notNull), labelled('state', 'enum', ['a', 'b'])]);
      const copy = async (gtids: string, values: string) => {
        const place = { gtids, at: new Date() };
        const options = { stream, settingsOf: settingsOf(), fields: source.fields, knowledge: table, place };
        const shadow = await createShadow(pool, options);
        for (const { table: filled, columns } of tablesToFill(shadow))
          await pool.query(`INSERT INTO ${quoteTable(filled)} (${columns.join(', ')}) VALUES ${values}`);
        await withConnection(pool, async (client) => {
          if (shadow.version === 0)
            for (const statement of await finishReadHistory(client, shadow)) await client.query(statement);
          await indexShadow(client, shadow);
        });
        const settled = await settleSnapshot(pool, { settingsOf: settingsOf(), shadow, place });
        await dropShadow(pool, stream.id);
        return settled;
      };
      expect(await copy('0-1-5', `(1, 'a'), (2, '')`)).toMatchObject({ kind: 'adopted' });
      expect([await typeOf(), await types()]).toEqual([['shop."orders$state"'], [['orders$state', ['', 'a', 'b']]]]);
      expect(await copy('0-1-9', `(1, 'b'), (2, '')`)).toMatchObject({ kind: 'compared', written: 1 });
      expect(await mirror()).toEqual([
        [1, 'b'],
        [2, ''],
      ]);
      expect(await rebuilt()).toMatchObject({ equal: true });
    },
  );

  test.each([
    ['is completed from history', ['a', 'b'], { kind: 'compared', written: 1, removed: 0 }, 'b'],
    ['is made anew where the labels are others', ['a', 'b', 'c'], { kind: 'stale' }, 'a'],
  ])('a copy that began before its stream, which has overtaken it, %s', async (_, labels, outcome, last) => {
    const { pool } = database;
    const place = { gtids: '0-1-2', at: new Date() };
    const options = { stream, settingsOf: settingsOf(), fields: source.fields, knowledge: orders('a', 'b'), place };
    const shadow = await createShadow(pool, options);
    await know(pool, orders(...labels));
    source.transaction(['insert', 1, '01']).transaction(['insert', 2, '02']);
    await apply();
    await pool.query(`INSERT INTO ${quoteTable(shadow.table)} VALUES (1, 'b')`);
    await withConnection(pool, (client) => indexShadow(client, shadow));
    expect(await settleSnapshot(pool, { settingsOf: settingsOf(), shadow, place })).toMatchObject(outcome);
    expect(await mirror()).toEqual([
      [1, last],
      [2, 'b'],
    ]);
  });

  test('whatever becomes of the list of labels, the type has it, and rows keep their labels', async () => {
    const list = fc.uniqueArray(fc.constantFrom('a', 'b', 'c', 'A', ' d', "e'\\", 'ß'), { minLength: 1 });
    const expected = new Map<number, string>();
    let id = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(list, { minLength: 1, maxLength: 4 }), async (lists) => {
        for (const labels of lists) {
          await know(database.pool, orders(...labels.map((label) => label.replaceAll('\\', '\\\\'))));
          const kept = [...new Set(expected.values())].filter((label) => !labels.some((one) => one === label));
          for (const [i, label] of labels.entries()) {
            source.transaction(['insert', ++id, hex(i + 1)]);
            expected.set(id, label);
          }
          expect(await apply()).toMatchObject({ kind: 'applied', refused: 0 });
          expect(await types()).toEqual([['orders$state', ['', ...labels, ...kept.sort()]]]);
          expect(await mirror()).toEqual([...expected]);
          expect(await rebuilt()).toMatchObject({ equal: true });
        }
      }),
      { numRuns: 12 },
    );
  });
});

test('enum types of two tables and columns never have one name', () => {
  const name = (table: string, column: string) => enumName(replicaNames({ schema: 's', table }, '_h'), column).table;
  const pairs = fc.tuple(fc.stringMatching(/^[a$é]{1,40}$/), fc.stringMatching(/^[a$é]{1,40}$/));
  fc.assert(
    fc.property(pairs, pairs, ([a, b], [c, d]) => {
      expect(Buffer.byteLength(name(a, b))).toBeLessThanOrEqual(63);
      if (a !== c || b !== d) expect(name(a, b)).not.toBe(name(c, d));
    }),
  );
});
