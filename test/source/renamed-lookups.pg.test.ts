import { type LocalMariadb, startMariadb } from '@afterimage/local-servers';
import { openSourceDatabase } from '@afterimage/mariadb';
import { createApplier, findStream, listDetectedChanges, registerStreams } from '@afterimage/replica';
import type { Pool } from 'mariadb';
import { afterAll, beforeAll, expect, it, describe } from 'vitest';
import { field, ScriptedStream, testSettings } from '../../packages/replica/test/batches.js';
import { createDatabase, type TestDatabase } from '../harness/databases.js';
import { mariadbMissing } from '../harness/mariadb.js';

describe.skipIf(await mariadbMissing('private'))('values that are read from MariaDB, of a batch that is behind', () => {
  let mariadb: LocalMariadb;
  let source: Pool;
  let database: TestDatabase;
  let events: ScriptedStream;

  const apply = () =>
    createApplier(
      database.pool,
      () => testSettings({ key: null, hasSource: true }),
      () => source,
    ).apply(events.cut());
  const mirrored = async () => {
    const text = 'SELECT id, a::text, b::text FROM shop.orders ORDER BY id';
    return (await database.pool.query<unknown[]>({ text, rowMode: 'array' })).rows;
  };

  beforeAll(async () => {
    mariadb = await startMariadb({ env: { PATH: process.env['PATH'] } });
    source = openSourceDatabase({ url: mariadb.url, connections: 1 });
    database = await createDatabase();
    await source.query('SET SESSION TRANSACTION READ WRITE');
    await source.query('CREATE DATABASE shop');
    await source.query('CREATE TABLE shop.orders (id int PRIMARY KEY, a bit(8), b bit(8))');
    await source.query(`INSERT INTO shop.orders VALUES (1, b'1', b'10'), (2, b'11', b'100'), (3, b'101', b'110')`);
    const [stream] = await registerStreams(database.pool, 'main', [{ database: 'shop', table: 'orders' }]);
    if (stream === undefined) throw new Error('not registered');
    const bits = ['a', 'b'].map((name) => field(name, 'bit', 'string'));
    events = new ScriptedStream({ id: stream.id, source: 'main', database: 'shop', table: 'orders' }, [
      field('id', 'int', 'int'),
      ...bits,
    ]);
    // MariaDB has had no transaction of this domain: nothing tells whether they came before or after what it is asked.
    events.domain = 7;
    events.transaction(['insert', 1, '', '']);
    await apply();
  }, 60_000);
  afterAll(async () => {
    await Promise.all([source.end(), database.drop()]);
    await mariadb.stop();
  });

  it('are those of its columns where others were added since', async () => {
    await source.query('ALTER TABLE shop.orders ADD COLUMN c bit(8) AFTER a');
    events.transaction(['insert', 2, '', '']);
    await apply();
    expect(await mirrored()).toEqual([
      [1, '00000001', '00000010'],
      [2, '00000011', '00000100'],
    ]);
  });

  it('are not read where columns may have exchanged their names since, and that is told', async () => {
    await source.query('ALTER TABLE shop.orders RENAME COLUMN a TO b, RENAME COLUMN b TO a');
    events.transaction(['insert', 3, '', '']);
    expect(await apply()).toMatchObject({ kind: 'applied', refused: 0 });
    expect((await mirrored()).at(-1)).toEqual([3, null, null]);
    const { id } = await findStream(database.pool, 'shop.orders');
    expect(await listDetectedChanges(database.pool, id, { all: false })).toMatchObject([
      { kind: 'renamed', policy: 'resync', detail: expect.stringMatching(/^values of a, b were not read/) as string },
    ]);
  });
});
