import { registerStreams } from '@afterimage/replica';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { lookAtDatabase, lookAtTable } from '../../apps/watcher/src/look.js';
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
      gone: 'ignore',
    } as const;
    const options = { pool: database.pool, source: source.pool, policies };
    const look = async () => lookAtTable(options, stream, await lookAtDatabase(source.pool, 'shop'));
    expect([await look(), await look()]).toEqual([[], []]);
    await source.connection.query('DROP TABLE shop.stock');
    const whileAway = await lookAtDatabase(source.pool, 'shop');
    await source.connection.query(create);
    const found = [...(await lookAtTable(options, stream, whileAway)), ...(await look())];
    expect(found).toMatchObject([{ kind: 'replaced', policy: 'resync' }]);
    expect(await look()).toEqual([]);
  });
});
