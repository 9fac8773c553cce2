import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startFakeMaxScale } from '@afterimage/cdc-protocol/testing';
import { startMariadb } from '@afterimage/local-servers';
import { parseMariadbUrl } from '@afterimage/mariadb';
import { createConnection } from 'mariadb';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
// @boundaries-ignore the harness that all tests share
import { mariadbMissing } from '../../../test/harness/mariadb.js';
import { startBinlogFeed } from '../src/index.js';
import { RawConnection } from './recorded-sql.js';
import { privateServer, type Source, startSource } from './source.js';

const missing = await mariadbMissing('private');

/** The rows of a stream: GTID sequence, event number, operation, then the columns. */
function rowsOf(received: string): string[] {
  const rows = received.matchAll(
    /"domain": (-?\d+), "server_id": (-?\d+), "sequence": (-?\d+), "event_number": (\d+), "timestamp": \d+, "event_type": "(\w+)", (.*)\}/g,
  );
  return [...rows].map(([, domain, server, sequence, number, operation, columns]) =>
    `${domain}-${server}-${sequence}#${number} ${operation} ${columns}`.replaceAll('"', ''),
  );
}

describe.skipIf(missing)('a fake MaxScale fed from a MariaDB', () => {
  let source: Source;
  beforeEach(async () => {
    source = await startSource({ timeZone: 'America/New_York' });
    await source.connection.query('CREATE DATABASE shop');
    await source.connection.query('USE shop');
  });
  afterEach(() => source.close());

  async function read(table: string): Promise<string> {
    await source.feed.catchUp();
    const client = new RawConnection(source.maxscale.port);
    await client.request(table);
    return client.finish(0);
  }

  it('sends changes while they are made, without being asked', async () => {
    await source.connection.query('CREATE TABLE t (id int PRIMARY KEY, v varchar(10))');
    await source.connection.query(`INSERT INTO t VALUES (1, 'one')`);
    await source.feed.catchUp();
    const client = new RawConnection(source.maxscale.port);
    await client.request('shop.t');
    await source.connection.query(`UPDATE t SET v = 'two'`);
    await vi.waitFor(() => expect(rowsOf(client.received)).toHaveLength(3));
    await source.connection.query('ALTER TABLE t ADD w int');
    await source.connection.query('DELETE FROM t');
    await vi.waitFor(() => expect(rowsOf(client.received)).toHaveLength(4));
    expect(rowsOf(await client.finish(0))).toEqual([
      '0-1-3#1 insert id: 1, v: one',
      '0-1-4#1 update_before id: 1, v: one',
      '0-1-4#2 update_after id: 1, v: two',
      '0-1-6#1 delete id: 1, v: two, w: null',
    ]);
    expect(client.received).toContain('"version":2,"gtid":"0-1-5"');
  });

  it('goes on after a pause where it was, with nothing missing or twice', async () => {
    await source.connection.query('CREATE TABLE t (id int PRIMARY KEY)');
    await source.connection.query('INSERT INTO t VALUES (1)');
    await source.feed.catchUp();
    await source.feed.pause();
    await source.connection.query('INSERT INTO t VALUES (2)');
    expect(source.feed.position).toBe('0-1-3');
    source.feed.resume();
    await source.connection.query('INSERT INTO t VALUES (3)');
    expect(rowsOf(await read('shop.t'))).toEqual([
      '0-1-3#1 insert id: 1',
      '0-1-4#1 insert id: 2',
      '0-1-5#1 insert id: 3',
    ]);
  });

  it('sends a transaction again from its start when it was cut in the middle, as a restarted MaxScale does', async () => {
    await source.connection.query('CREATE TABLE t (id int PRIMARY KEY, v varchar(100))');
    await source.connection.query('INSERT INTO t VALUES (0, NULL)');
    await source.feed.catchUp();
    const client = new RawConnection(source.maxscale.port);
    await client.request('shop.t');
    await source.connection.query(`INSERT INTO t SELECT seq, repeat('x', 100) FROM seq_1_to_30000`);
    await vi.waitFor(() => expect(rowsOf(client.received).length).toBeGreaterThan(1), { interval: 1 });
    await source.feed.pause();
    source.feed.resume();
    const ids = rowsOf(await read('shop.t')).map((row) => Number(/id: (\d+)/.exec(row)?.[1]));
    const again = ids.lastIndexOf(1);
    expect(ids.slice(again)).toEqual(Array.from({ length: 30_000 }, (_, index) => index + 1));
    expect(ids.slice(0, again)).toEqual(Array.from({ length: again }, (_, index) => index));
  });

  it('sends the same when it begins anew with all binlogs', async () => {
    await source.connection.query('CREATE TABLE t (id int PRIMARY KEY, v varchar(10))');
    await source.connection.query(`INSERT INTO t VALUES (1, 'one'), (2, 'two')`);
    await source.connection.query('ALTER TABLE t DROP v, ADD w int FIRST');
    await source.connection.query('FLUSH BINARY LOGS');
    await source.connection.query('DELETE FROM t WHERE id = 1');
    const first = await read('shop.t');
    const maxscale = await startFakeMaxScale();
    const feed = await startBinlogFeed({ maxscale, mariadbUrl: source.mariadb.url, serverId: 77 });
    await feed.catchUp();
    const client = new RawConnection(maxscale.port);
    await client.request('shop.t');
    expect(await client.finish(Buffer.byteLength(first))).toBe(first);
    await feed.stop();
    await maxscale.close();
  });

  it('numbers events over all tables of a transaction, and wraps GTIDs of several domains to 32 bits', async () => {
    await source.connection.query('CREATE TABLE a (id int PRIMARY KEY)');
    await source.connection.query('CREATE TABLE b (id int PRIMARY KEY)');
    await source.connection.query('SET gtid_domain_id = 4294967295, server_id = 2147483648, gtid_seq_no = 4294967299');
    await source.connection.beginTransaction();
    await source.connection.query('INSERT INTO a VALUES (1), (2)');
    await source.connection.query('INSERT INTO b VALUES (1)');
    await source.connection.query('DELETE FROM a WHERE id = 1');
    await source.connection.commit();
    expect(rowsOf(await read('shop.a'))).toEqual([
      '-1--2147483648-3#1 insert id: 1',
      '-1--2147483648-3#2 insert id: 2',
      '-1--2147483648-3#4 delete id: 1',
    ]);
    expect(rowsOf(await read('shop.b'))).toEqual(['-1--2147483648-3#3 insert id: 1']);
  });

  it("prints TIMESTAMP in MaxScale's time zone and DATETIME as it is", async () => {
    await source.connection.query('CREATE TABLE t (id int PRIMARY KEY, t timestamp NULL, d datetime)');
    await source.connection.query(
      `INSERT INTO t VALUES (1, '2024-07-01 12:00:00', '2024-07-01 12:00:00'), (2, 0, NULL)`,
    );
    expect(rowsOf(await read('shop.t'))).toEqual([
      '0-1-3#1 insert id: 1, t: 2024-07-01 08:00:00, d: 2024-07-01 12:00:00',
      '0-1-3#2 insert id: 2, t: 0-00-00 00:00:00, d: null',
    ]);
  });

  it('breaks the stream of a table for good at a row above the block size, and of no other table', async () => {
    await source.connection.query('CREATE TABLE t (id int PRIMARY KEY, v longtext)');
    await source.connection.query('CREATE TABLE u (id int PRIMARY KEY)');
    await source.connection.query(`INSERT INTO t VALUES (1, repeat('x', 16300))`);
    await source.connection.query(`INSERT INTO t VALUES (2, repeat('x', 16384))`);
    await source.connection.query(`INSERT INTO t VALUES (3, 'short')`);
    await source.connection.query('INSERT INTO u VALUES (1)');
    const received = await read('shop.t');
    expect(rowsOf(received)).toHaveLength(1);
    expect(received).toMatch(/\nERR fatal error: MAXAVRO_ERR_MEMORY\n$/);
    expect(rowsOf(await read('shop.u'))).toHaveLength(1);
  });

  it('ends like an aborted MaxScale at a geometry', async () => {
    await source.connection.query('CREATE TABLE t (id int PRIMARY KEY, g point)');
    await source.connection.query('CREATE TABLE u (id int PRIMARY KEY)');
    await source.connection.query('INSERT INTO u VALUES (1)');
    await source.feed.catchUp();
    const other = new RawConnection(source.maxscale.port);
    await other.request('shop.u');
    await source.connection.query('INSERT INTO t VALUES (1, point(1, 2))');
    await expect(source.feed.catchUp()).rejects.toThrow('MaxScale aborts');
    await source.maxscale.waitForConnections((count) => count === 0);
  });

  it('follows prepared transactions, whose rows come when they are prepared', async () => {
    await source.connection.query('CREATE TABLE t (id int PRIMARY KEY)');
    for (const statement of ['START', 'END', 'PREPARE', 'COMMIT']) {
      await source.connection.query(`XA ${statement} 'one'`);
      if (statement === 'START') await source.connection.query('INSERT INTO t VALUES (1)');
    }
    await source.feed.catchUp();
    await source.connection.query('INSERT INTO t VALUES (2)');
    expect(rowsOf(await read('shop.t'))).toEqual(['0-1-3#1 insert id: 1', '0-1-5#1 insert id: 2']);
  });

  it('reads binlogs with and without checksums', async () => {
    await source.connection.query('CREATE TABLE t (id int PRIMARY KEY, v varchar(10))');
    await source.connection.query(`INSERT INTO t VALUES (1, 'one')`);
    await source.connection.query('SET GLOBAL binlog_checksum = NONE');
    await source.connection.query(`INSERT INTO t VALUES (2, 'two')`);
    await source.connection.query('SET GLOBAL binlog_checksum = CRC32');
    await source.connection.query(`INSERT INTO t VALUES (3, 'three')`);
    expect(rowsOf(await read('shop.t'))).toEqual([
      '0-1-3#1 insert id: 1, v: one',
      '0-1-4#1 insert id: 2, v: two',
      '0-1-5#1 insert id: 3, v: three',
    ]);
  });

  it('sends NULL for TEXT COMPRESSED', async () => {
    await source.connection.query('CREATE TABLE t (id int PRIMARY KEY, c text COMPRESSED, z int)');
    await source.connection.query(`INSERT INTO t VALUES (1, repeat('x', 1000), 5)`);
    expect(rowsOf(await read('shop.t'))).toEqual(['0-1-3#1 insert id: 1, c: null, z: 5']);
  });

  it('can begin with what comes now, and then asks for the tables that are there', async () => {
    await source.connection.query('CREATE TABLE t (id int PRIMARY KEY, v INTEGER)');
    await source.connection.query('INSERT INTO t VALUES (1, 1)');
    const maxscale = await startFakeMaxScale();
    const feed = await startBinlogFeed({ maxscale, mariadbUrl: source.mariadb.url, from: 'now', serverId: 77 });
    await source.connection.query('INSERT INTO t VALUES (2, 2)');
    await feed.catchUp();
    const client = new RawConnection(maxscale.port);
    await client.request('shop.t');
    const received = await client.finish(0);
    expect(received).toContain('"version":1,"gtid":"0-1-4"');
    expect(received).toContain('"real_type":"int"');
    expect(rowsOf(received)).toEqual(['0-1-4#1 insert id: 2, v: 2']);
    await feed.stop();
    await maxscale.close();
  });

  it('ends when the binlogs that it needs are gone', async () => {
    await source.feed.pause();
    await source.connection.query('FLUSH BINARY LOGS');
    await source.connection.query('CREATE TABLE t (id int PRIMARY KEY)');
    await source.connection.query('FLUSH BINARY LOGS');
    await vi.waitFor(async () => {
      const rows = await source.connection.query<{ Log_name: string }[]>('SHOW BINARY LOGS');
      await source.connection.query(`PURGE BINARY LOGS TO '${rows.at(-1)?.Log_name}'`);
      expect(await source.connection.query<unknown[]>('SHOW BINARY LOGS')).toHaveLength(1);
    });
    const maxscale = await startFakeMaxScale();
    const feed = await startBinlogFeed({ maxscale, mariadbUrl: source.mariadb.url });
    await expect(feed.catchUp()).rejects.toMatchObject({ name: 'ServerRefusal', errno: 1236 });
    await feed.stop();
    await maxscale.close();
  });
});

