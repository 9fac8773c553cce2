import { openSourceDatabase } from '@afterimage/mariadb';
import { type LocalMariadb, startMariadb } from '@afterimage/local-servers';
import { registerStreams } from '@afterimage/replica';
import type { Pool } from 'mariadb';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { lookAtDatabase, lookAtTable } from '../../apps/watcher/src/look.js';
import { createDatabase, type TestDatabase } from '../harness/databases.js';
import { mariadbMissing } from '../harness/mariadb.js';

describe.skipIf(await mariadbMissing('private'))('a look at a table', () => {
  let mariadb: LocalMariadb;
  let source: Pool;
  let database: TestDatabase;

  beforeAll(async () => {
    mariadb = await startMariadb({ env: { PATH: process.env['PATH'] } });
    source = openSourceDatabase({ url: mariadb.url, connections: 1 });
    database = await createDatabase();
    await source.query('SET SESSION TRANSACTION READ WRITE');
    await source.query('CREATE DATABASE shop');
  }, 60_000);
  afterAll(async () => {
    await Promise.all([source.end(), database.drop()]);
    await mariadb.stop();
  });

  it('notices that it was away for a moment, whatever of it is seen in between', async () => {
    const create = 'CREATE TABLE shop.stock (id int PRIMARY KEY)';
    await source.query(create);
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
    const options = { pool: database.pool, source, policies };
    const look = async () => lookAtTable(options, stream, await lookAtDatabase(source, 'shop'));
    expect([await look(), await look()]).toEqual([[], []]);
    await source.query('DROP TABLE shop.stock');
    const whileAway = await lookAtDatabase(source, 'shop');
    await source.query(create);
    const found = [...(await lookAtTable(options, stream, whileAway)), ...(await look())];
    expect(found).toMatchObject([{ kind: 'replaced', policy: 'resync' }]);
    expect(await look()).toEqual([]);
  });
});
