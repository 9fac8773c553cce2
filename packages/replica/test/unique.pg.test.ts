import type { Batch } from '@afterimage/change-events';
import type { IndexKnowledge } from '@afterimage/mariadb';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
// @boundaries-ignore the harness that all tests share
import { type TestDatabase, createDatabase } from '../../../test/harness/databases.js';
import {
  type StreamRecord,
  type TableSettings,
  changeLayout,
  createApplier,
  createShadow,
  findStream,
  indexShadow,
  listDeadLetters,
  listSchemaVersions,
  readOffsets,
  readStatus,
  rebuild,
  registerStreams,
  repairRows,
  retryDeadLetter,
  settleSnapshot,
  undivided,
  withConnection,
} from '../src/index.js';
import { ScriptedStream, field, testSettings } from './batches.js';
import { integer, know, notNull, tableOf, unique, varchar } from './known.js';

let database: TestDatabase;
let source: ScriptedStream;
let stream: StreamRecord;

const columns = [integer('id', notNull), varchar('mail', 255), integer('n')];
const byMail = tableOf('id', columns, [unique('PRIMARY', 'id'), unique('by_mail', 'mail')]);

beforeEach(async () => {
  database = await createDatabase();
  await registerStreams(database.pool, 'main', [{ database: 'shop', table: 'orders' }]);
  stream = await findStream(database.pool, 'shop.orders');
  source = new ScriptedStream({ id: stream.id, source: 'main', database: 'shop', table: 'orders' });
  source.fields = [field('id', 'int', 'int'), field('mail', 'varchar', 'string'), field('n', 'int', 'int')];
  await know(database.pool, byMail);
});
afterEach(() => database.drop());

const settingsOf =
  (changes: Partial<TableSettings> = {}) =>
  () =>
    testSettings({ key: null, indexes: 'same', ...changes });
const writer = (changes: Partial<TableSettings> = {}) => createApplier(database.pool, settingsOf(changes));
const rows = async (sql: string) => (await database.pool.query<unknown[]>({ text: sql, rowMode: 'array' })).rows;
const mirror = () => rows('SELECT id, mail, n FROM shop.orders ORDER BY id');
const insert = (id: number, mail: string | null, n: number | null = id) => source.transaction(['insert', id, mail, n]);
const constraints = async () =>
  (
    await rows(
      `SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'shop.orders'::regclass AND contype = 'u'`,
    )
  ).flat();
const indexes = async () =>
  (
    await rows(
      `SELECT regexp_replace(indexdef, '.* USING', 'USING') FROM pg_indexes WHERE schemaname = 'shop' AND tablename = 'orders' AND indexname NOT LIKE '%pkey' ORDER BY 1`,
    )
  ).flat();
const relaxed = async () => (await readStatus(database.pool)).flatMap((status) => status.relaxed);
const enforced = ['UNIQUE (mail) DEFERRABLE INITIALLY DEFERRED'];
const plain = ['USING btree ("left"(mail, 200))'];
const told = ['orders_by_mail_idx ("mail") is unique in MariaDB and not enforced here: rows came that do not keep it'];
const byUnique = { relaxed: [{ kind: 'unique', name: 'orders_by_mail_idx' }] };

