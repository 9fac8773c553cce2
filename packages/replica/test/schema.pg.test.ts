import { afterEach, beforeEach, describe, expect, test } from 'vitest';
// @boundaries-ignore the harness that all tests share
import { type TestDatabase, createDatabase } from '../../../test/harness/databases.js';
import { type TableSettings, createApplier, listSchemaVersions, registerStreams } from '../src/index.js';
import { ScriptedStream, field, orderFields, testSettings } from './batches.js';

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
const versions = async () => listSchemaVersions(database.pool, source.stream.id);
const kinds = async () => (await versions()).map((version) => version.steps.map((step) => step.kind));

const [id, state, amount] = orderFields as [(typeof orderFields)[0], (typeof orderFields)[0], (typeof orderFields)[0]];

describe('a schema change', () => {
  test('adds, drops and reorders columns, each as a version with its statement', async () => {
    const applier = applierWith();
    await applier.apply(source.transaction(['insert', 1, 'a', 10]).cut());
    await applier.apply(
      source
        .alter([id, field('note', 'text', 'bytes'), state, amount])
        .transaction(['insert', 2, 'n', 'b', 20])
        .cut(),
    );
    await applier.apply(
      source
        .alter([id, state, field('note', 'text', 'bytes')])
        .transaction(['insert', 3, 'c', 'm'])
        .cut(),
    );
    await applier.apply(
      source
        .alter([id, field('note', 'text', 'bytes'), state])
        .transaction(['insert', 4, 'k', 'd'])
        .cut(),
    );
    expect(await kinds()).toEqual([['create', 'rekey'], ['add'], ['drop'], ['reorder']]);
    expect((await versions())[1]?.steps[0]?.statement).toBe('ALTER TABLE "shop"."orders" ADD COLUMN "note" text');
    expect(await rows('SELECT id, state, note FROM shop.orders ORDER BY 1')).toEqual([
      [1, 'a', null],
      [2, 'b', 'n'],
      [3, 'c', 'm'],
      [4, 'd', 'k'],
    ]);
  });

  test('keeps a dropped column and its values in history', async () => {
    const applier = applierWith();
    await applier.apply(source.transaction(['insert', 1, 'a', 10]).cut());
    await applier.apply(source.alter([id, state]).transaction(['insert', 2, 'b']).cut());
    await applier.apply(
      source
        .alter([id, state, field('amount', 'varchar', 'string')])
        .transaction(['insert', 3, 'c', 'ten'])
        .cut(),
    );
    expect(await rows('SELECT id, state, amount, "amount$1" FROM shop_history.orders ORDER BY stream_ordinal')).toEqual(
      [
        [1, 'a', null, 10],
        [2, 'b', null, null],
        [3, 'c', 'ten', null],
      ],
    );
  });

  test('shows every column that was dropped under a name of its own, whatever its name was', async () => {
    const applier = applierWith();
    const int = (name: string) => field(name, 'int', 'int');
    const long = 'y'.repeat(63);
    const through = [[int('x'), int('a')], [int('x')], [int('a')], [], [int('a')], [], [int(long)], [], [int(long)]];
    for (const [i, columns] of through.entries()) {
      const batch = source
        .alter([id, ...columns])
        .transaction(['insert', i, 10 * i + 1, 10 * i + 2])
        .cut();
      expect(await applier.apply(batch)).toMatchObject({ kind: 'applied' });
    }
    const { fields } = await database.pool.query('SELECT * FROM shop_history.orders');
    const names = fields.map((f) => f.name).slice(7);
    expect(names).toEqual(['id', long, expect.stringMatching(/^y+~.*\$7$/), 'a', 'a$1', 'a$1$']);
    expect(await rows('SELECT a, a$1, a$1$ FROM shop_history.orders ORDER BY stream_ordinal LIMIT 5')).toEqual([
      [null, 1, 2],
      [null, 11, null],
      [null, 21, null],
      [null, null, null],
      [41, null, null],
    ]);
  });

  test('keeps the values of a column that was renamed', async () => {
    const applier = applierWith();
    await applier.apply(source.transaction(['insert', 1, 'a', 10]).cut());
    await applier.apply(
      source
        .alter([id, field('status', 'varchar', 'string'), amount])
        .transaction(['insert', 2, 'b', 20])
        .cut(),
    );
    expect(await kinds()).toEqual([['create', 'rekey'], ['rename']]);
    expect(await rows('SELECT id, status FROM shop.orders ORDER BY 1')).toEqual([
      [1, 'a'],
      [2, 'b'],
    ]);
    expect(await rows('SELECT id, status FROM shop_history.orders ORDER BY stream_ordinal')).toEqual([
      [1, 'a'],
      [2, 'b'],
    ]);
  });

  test('keeps the rows of a table whose key column got another name and type at once', async () => {
    await applierWith().apply(source.transaction(['insert', 1, 'a', 10], ['insert', 2, 'b', 20]).cut());
    const batch = source
      .alter([field('nr', 'bigint', 'long'), state, amount])
      .transaction(['update_before', 2, 'b', 20], ['update_after', 3, 'b', 20])
      .cut();
    expect(await applierWith({ key: ['nr'] }).apply(batch)).toMatchObject({ kind: 'applied' });
    expect(await kinds()).toEqual([
      ['create', 'rekey'],
      ['rename', 'retype'],
    ]);
    expect(await rows('SELECT * FROM shop.orders ORDER BY 1')).toEqual([
      ['1', 'a', 10],
      ['3', 'b', 20],
    ]);
    expect(await rows(`SELECT nr FROM shop_history.orders_as_of('infinity') ORDER BY 1`)).toEqual([['1'], ['3']]);
  });

  test('takes a possible rename as another column under policy drop-add, and asks under policy halt', async () => {
    const renamed = [id, field('status', 'varchar', 'string'), amount];
    await applierWith().apply(source.transaction(['insert', 1, 'a', 10]).cut());
    const batch = source.alter(renamed).transaction(['insert', 2, 'b', 20]).cut();
    const halted = await applierWith({ rename: 'halt' }).apply(batch);
    expect(halted).toMatchObject({ kind: 'halted', code: 'RENAME_UNDECIDED' });
    expect(await rows('SELECT * FROM shop.orders')).toEqual([[1, 'a', 10]]);
    expect(await applierWith({ rename: 'drop-add' }).apply(batch)).toMatchObject({ kind: 'applied' });
    expect(await rows('SELECT id, amount, status FROM shop.orders ORDER BY 1')).toEqual([
      [1, 10, null],
      [2, 20, 'b'],
    ]);
  });

  test('casts the values of a column whose type changes', async () => {
    const applier = applierWith();
    await applier.apply(source.transaction(['insert', 1, '7', 10]).cut());
    await applier.apply(
      source
        .alter([id, field('state', 'bigint', 'long'), field('amount', 'varchar', 'string')])
        .transaction(['insert', 2, 8, 'x'])
        .cut(),
    );
    expect(await kinds()).toEqual([
      ['create', 'rekey'],
      ['retype', 'retype'],
    ]);
    expect(await rows('SELECT id, state, amount FROM shop.orders ORDER BY 1')).toEqual([
      [1, '7', '10'],
      [2, '8', 'x'],
    ]);
    expect(await rows('SELECT id, state, amount FROM shop_history.orders ORDER BY stream_ordinal')).toEqual([
      [1, '7', '10'],
      [2, '8', 'x'],
    ]);
  });

  test('widens a column to text when an old value does not fit, and keeps it so', async () => {
    const applier = applierWith();
    await applier.apply(source.transaction(['insert', 1, 'seven', 10]).cut());
    await applier.apply(
      source
        .alter([id, field('state', 'int', 'int'), amount])
        .transaction(['insert', 2, 8, 20])
        .cut(),
    );
    await applier.apply(
      source
        .alter([id, field('state', 'int', 'int'), amount, field('z', 'int', 'int')])
        .transaction(['insert', 3, 9, 30, 1])
        .cut(),
    );
    expect(await kinds()).toEqual([['create', 'rekey'], ['widen'], ['add']]);
    expect(await rows('SELECT id, state FROM shop.orders ORDER BY 1')).toEqual([
      [1, 'seven'],
      [2, '8'],
      [3, '9'],
    ]);
  });

  test('never breaks the history view over a value that no longer fits', async () => {
    const applier = applierWith();
    await applier.apply(source.transaction(['insert', 1, 'seven', 10]).transaction(['delete', 1, 'seven', 10]).cut());
    await applier.apply(
      source
        .alter([id, field('state', 'int', 'int'), amount])
        .transaction(['insert', 2, 8, 20])
        .cut(),
    );
    expect(await kinds()).toEqual([['create', 'rekey'], ['retype']]);
    expect(await rows('SELECT id, state FROM shop_history.orders ORDER BY stream_ordinal')).toEqual([
      [1, null],
      [1, null],
      [2, 8],
    ]);
    expect(await rows('SELECT state FROM shop_history."orders$1" LIMIT 1')).toEqual([['seven']]);
  });

  test('empties the mirror of a table that was dropped and created with other columns', async () => {
    const applier = applierWith({ key: null });
    await applier.apply(source.transaction(['insert', 1, 'a', 10]).cut());
    await applier.apply(
      source
        .alter([field('x', 'int', 'int')])
        .transaction(['insert', 5])
        .cut(),
    );
    expect((await versions())[1]).toMatchObject({ recreated: true });
    expect(await rows('SELECT * FROM shop.orders')).toEqual([[5]]);
    expect(await rows(`SELECT * FROM shop_history.orders_as_of('infinity')`)).toEqual([[5]]);
  });

  test('does nothing for the same fields under another file version', async () => {
    const applier = applierWith();
    await applier.apply(source.transaction(['insert', 1, 'a', 10]).cut());
    await applier.apply(source.alter(orderFields).transaction(['insert', 2, 'b', 20]).cut());
    expect(await versions()).toHaveLength(1);
  });

  test('that PostgreSQL refuses halts the stream and goes on once the cause is gone', async () => {
    const applier = applierWith();
    await applier.apply(source.transaction(['insert', 1, 'a', 10]).cut());
    await database.pool.query('CREATE VIEW shop.report AS SELECT amount FROM shop.orders');
    const batch = source.alter([id, state]).transaction(['insert', 2, 'b']).cut();
    const outcome = await applier.apply(batch);
    expect(outcome).toMatchObject({ kind: 'halted', code: 'SCHEMA_REFUSED' });
    expect(JSON.stringify(outcome)).toContain('other objects depend on it');
    expect(await rows('SELECT state, state_code FROM afterimage.streams')).toEqual([['halted', 'SCHEMA_REFUSED']]);
    expect(await rows('SELECT * FROM shop.orders')).toEqual([[1, 'a', 10]]);
    await database.pool.query('DROP VIEW shop.report');
    expect(await applier.apply(batch)).toMatchObject({ kind: 'applied' });
    expect(await rows('SELECT state FROM afterimage.streams')).toEqual([['active']]);
  });
});

