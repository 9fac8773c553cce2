import { EventEmitter, once } from 'node:events';
import { type Queryable, readTableStorage } from '@afterimage/mariadb';
import { readAndRecord, registerStreams } from '@afterimage/replica';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { lookAtTable } from '../../apps/watcher/src/look.js';
import { createDatabase, type TestDatabase } from '../harness/databases.js';
import { mariadbMissing, startTestSource, type TestSource } from '../harness/mariadb.js';

describe.skipIf(await mariadbMissing('private'))('a look at a table', () => {
  let source: TestSource;
  let database: TestDatabase;

  beforeAll(async () => {
    source = await startTestSource();
    database = await createDatabase();
  }, 60_000);
  afterAll(async () => {
    await Promise.all([source.close(), database.drop()]);
  });

  it('notices that it was away for a moment, whatever of it is seen in between', async () => {
    const create = 'CREATE TABLE shop.stock (id int PRIMARY KEY)';
    await source.connection.query(create);
    const [stream] = await registerStreams(database.pool, 'shop', [{ database: 'shop', table: 'stock' }]);
    if (stream === undefined) throw new Error('not registered');
    const policies = {
      intervalMs: 1,
      quietMs: 1,
      replaced: 'resync',
      filled: 'resync',
      modified: 'resync',
      renamed: 'resync',
      gone: 'ignore',
    } as const;
    const options = { pool: database.pool, source: source.pool, policies };
    const look = async () => lookAtTable(options, stream, await readTableStorage(source.pool, 'shop'));
    expect([await look(), await look()]).toEqual([[], []]);
    await source.connection.query('DROP TABLE shop.stock');
    const whileAway = await readTableStorage(source.pool, 'shop');
    await source.connection.query(create);
    const found = [...(await lookAtTable(options, stream, whileAway)), ...(await look())];
    expect(found).toMatchObject([{ kind: 'replaced', policy: 'resync' }]);
    expect(await look()).toEqual([]);
  });

  it('that is slow keeps nobody waiting, and is made again where another was recorded meanwhile', async () => {
    await source.connection.query('CREATE TABLE shop.slow (id int PRIMARY KEY)');
    const names = { source: 'shop', database: 'shop', table: 'slow' };
    const moments = new EventEmitter();
    const asked = once(moments, 'asked');
    const answered = once(moments, 'answered');
    const slow: Queryable = {
      async query<Rows>(sql: Parameters<Queryable['query']>[0], values?: unknown) {
        const text = typeof sql === 'string' ? sql : sql.sql;
        const rows = await source.pool.query<Rows>(text, values);
        if (!text.includes('information_schema.COLUMNS')) return rows;
        moments.emit('asked');
        await answered;
        return rows;
      },
    };
    const first = readAndRecord(database.pool, slow, names);
    await asked;
    await source.connection.query('ALTER TABLE shop.slow ADD COLUMN later int');
    const second = await readAndRecord(database.pool, source.pool, names);
    moments.emit('answered');
    expect(second?.table.columns.map(({ name }) => name)).toEqual(['id', 'later']);
    expect(await first).toEqual(second);
  });
});