describe('a unique key', () => {
  test('is enforced at commit, so that rows may swap their values in a batch', async () => {
    const applier = writer();
    await applier.apply(
      insert(1, 'a').transaction(['insert', 2, 'b', 2], ['insert', 3, null, 3], ['insert', 4, null, 4]).cut(),
    );
    expect(await constraints()).toEqual(enforced);
    source.transaction(
      ['update_before', 1, 'a', 1],
      ['update_after', 1, 'b', 1],
      ['update_before', 2, 'b', 2],
      ['update_after', 2, 'a', 2],
    );
    expect(await applier.apply(source.cut())).toMatchObject({ kind: 'applied', refused: 0, relaxed: [] });
    source.transaction(['delete', 1, 'b', 1], ['insert', 5, 'b', 5]);
    expect(await applier.apply(source.cut())).toMatchObject({ kind: 'applied', refused: 0, relaxed: [] });
    await expect(database.pool.query(`INSERT INTO shop.orders VALUES (6, 'a', 6)`)).rejects.toThrow(
      'orders_by_mail_idx',
    );
    expect([await constraints(), await relaxed()]).toEqual([enforced, []]);
  });

  test('is relaxed when rows come that do not keep it, refuses none of them, and is tried again with the next schema', async () => {
    const applier = writer();
    await applier.apply(insert(1, 'a').cut());
    expect(await applier.apply(insert(2, 'a').cut())).toMatchObject({
      kind: 'applied',
      refused: 0,
      newSchema: null,
      ...byUnique,
    });
    expect([await constraints(), await indexes(), await relaxed()]).toEqual([[], plain, told]);
    expect(await applier.apply(insert(3, 'a').cut())).toMatchObject({ kind: 'applied', relaxed: [] });
    expect(await writer().apply(insert(4, 'a').cut())).toMatchObject({ kind: 'applied', newSchema: null });
    const fields = [...source.fields, field('more', 'int', 'int')];
    expect(await applier.apply(source.alter(fields).transaction(['insert', 5, 'b', 5, 1]).cut())).toMatchObject({
      kind: 'applied',
    });
    expect([await indexes(), await relaxed()]).toEqual([plain, told]);
    source.transaction(['delete', 1, 'a', 1, null], ['delete', 2, 'a', 2, null], ['delete', 3, 'a', 3, null]);
    await applier.apply(source.cut());
    await applier.apply(source.alter(fields.slice(0, 3)).transaction(['insert', 6, 'c', 6]).cut());
    expect([await constraints(), await relaxed()]).toEqual([enforced, []]);
  });

  test('is relaxed once by writers that work on the same batch', async () => {
    const writers = [writer(), writer(), writer()];
    await writers[0]?.apply(insert(1, 'a').cut());
    const batch = insert(2, 'a').cut();
    const outcomes = await Promise.all(writers.map((one) => one.apply(batch)));
    expect(outcomes.map(({ kind }) => kind).toSorted()).toEqual(['applied', 'duplicate', 'duplicate']);
    expect([await constraints(), await indexes(), await relaxed()]).toEqual([[], plain, told]);
  });

  test('is not enforced from the beginning where the first rows do not keep it', async () => {
    source.transaction(['insert', 1, 'a', 1], ['insert', 2, 'a', 2]);
    expect(await writer().apply(source.cut())).toMatchObject({
      kind: 'applied',
      refused: 0,
      newSchema: { version: 1 },
      ...byUnique,
    });
    expect([await indexes(), await relaxed()]).toEqual([plain, told]);
  });

  test('is relaxed for values that are too long for an index', async () => {
    const applier = writer();
    await applier.apply(insert(1, 'a').cut());
    // Longer than the column is known to be, and of a kind that does not compress.
    const long = Array.from({ length: 4000 }, (_, i) => String.fromCodePoint(0x4e00 + ((i * 7919) % 20000))).join('');
    expect(await applier.apply(insert(2, long).cut())).toMatchObject({ kind: 'applied', refused: 0, ...byUnique });
    expect([await constraints(), await indexes()]).toEqual([[], plain]);
  });

  test('stays, when another row of a batch is refused, for rows that swap their values, and is relaxed for others', async () => {
    const applier = writer();
    await applier.apply(insert(1, 'a').transaction(['insert', 2, 'b', 2]).cut());
    const swap = (bad: number) =>
      source.transaction(
        ['update_before', 1, 'a', 1],
        ['update_after', 1, 'b', 1],
        ['insert', bad, 'x', Number.NaN],
        ['insert', bad, 'x', 'no number'],
        ['update_before', 2, 'b', 2],
        ['update_after', 2, 'a', 2],
      );
    expect(await applier.apply(swap(7).cut())).toMatchObject({ kind: 'applied', refused: 1, relaxed: [] });
    expect(await constraints()).toEqual(enforced);
    source.transaction(['insert', 8, 'b', 8], ['insert', 9, 'y', 'no number']);
    expect(await applier.apply(source.cut())).toMatchObject({ kind: 'applied', refused: 1, ...byUnique });
    expect(await mirror()).toEqual([
      [1, 'b', 1],
      [2, 'a', 2],
      [7, 'x', null],
      [8, 'b', 8],
    ]);
  });

  test('is plain from the first batch of a table that is divided into partitions, and enforced again after', async () => {
    await writer().apply(insert(1, 'a').cut());
    const divided = async (batch: Batch): Promise<Batch> => {
      const { layout } = (await readOffsets(database.pool, [stream.id])).get(stream.id) ?? {};
      return { ...batch, layout: layout?.number ?? 0 };
    };
    const applier = writer();
    await changeLayout(database.pool, stream.id, { partitions: 2, key: ['id'] });
    expect(await applier.apply(await divided(insert(2, 'a').cut()))).toMatchObject({
      kind: 'applied',
      relaxed: [],
      newSchema: { version: 2 },
    });
    expect([await constraints(), await indexes(), await relaxed()]).toEqual([[], plain, []]);
    source.transaction(['delete', 2, 'a', 2]);
    await applier.apply(await divided(source.cut()));
    await database.pool.query(
      `UPDATE afterimage.offsets o SET position = p.position, ordinal = p.ordinal FROM afterimage.offsets p WHERE p.partition = 0`,
    );
    expect(await changeLayout(database.pool, stream.id, undivided)).toBe(true);
    expect(await applier.apply(await divided(insert(3, 'b').cut()))).toMatchObject({
      kind: 'applied',
      newSchema: { version: 3 },
    });
    expect(await constraints()).toEqual(enforced);
  });

  test.each([
    ['is enforced', 'b', enforced, []],
    ['stays plain where rows do not keep it', 'a', [], told],
  ])('of a mirror from before unique ones were enforced %s, with the first batch', async (_, mail, there, said) => {
    await writer({ indexes: 'none' }).apply(insert(1, 'a').transaction(['insert', 2, mail, 2]).cut());
    await database.pool.query(
      `CREATE INDEX orders_by_mail_idx ON shop.orders (left("mail", 200));
       COMMENT ON INDEX shop.orders_by_mail_idx IS 'as in MariaDB: (left("mail", 200))';
       UPDATE afterimage.schema_versions SET indexes = NULL`,
    );
    const outcome = { kind: 'applied', refused: 0, newSchema: { version: 2 } };
    expect(await writer().apply(insert(3, 'c').cut())).toMatchObject(outcome);
    expect([await constraints(), await relaxed()]).toEqual([there, said]);
    expect(await writer().apply(insert(4, 'd').cut())).toMatchObject({ kind: 'applied', newSchema: null });
  });

  test('whose name a relation of the schema has is left off, and that is told', async () => {
    await writer({ indexes: 'none' }).apply(insert(1, 'a').cut());
    await database.pool.query('CREATE INDEX orders_by_mail_idx ON shop.orders (mail)');
    expect(await writer().apply(insert(2, 'b').cut())).toMatchObject({ kind: 'applied', newSchema: { version: 2 } });
    expect(await writer().apply(insert(3, 'b').cut())).toMatchObject({ kind: 'applied', refused: 0, relaxed: [] });
    expect([await constraints(), await relaxed()]).toEqual([
      [],
      ['index orders_by_mail_idx is not there: something else in its schema has that name'],
    ]);
  });

  test('comes and goes with the setting', async () => {
    await writer({ indexes: 'none' }).apply(insert(1, 'a').cut());
    expect(await indexes()).toEqual([]);
    await writer().apply(insert(2, 'b').cut());
    expect(await constraints()).toEqual(enforced);
    await writer({ indexes: 'none' }).apply(insert(3, 'c').cut());
    expect(await indexes()).toEqual([]);
    expect(await listSchemaVersions(database.pool, stream.id)).toHaveLength(3);
  });

  test.each<[string, Partial<IndexKnowledge['parts'][number]>, Partial<TableSettings>, string]>([
    ['of the beginning of a text', { prefix: 10 }, {}, 'USING btree ("left"(mail, 10))'],
    ['in descending order', { descending: true }, {}, 'USING btree ("left"(mail, 200) DESC)'],
    [
      'of a column that has another type here',
      { column: 'n' },
      { columns: { n: { postgres: 'bigint' } } },
      'USING btree (n)',
    ],
    [
      'of columns whose values are looked up',
      { column: 'n' },
      { columns: { n: { lookup: true } }, hasSource: true },
      'USING btree (n)',
    ],
  ])('%s is a plain index', async (_, part, changes, index) => {
    const [whole] = unique('by_mail', 'mail').parts;
    const odd = {
      ...unique('odd', 'mail'),
      parts: [{ column: 'mail', prefix: null, descending: false, ...whole, ...part }],
    };
    await know(database.pool, tableOf('id', columns, [odd]));
    await writer(changes).apply(insert(1, 'a').cut());
    expect([await constraints(), await indexes()]).toEqual([[], [index]]);
  });

  test('of the columns of the key, in another order, is a plain index: a row is found by the key', async () => {
    const table = tableOf('id', columns, [unique('turned', 'n', 'id')]);
    await know(database.pool, { ...table, key: { kind: 'primary', columns: ['id', 'n'] } });
    const applier = writer();
    await applier.apply(insert(1, 'a').cut());
    expect(await applier.apply(insert(1, 'b').cut())).toMatchObject({ kind: 'applied', refused: 0 });
    expect([await constraints(), await mirror()]).toEqual([[], [[1, 'b', 1]]]);
  });
});