describe.skipIf(missing)('a MariaDB that crashes', () => {
  it('is followed again when it is back, with nothing missing', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'afterimage-test-'));
    await chmod(folder, 0o755);
    const dataDir = join(folder, 'data');
    const first = await startMariadb({ ...privateServer, dataDir });
    const maxscale = await startFakeMaxScale();
    const feed = await startBinlogFeed({ maxscale, mariadbUrl: first.url });
    const run = async (url: string, ...statements: string[]): Promise<void> => {
      const connection = await createConnection(parseMariadbUrl(url));
      for (const statement of statements) await connection.query(statement);
      await connection.end();
    };
    await run(
      first.url,
      'CREATE DATABASE shop',
      'CREATE TABLE shop.t (id int PRIMARY KEY)',
      'INSERT INTO shop.t VALUES (1)',
    );
    await feed.catchUp();
    const client = new RawConnection(maxscale.port);
    await client.request('shop.t');
    await first.crash();
    const second = await startMariadb({ ...privateServer, dataDir, port: Number(new URL(first.url).port) });
    await run(second.url, 'INSERT INTO shop.t VALUES (2)');
    await feed.catchUp();
    await vi.waitFor(() => expect(rowsOf(client.received)).toHaveLength(2));
    expect(rowsOf(client.received)).toEqual(['0-1-3#1 insert id: 1', '0-1-4#1 insert id: 2']);
    await feed.stop();
    await maxscale.close();
    await second.stop();
    await rm(folder, { recursive: true });
  });
});
