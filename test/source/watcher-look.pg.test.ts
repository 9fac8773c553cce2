import { EventEmitter, once } from 'node:events';
import { type Queryable, readTableStorage } from '@afterimage/mariadb';
import { readAndRecord, registerStreams } from '@afterimage/replica';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
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

  it('that is slow is recorded before one that was begun later', async () => {
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
    let isOver = false;
    const second = readAndRecord(database.pool, source.pool, names).finally(() => (isOver = true));
    const waiting = `SELECT count(*)::int AS n FROM pg_locks WHERE locktype = 'advisory' AND NOT granted`;
    await vi.waitFor(async () => {
      const { rows } = await database.pool.query<{ n: number }>(waiting);
      expect(isOver || rows[0]?.n === 1).toBe(true);
    });
    moments.emit('answered');
    const [before, after] = await Promise.all([first, second]);
    expect(after?.table.columns.map(({ name }) => name)).toEqual(['id', 'later']);
    expect(Number(after?.id)).toBeGreaterThan(Number(before?.id));
  });
});