const action = fc.record({
  kind: fc.constantFrom('put' as const, 'swap' as const, 'delete' as const, 'clash' as const, 'refused' as const),
  id: fc.integer({ min: 1, max: 5 }),
  other: fc.integer({ min: 1, max: 5 }),
  mail: fc.constantFrom('a', 'b', 'c', null),
  cut: fc.boolean(),
});
type Action = typeof action extends fc.Arbitrary<infer T> ? T : never;

/** A table at the source that keeps its unique key, as far as it checks it. */
class UniqueTable {
  readonly rows = new Map<number, string | null>();
  readonly #stream: ScriptedStream;
  readonly #mayClash: boolean;
  hasClashed = false;

  constructor(stream: ScriptedStream, mayClash: boolean) {
    this.#stream = stream;
    this.#mayClash = mayClash;
  }

  act({ kind, id, other, mail }: Action): void {
    const isFree = mail === null || ![...this.rows.values()].includes(mail);
    if (kind === 'delete') this.#remove(id);
    else if (kind === 'swap') this.#swap(id, other);
    else if (kind === 'refused') this.#stream.transaction(['insert', 9, 'x', 'no number']);
    else if (isFree || (kind === 'clash' && this.#mayClash)) this.#put(id, mail, isFree);
  }

  #remove(id: number): void {
    const mail = this.rows.get(id);
    if (mail !== undefined) this.#stream.transaction(['delete', id, mail, id]);
    this.rows.delete(id);
  }

  #put(id: number, mail: string | null, isFree: boolean): void {
    this.hasClashed ||= !isFree && this.rows.get(id) !== mail;
    this.#remove(id);
    this.#stream.transaction(['insert', id, mail, id]);
    this.rows.set(id, mail);
  }

