import { once } from 'node:events';
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { openSourceDatabase } from '@afterimage/mariadb';
import { readSnapshots } from '@afterimage/replica';
import type { SnapshotError } from '@afterimage/snapshot';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { mariadbMissing } from '../harness/mariadb.js';
import { createReplica, type Replica, type Source, startSource } from './snapshot-rig.js';

const cli = fileURLToPath(new URL('../../apps/cli/bin/afterimage.js', import.meta.url));

describe.skipIf(await mariadbMissing('private'))('a snapshot that is disturbed', () => {
  let source: Source;
  let replica: Replica;
  beforeAll(async () => {
    source = await startSource();
    await source.connection.query(
      `CREATE DATABASE shop; USE shop;
       CREATE TABLE orders (id int PRIMARY KEY, name varchar(1000)); INSERT INTO orders SELECT seq, REPEAT(MD5(seq), 30) FROM seq_1_to_20000;
       CREATE TABLE small (id int PRIMARY KEY, n int, word varchar(10)); INSERT INTO small VALUES (1, 1, 'a'), (2, 70000, 'b'), (3, 3, 'c');`,
    );
  }, 60_000);
  afterAll(async () => {
    await replica.drop();
    await source.stop();
  });

  const shadows = async (): Promise<unknown[]> => {
    const { rows } = await replica.database.pool.query<{ nspname: string }>(
      `SELECT nspname FROM pg_namespace WHERE nspname LIKE 'afterimage\\_snapshot%'`,
    );
    return rows;
  };
  const isCopying = async (): Promise<void> => {
    const [record] = await readSnapshots(replica.database.pool);
    expect(record).toMatchObject({ state: 'copying', isRunning: true });
    expect(Number(record?.rows)).toBeGreaterThan(0);
  };
  const failureOf = (work: Promise<unknown>): Promise<SnapshotError> =>
    work.then(
      () => expect.unreachable('the copy went well'),
      (error: unknown) => error as SnapshotError,
    );

  it('leaves nothing behind when its process is killed, is told by status, and begins again', async () => {
    replica = await createReplica(source, 'shop', [{ name: 'orders' }, { name: 'small' }]);
    const child = spawn(process.execPath, [cli, 'snapshot', 'shop.orders', '--rate', '4000', '-c', replica.configPath]);
    await vi.waitFor(isCopying, { timeout: 20_000, interval: 50 });
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
    await vi.waitFor(
      async () =>
        expect(await readSnapshots(replica.database.pool)).toMatchObject([{ state: 'copying', isRunning: false }]),
      { timeout: 10_000 },
    );
    expect((await replica.database.pool.query(`SELECT to_regclass('shop.orders') AS mirror`)).rows).toEqual([
      { mirror: null },
    ]);
    const again = spawn(process.execPath, [cli, 'snapshot', 'shop.orders', '--json', '-c', replica.configPath]);
    let output = '';
    for (const stream of [again.stdout, again.stderr]) stream.on('data', (part: Buffer) => (output += part.toString()));
    const [code] = (await once(again, 'exit')) as [number];
    expect(code, output).toBe(0);
    expect(JSON.parse(output)).toMatchObject([{ table: 'shop.orders', state: 'done', kind: 'adopted', rows: 20_000 }]);
    expect(await shadows()).toEqual([]);
  }, 60_000);

  it('begins again when a connection of either server is cut in the middle', async () => {
    const notices: string[] = [];
    const copying = replica.snapshot('orders', {
      rate: 6_000,
      onNotice: (text) => notices.push(text),
      onProgress: ({ phase }) => {
        if (phase !== 'copying') return;
        if (notices.length === 0) void killSourceReaders();
        if (notices.length === 1) void killCopies();
      },
    });
    expect(await copying).toMatchObject({ kind: 'compared', attempts: 3, rows: 20_000, written: 0, removed: 0 });
    expect(notices).toHaveLength(2);
    await source.connection.query(`UPDATE orders SET name = 'x' WHERE id < 100; DELETE FROM orders WHERE id = 500`);
    await replica.snapshot('small');
    replica.start('reader', 'writer');
    await replica.expectEqual();
    await replica.stop();
    expect(await shadows()).toEqual([]);
  }, 90_000);

  async function killCopies(): Promise<void> {
    await replica.database.pool.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'COPY %'`,
    );
  }

  async function killSourceReaders(): Promise<void> {
    const rows = await source.connection.query<{ id: bigint }[]>(
      `SELECT ID AS id FROM information_schema.PROCESSLIST WHERE INFO LIKE 'SELECT CONCAT%'`,
    );
    for (const { id } of rows) await source.connection.query(`KILL ${id}`).catch(() => undefined);
  }

  it('says what to do: no such table, no privilege, a wrong password, a table that is not streamed', async () => {
    await source.connection.query(
      `CREATE TABLE versioned (id int PRIMARY KEY) WITH SYSTEM VERSIONING;
       CREATE TABLE heap (a int) ENGINE=Aria; INSERT INTO heap VALUES (1);
       CREATE USER reader IDENTIFIED BY 'secret-word'; GRANT SELECT ON shop.* TO reader;`,
    );
    const url = new URL(source.mariadb.url);
    const as = (user: string, password: string): string => `mariadb://${user}:${password}@${url.host}/`;
    const tryAs = async (table: string, user: string, password: string): Promise<SnapshotError> => {
      const database = openSourceDatabase({ url: as(user, password), connections: 6, acquireTimeoutMs: 1_500 });
      try {
        return await failureOf(replica.snapshot(table, { source: database }));
      } finally {
        await database.end();
      }
    };
    const other = await createReplica(
      source,
      'shop',
      ['versioned', 'heap', 'nowhere', 'small'].map((name) => ({ name })),
    );
    const former = replica;
    replica = other;
    try {
      expect(await tryAs('nowhere', 'reader', 'secret-word')).toMatchObject({ code: 'NO_SUCH_TABLE' });
      expect(await tryAs('versioned', 'reader', 'secret-word')).toMatchObject({ code: 'NOT_STREAMED' });
      expect(await tryAs('heap', 'reader', 'secret-word')).toMatchObject({ code: 'LOCK_NEEDED' });
      const refused = await tryAs('small', 'reader', 'wrong-word');
      expect(refused).toMatchObject({ code: 'SOURCE_LOGIN' });
      expect(refused.message).not.toContain('wrong-word');
      const [record] = (await readSnapshots(other.database.pool)).filter(({ state }) => state !== 'failed');
      expect(record).toBeUndefined();
      // SELECT on its tables is all that the user needs.
      const least = openSourceDatabase({ url: as('reader', 'secret-word'), connections: 6 });
      expect(await other.snapshot('small', { source: least })).toMatchObject({ kind: 'adopted', rows: 3 });
      await least.end();
    } finally {
      replica = former;
      await other.drop();
    }
  }, 60_000);

  it('says which value PostgreSQL refuses, and changes nothing then', async () => {
    const columns = { n: { type: 'int', postgres: 'smallint' } };
    const other = await createReplica(source, 'shop', [{ name: 'small', columns }]);
    try {
      const refused = await failureOf(other.snapshot('small'));
      expect(refused).toMatchObject({ code: 'ROW_REFUSED' });
      expect(refused.message).toContain('"70000" is out of range for type smallint');
      const { rows } = await other.database.pool.query(
        `SELECT state, schema_version, position FROM afterimage.snapshots JOIN afterimage.offsets USING (stream_id)`,
      );
      expect(rows).toEqual([{ state: 'failed', schema_version: 0, position: '' }]);
    } finally {
      await other.drop();
    }
  }, 60_000);
});