describe('the configuration', () => {
  test('with another type for a column brings a new version without any change at the source', async () => {
    source.fields = [id, field('state', 'enum', 'string')];
    await applierWith().apply(source.transaction(['insert', 1, '02']).cut());
    expect(await rows('SELECT * FROM shop.orders')).toEqual([[1, 2]]);
    const typed = applierWith({ columns: { state: { type: "enum('new','it''s paid')" } } });
    await typed.apply(source.transaction(['insert', 2, '01']).cut());
    expect(await kinds()).toEqual([['create', 'rekey'], ['retype']]);
    expect(await rows('SELECT * FROM shop.orders ORDER BY 1')).toEqual([
      [1, "it's paid"],
      [2, 'new'],
    ]);
  });

  test('with a key that is not in the table halts the stream and says which columns there are', async () => {
    const outcome = await applierWith({ key: ['nr'] }).apply(source.transaction(['insert', 1, 'a', 10]).cut());
    expect(outcome).toMatchObject({ kind: 'halted', code: 'KEY_COLUMN_MISSING' });
    expect(JSON.stringify(outcome)).toContain('id, state, amount');
  });

  test('with a type that is none halts the stream and names the column', async () => {
    const batch = source.transaction(['insert', 1, 'a', 10]).cut();
    for (const column of [{ type: 'enum(' }, { postgres: 'int; DROP TABLE x' }]) {
      const outcome = await applierWith({ columns: { state: column } }).apply(batch);
      expect(outcome).toMatchObject({ kind: 'halted', code: 'COLUMN_TYPE_INVALID' });
      expect(JSON.stringify(outcome)).toContain('state');
    }
  });

  test('tells once, with the schema version, what the operator should know of a column', async () => {
    source.fields = [id, field('state', 'enum', 'string')];
    const applier = applierWith();
    const first = await applier.apply(source.transaction(['insert', 1, '01']).cut());
    expect(first).toMatchObject({ kind: 'applied', newSchema: { version: 1, notices: [{ column: 'state' }] } });
    expect(await applier.apply(source.transaction(['insert', 2, '01']).cut())).toMatchObject({ newSchema: null });
  });

  test('with another key changes the identity of the mirror', async () => {
    await applierWith().apply(source.transaction(['insert', 1, 'a', 10]).cut());
    await applierWith({ key: ['id', 'state'] }).apply(source.transaction(['insert', 1, 'b', 20]).cut());
    expect(await rows('SELECT * FROM shop.orders ORDER BY state')).toEqual([
      [1, 'a', 10],
      [1, 'b', 20],
    ]);
    await applierWith({ key: null }).apply(
      source.transaction(['insert', 1, 'b', 20], ['insert', null, null, null]).cut(),
    );
    expect(await rows('SELECT count(*)::int FROM shop.orders')).toEqual([[4]]);
  });

  test('with a mirror name that is taken halts the stream and leaves that table alone', async () => {
    await database.pool.query('CREATE SCHEMA shop; CREATE TABLE shop.orders (mine int)');
    const outcome = await applierWith().apply(source.transaction(['insert', 1, 'a', 10]).cut());
    expect(outcome).toMatchObject({ kind: 'halted', code: 'MIRROR_NAME_TAKEN' });
    expect(await rows('SELECT count(*)::int FROM shop.orders')).toEqual([[0]]);
  });
});