  #swap(id: number, other: number): void {
    const [mine, theirs] = [this.rows.get(id), this.rows.get(other)];
    if (mine === undefined || theirs === undefined || id === other) return;
    const swapped = (row: number, from: string | null, to: string | null) =>
      [
        ['update_before', row, from, row],
        ['update_after', row, to, row],
      ] as const;
    this.#stream.transaction(...swapped(id, mine, theirs), ...swapped(other, theirs, mine));
    this.rows.set(id, theirs).set(other, mine);
  }
}

test('mirror and history are right whatever rows do to a unique key, which stays as long as they keep it', async () => {
  const { pool } = database;
  let next = 1;
  const story = async (actions: readonly Action[], mayClash: boolean): Promise<void> => {
    const table = `t${next++}`;
    await registerStreams(pool, 'main', [{ database: 'shop', table }]);
    await pool.query(`UPDATE afterimage.streams SET knowledge_id = (SELECT max(id) FROM afterimage.table_knowledge)`);
    const own = await findStream(pool, `shop.${table}`);
    const events = new ScriptedStream({ ...source.stream, id: own.id, table }, source.fields);
    const model = new UniqueTable(events, mayClash);
    const settings = testSettings({ key: null, indexes: 'same', mirror: { schema: 'shop', table } });
    const applier = createApplier(pool, () => settings);
    const relaxations: unknown[] = [];
    const apply = async (): Promise<void> => {
      const outcome = await applier.apply(events.cut());
      expect(['applied', 'duplicate']).toContain(outcome.kind);
      if (outcome.kind === 'applied') relaxations.push(...outcome.relaxed);
    };
    events.transaction(['insert', 1, null, 1], ['delete', 1, null, 1]);
    for (const one of actions) {
      model.act(one);
      if (one.cut) await apply();
    }
    await apply();
    const inOrder = [...model.rows].sort(([a], [b]) => a - b);
    expect(await rows(`SELECT id, mail FROM shop.${table} ORDER BY id`)).toEqual(inOrder);
    const whole = { stream: own, settingsOf: () => settings, apply: false };
    expect(await rebuild(pool, whole)).toMatchObject({ equal: true });
    if (model.hasClashed) return;
    expect(relaxations).toEqual([]);
    expect(await rows(`SELECT contype FROM pg_constraint WHERE conname = '${table}_by_mail_idx'`)).toEqual([['u']]);
  };
  const stories = fc.asyncProperty(fc.array(action, { minLength: 1, maxLength: 25 }), fc.boolean(), story);
  await fc.assert(stories, { numRuns: 15 });
});

