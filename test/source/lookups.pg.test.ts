import { type Applier, createApplier, findStream, rebuild, registerStreams } from '@afterimage/replica';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { ScriptedStream, field, testSettings } from '../../packages/replica/test/batches.js';
import { createDatabase, type TestDatabase } from '../harness/databases.js';
import { mariadbMissing, startTestSource, type TestSource } from '../harness/mariadb.js';

describe.skipIf(await mariadbMissing('private'))('of a column that is looked up, history has', () => {
  let source: TestSource;
  let database: TestDatabase;
  let stream: ScriptedStream;
  let applier: Applier;
  const settingsOf = () => testSettings({ key: null, hasSource: true });

  beforeAll(async () => {
    source = await startTestSource();
  });
  afterAll(() => source.close());
  beforeEach(async () => {
    // MaxScale sends a BIT as '', and a long decimal otherwise than it is.
    await source.connection.query(
      'CREATE OR REPLACE TABLE orders (id int PRIMARY KEY, flags bit(4), sum decimal(20,10))',
    );
    database = await createDatabase();
    const [record] = await registerStreams(database.pool, 'main', [{ database: 'shop', table: 'orders' }]);
    stream = new ScriptedStream({ id: record?.id ?? '', source: 'main', database: 'shop', table: 'orders' });
    stream.fields = [field('id', 'int', 'int'), field('flags', 'bit', 'string'), field('sum', 'decimal', 'double')];
    applier = createApplier(database.pool, settingsOf, () => source.pool);
  });
  afterEach(() => database.drop());

  const put = (...row: readonly unknown[]) => source.connection.query('REPLACE INTO orders VALUES (?, ?, ?)', [...row]);
  const remove = (id: number) => source.connection.query('DELETE FROM orders WHERE id = ?', [id]);
  const apply = async (batch = stream.cut()) => expect(await applier.apply(batch)).toMatchObject({ kind: 'applied' });
  const history = async (): Promise<unknown[]> =>
    (
      await database.pool.query<unknown[]>({
        text: `SELECT event_type, id, flags::text, sum::text FROM shop_history.orders ORDER BY stream_ordinal`,
        rowMode: 'array',
      })
    ).rows;
  const lostValues = async (): Promise<unknown[]> =>
    (
      await database.pool.query<unknown[]>({
        text: `SELECT column_name, values::int FROM afterimage.unreliable_columns ORDER BY 1`,
        rowMode: 'array',
      })
    ).rows;
  async function expectRebuilt(): Promise<void> {
    const record = await findStream(database.pool, 'shop.orders');
    expect(await rebuild(database.pool, { stream: record, settingsOf, apply: false })).toMatchObject({ equal: true });
  }

  it('for a row that goes the value that the mirror had, also where MariaDB has another by then', async () => {
    await put(1, 5, '1.5');
    await put(2, 6, '2.5');
    await apply(stream.transaction(['insert', 1, '', 13.8], ['insert', 2, '', 24.8]).cut());
    await put(1, 9, '9.5');
    await remove(2);
    await apply(
      stream.transaction(['update_before', 1, '', 13.8], ['update_after', 1, '', 99.8], ['delete', 2, '', 24.8]).cut(),
    );
    expect(await history()).toEqual([
      ['insert', 1, '0101', '1.5000000000'],
      ['insert', 2, '0110', '2.5000000000'],
      ['update_before', 1, '0101', '1.5000000000'],
      ['update_after', 1, '1001', '9.5000000000'],
      ['delete', 2, '0110', '2.5000000000'],
    ]);
    expect(await lostValues()).toEqual([
      ['flags', 0],
      ['sum', 0],
    ]);
    await expectRebuilt();
  });

  it('for a row that comes and goes within one batch what was looked up for that', async () => {
    await put(1, 5, '1.5');
    await apply(stream.transaction(['insert', 1, '', 13.8]).cut());
    await put(1, 7, '3.5');
    await apply(
      stream
        .transaction(['update_before', 1, '', 13.8], ['update_after', 1, '', 24.8])
        .transaction(['update_before', 1, '', 24.8], ['update_after', 1, '', 34.8])
        .cut(),
    );
    expect((await history()).slice(1)).toEqual([
      ['update_before', 1, '0101', '1.5000000000'],
      ['update_after', 1, '0111', '3.5000000000'],
      ['update_before', 1, '0111', '3.5000000000'],
      ['update_after', 1, '0111', '3.5000000000'],
    ]);
    await expectRebuilt();
  });

  it('for a row that is gone before it could be asked for NULL, and what the stream bent, in all its images', async () => {
    await apply(stream.transaction(['insert', 1, '', 13.8]).transaction(['delete', 1, '', 13.8]).cut());
    await put(2, 4, '4.5');
    await apply(stream.transaction(['insert', 2, '', 44.8]).cut());
    await remove(2);
    await apply(
      stream
        .transaction(['update_before', 2, '', 44.8], ['update_after', 2, '', 54.8])
        .transaction(['delete', 2, '', 54.8])
        .cut(),
    );
    const images = await history();
    expect(images.slice(2, 4)).toEqual([
      ['insert', 2, '0100', '4.5000000000'],
      ['update_before', 2, '0100', '4.5000000000'],
    ]);
    expect(images.filter((image) => (image as unknown[])[2] === null).map((image) => (image as unknown[])[0])).toEqual([
      'insert',
      'delete',
      'update_after',
      'delete',
    ]);
    await expectRebuilt();
  });

  it('where the key changes the value of the former key, and the one of the row that comes back', async () => {
    await put(1, 5, '1.5');
    await apply(stream.transaction(['insert', 1, '', 13.8]).cut());
    await remove(1);
    await put(2, 5, '1.5');
    await apply(stream.transaction(['update_before', 1, '', 13.8], ['update_after', 2, '', 13.8]).cut());
    await put(2, 8, '8.5');
    await apply(stream.transaction(['delete', 2, '', 13.8], ['insert', 2, '', 88.8]).cut());
    expect((await history()).slice(1)).toEqual([
      ['update_before', 1, '0101', '1.5000000000'],
      ['update_after', 2, '0101', '1.5000000000'],
      ['delete', 2, '0101', '1.5000000000'],
      ['insert', 2, '1000', '8.5000000000'],
    ]);
    await expectRebuilt();
  });

  it('the same where the mirror has enum types, in the key or looked up', async () => {
    const { connection, pool } = source;
    await connection.query(
      "CREATE OR REPLACE TABLE orders (kind enum('a','b'), id int, flags bit(4), state enum('x','y'), PRIMARY KEY (kind, id))",
    );
    const [bit, label] = [field('flags', 'bit', 'string'), field('state', 'enum', 'string')];
    stream.fields = [field('kind', 'enum', 'string'), field('id', 'int', 'int'), bit, label];
    const typed = { ...settingsOf(), labels: 'enum', columns: { state: { lookup: true } } } as const;
    applier = createApplier(
      database.pool,
      () => typed,
      () => pool,
    );
    await connection.query("INSERT INTO orders VALUES ('b', 1, 5, 'x'), ('b', 2, 6, 'y')");
    await apply(stream.transaction(['insert', '02', 1, '', '01'], ['insert', '02', 2, '', '02']).cut());
    await connection.query("UPDATE orders SET flags = 7, state = 'y' WHERE id = 1");
    await apply(
      stream
        .transaction(['update_before', '02', 1, '', '01'], ['update_after', '02', 1, '', '02'])
        .transaction(['delete', '02', 2, '', '02'])
        .cut(),
    );
    const sql = `SELECT kind, id, flags::text, state FROM shop_history.orders ORDER BY stream_ordinal`;
    const { rows } = await database.pool.query<unknown[]>({ text: sql, rowMode: 'array' });
    expect(rows).toEqual([
      ['b', 1, '0101', 'x'],
      ['b', 2, '0110', 'y'],
      ['b', 1, '0101', 'x'],
      ['b', 1, '0111', 'y'],
      ['b', 2, '0110', 'y'],
    ]);
  });
});