describe('names from the stream', () => {
  test('are only ever names, whatever they hold', async () => {
    const evil = [
      'a"; DROP SCHEMA afterimage CASCADE; --',
      "b' OR '1'='1",
      '__proto__',
      'ctid',
      'stream_ordinal',
      'select',
      'x'.repeat(64),
      `${'x'.repeat(63)}y`,
      'ünï',
    ];
    source.fields = evil.map((name) => field(name, 'varchar', 'string'));
    const values = evil.map((_, i) => `v${i}'"\\`);
    const outcome = await applierWith({ key: null }).apply(source.transaction(['insert', ...values]).cut());
    expect(outcome).toMatchObject({ kind: 'applied', events: 1 });
    expect(await rows('SELECT * FROM shop.orders')).toEqual([values]);
    const { fields } = await database.pool.query('SELECT * FROM shop.orders');
    expect(fields.map((f) => f.name).slice(0, 6)).toEqual([...evil.slice(0, 3), 'ctid_', 'stream_ordinal', 'select']);
    const history = await database.pool.query('SELECT stream_ordinal, stream_ordinal_ FROM shop_history.orders');
    expect(history.rows).toEqual([{ stream_ordinal: '1', stream_ordinal_: 'v4\'"\\' }]);
  });

  test('halt the stream where PostgreSQL can hold no such name', async () => {
    source.fields = [field('id', 'int', 'int'), field('a\0b', 'int', 'int')];
    const batch = source.transaction(['insert', 1, 1]).cut();
    expect(await applierWith().apply(batch)).toMatchObject({ kind: 'halted' });
    expect(await applierWith({ key: ['nr'] }).apply(batch)).toMatchObject({
      kind: 'halted',
      code: 'KEY_COLUMN_MISSING',
    });
    expect(JSON.stringify(await rows('SELECT state_message FROM afterimage.streams'))).toContain('id, a\\\\0b');
  });

  test('of a table called excluded do not meet those of ON CONFLICT', async () => {
    const applier = applierWith({ mirror: { schema: 'shop', table: 'excluded' } });
    await applier.apply(source.transaction(['insert', 1, 'a', 10]).cut());
    const batch = source.transaction(['update_before', 1, 'a', 10], ['update_after', 1, 'b', 10]).cut();
    expect(await applier.apply(batch)).toMatchObject({ kind: 'applied' });
    expect(await rows('SELECT * FROM shop.excluded')).toEqual([[1, 'b', 10]]);
  });

  test('may be as many as a table can have columns, all of types whose lost values are counted', async () => {
    const many = Array.from({ length: 1_500 }, (_, i) => field(`b${i}`, 'bit', 'string'));
    source.fields = [id, ...many];
    const outcome = await applierWith().apply(source.transaction(['insert', 1, ...many.map(() => '')]).cut());
    expect(outcome).toMatchObject({ kind: 'applied', events: 1 });
    expect(outcome.kind === 'applied' ? outcome.lost.size : 0).toBe(1_500);
  });

  test('of 64 characters get histories of their own', async () => {
    const mirror = { schema: 's'.repeat(64), table: 't'.repeat(64) };
    const outcome = await applierWith({ mirror }).apply(source.transaction(['insert', 1, 'a', 10]).cut());
    expect(outcome).toMatchObject({ kind: 'applied' });
  });
});