describe('a constraint that rows do not keep does not stand in the way of', () => {
  const strict = tableOf('id', [integer('id', notNull), varchar('mail', 255), integer('n', notNull)], byMail.indexes);
  const isNotNull = async () =>
    (
      await rows(`SELECT attnotnull FROM pg_attribute WHERE attrelid = 'shop.orders'::regclass AND attname = 'n'`)
    ).flat();

  test('a dead letter that is tried again: NOT NULL and unique ones are relaxed', async () => {
    await know(database.pool, strict);
    await writer().apply(insert(1, 'a').cut());
    await database.pool.query('ALTER TABLE shop.orders ADD CONSTRAINT one CHECK (id <> 2)');
    expect(await writer().apply(insert(2, 'a', null).cut())).toMatchObject({ refused: 1 });
    await database.pool.query('ALTER TABLE shop.orders DROP CONSTRAINT one');
    await database.pool.query('ALTER TABLE shop.orders ALTER n SET NOT NULL');
    const [letter] = await listDeadLetters(database.pool);
    const retry = { stream, settingsOf: settingsOf(), id: letter?.id ?? '' };
    expect(await retryDeadLetter(database.pool, retry)).toMatchObject({ kind: 'applied' });
    expect(await mirror()).toEqual([
      [1, 'a', 1],
      [2, 'a', null],
    ]);
    expect([await constraints(), await isNotNull()]).toEqual([[], [false]]);
    expect(await relaxed()).toEqual(
      expect.arrayContaining([...told, 'n is NOT NULL in MariaDB and may be NULL here: rows came that are']),
    );
  });

  test('a repair, and a mirror that is made from history', async () => {
    await writer().apply(insert(1, 'a').transaction(['insert', 2, 'b', 2]).cut());
    const repairs = { kind: 'rows', key: ['id'], rows: [{ key: ['2'], row: ['2', 'a'], before: 'b' }] } as const;
    const options = {
      stream,
      settingsOf: settingsOf(),
      version: 1,
      columns: ['id', 'mail'],
      rowHash: 'm.mail',
      after: null,
    };
    expect(await repairRows(database.pool, { ...options, repairs })).toBe(1);
    expect(await relaxed()).toEqual(told);
    await database.pool.query('DROP TABLE shop.orders');
    const again = { stream, settingsOf: settingsOf(), apply: true };
    expect(await rebuild(database.pool, again)).toMatchObject({ created: true, equal: true });
    expect(await indexes()).toEqual(plain);
    await database.pool.query('DELETE FROM shop.orders WHERE id = 2');
    expect(await rebuild(database.pool, again)).toMatchObject({ missing: 1, equal: true });
  });

  test('a copy of the table', async () => {
    const { pool } = database;
    await writer().apply(insert(1, 'a').cut());
    const place = { gtids: '0-1-9', at: new Date() };
    const copy = { stream, settingsOf: settingsOf(), fields: source.fields, knowledge: byMail, place };
    const shadow = await createShadow(pool, copy);
    await pool.query(`INSERT INTO ${shadow.schema}.orders VALUES (1, 'x', 1), (2, 'x', 2)`);
    await withConnection(pool, (client) => indexShadow(client, shadow));
    expect(await settleSnapshot(pool, { settingsOf: settingsOf(), shadow, place })).toMatchObject({
      kind: 'compared',
      written: 2,
    });
    expect([await constraints(), await relaxed()]).toEqual([[], told]);
  });
});
