import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { mariadbMissing } from '../harness/mariadb.js';
import {
  changeUntil,
  createReplica,
  type Replica,
  type Source,
  startSource,
  type TableUnderTest,
} from './snapshot-rig.js';

describe.skipIf(await mariadbMissing('private'))('a snapshot', () => {
  let source: Source;
  beforeAll(async () => {
    source = await startSource();
  }, 60_000);
  afterAll(async () => source.stop());

  /** With tables in a database of their own, made by `sql`. */
  async function withReplica(
    { schema, sql, tables }: { schema: string; sql: string; tables: readonly TableUnderTest[] },
    work: (replica: Replica) => Promise<void>,
  ): Promise<void> {
    await source.connection.query(`CREATE DATABASE ${schema}; USE ${schema}; ${sql}`);
    const replica = await createReplica(source, schema, tables);
    try {
      await work(replica);
    } finally {
      await replica.drop();
    }
  }

  const countHistory = async ({ database }: Replica, table: string): Promise<Record<string, number>> => {
    const { rows } = await database.pool.query<{ type: string; n: number }>(
      `SELECT event_type AS type, count(*)::int AS n FROM ${table} GROUP BY 1`,
    );
    return Object.fromEntries(rows.map(({ type, n }) => [type, n]));
  };

  it('has the rows that were there before, from which a stream that starts later goes on', async () => {
    const sql = `CREATE TABLE orders (id int PRIMARY KEY, name varchar(20), amount int unsigned NOT NULL);
       INSERT INTO orders SELECT seq * 3, CONCAT('order\\t\\\\', seq), 4294967295 - seq FROM seq_1_to_1000;`;
    await withReplica({ schema: 'before_reader', sql, tables: [{ name: 'orders' }] }, async (replica) => {
      const result = await replica.snapshot('orders');
      expect(result).toMatchObject({ kind: 'adopted', rows: 1000, attempts: 1 });
      await replica.expectEqual();
      await source.connection.query(
        `UPDATE orders SET amount = 1 WHERE id = 3; DELETE FROM orders WHERE id = 6; INSERT INTO orders VALUES (1, 'new', 2);`,
      );
      replica.start('reader', 'writer');
      await replica.expectEqual();
      const counts = { insert: 1, update_before: 1, update_after: 1, delete: 1, read: 1000 };
      expect(await countHistory(replica, 'before_reader_history.orders')).toEqual(counts);
      const { rows } = await replica.database.pool.query(
        'SELECT version, steps->0->>$1 AS step FROM afterimage.schema_versions ORDER BY version',
        ['kind'],
      );
      expect(rows).toEqual([{ version: 1, step: 'create' }]);
    });
  }, 60_000);

  it('may be made while reader and writers run and all tables change: nothing is missing and nothing is there twice', async () => {
    const sql = `
      CREATE TABLE gaps (id bigint PRIMARY KEY, name varchar(30), amount decimal(12,2));
      INSERT INTO gaps SELECT CAST(seq AS SIGNED) * 47 - 40000, CONCAT('row ', seq), seq / 3 FROM seq_1_to_20000;
      CREATE TABLE words (word varchar(20) COLLATE utf8mb4_general_ci, part int, n int, PRIMARY KEY (word, part));
      INSERT INTO words SELECT CONCAT(CHAR(97 + seq % 26), MD5(seq)), seq % 3, seq FROM seq_1_to_6000 ;
      CREATE TABLE keyless (a int, b varchar(10));
      INSERT INTO keyless SELECT seq % 500, CONCAT('b', seq % 7) FROM seq_1_to_3000;
      CREATE TABLE empty (id int PRIMARY KEY);`.replaceAll('varchar(20) COLLATE', 'varchar(40) COLLATE');
    const tables = [
      { name: 'gaps', key: ['id'], partitions: 2 },
      { name: 'words' },
      { name: 'keyless' },
      { name: 'empty' },
    ];
    await withReplica({ schema: 'busy', sql, tables }, async (replica) => {
      replica.start('reader', 'writer', 'writer');
      let isOver = false;
      const statements = [
        (n: number) => `INSERT IGNORE INTO busy.gaps VALUES (${n * 13}, 'new', ${n})`,
        (n: number) =>
          `UPDATE busy.gaps SET name = 'changed ${n}' WHERE id BETWEEN ${(n * 997) % 900000} AND ${((n * 997) % 900000) + 9000}`,
        (n: number) => `DELETE FROM busy.gaps WHERE id BETWEEN ${(n * 401) % 900000} AND ${((n * 401) % 900000) + 500}`,
        (n: number) =>
          `UPDATE IGNORE busy.gaps SET id = id + 1 WHERE id BETWEEN ${(n * 601) % 900000} AND ${((n * 601) % 900000) + 3000}`,
        (n: number) => `REPLACE INTO busy.words VALUES ('w${n % 50}', ${n % 3}, ${n})`,
        (n: number) => `UPDATE busy.words SET n = n + 1 WHERE word LIKE '${'abcdef'[n % 6]}${n % 10}%'`,
        (n: number) => `DELETE FROM busy.words WHERE n % 1000 = ${n % 1000}`,
        (n: number) => `INSERT INTO busy.keyless VALUES (${n % 500}, 'b1')`,
        (n: number) => `DELETE FROM busy.keyless WHERE a = ${n % 500} LIMIT 1`,
        (n: number) => `UPDATE busy.keyless SET b = 'x' WHERE a = ${n % 333} LIMIT 2`,
      ];
      const changing = changeUntil(
        source,
        (n) => (statements[n % statements.length] ?? String)(n),
        () => isOver,
      );
      try {
        const options = { parallel: 3, rangeRows: 700 };
        for (const { name } of tables) await replica.snapshot(name, options);
        // Once more, for tables that are streamed by now.
        const again = await replica.snapshot('gaps', options);
        expect(again.kind).toBe('compared');
        await replica.snapshot('keyless', options);
      } finally {
        isOver = true;
      }
      expect(await changing).toBeGreaterThan(50);
      await replica.expectEqual();
      await source.connection.query(`INSERT INTO empty VALUES (1), (2); DELETE FROM keyless LIMIT 5;`);
      await replica.expectEqual();
    });
  }, 120_000);

  it('makes a mirror right again after what the stream does not tell: TRUNCATE, and changes without binlog', async () => {
    const sql = `CREATE TABLE stock (id int PRIMARY KEY, n int); INSERT INTO stock SELECT seq, seq FROM seq_1_to_50;`;
    await withReplica({ schema: 'silent', sql, tables: [{ name: 'stock' }] }, async (replica) => {
      replica.start('reader', 'writer');
      await replica.expectEqual();
      await replica.database.pool.query('CREATE VIEW big AS SELECT * FROM silent.stock WHERE n > 40');
      await source.connection.query(
        `TRUNCATE stock; INSERT INTO stock VALUES (7, 70), (8, 8), (100, 100);
         SET sql_log_bin = 0; UPDATE stock SET n = 71 WHERE id = 7; SET sql_log_bin = 1;`,
      );
      const result = await replica.snapshot('stock');
      // 48 rows went by TRUNCATE, one was changed without a word.
      expect(result).toMatchObject({ kind: 'compared', written: 1, removed: 48 });
      await replica.expectEqual();
      const nothing = await replica.snapshot('stock');
      expect(nothing).toMatchObject({ kind: 'compared', written: 0, removed: 0 });
      await source.connection.query(`UPDATE stock SET n = 1 WHERE id = 8; TRUNCATE stock;`);
      await replica.snapshot('stock');
      await source.connection.query(`INSERT INTO stock VALUES (9, 9)`);
      await replica.expectEqual();
      const { rows } = await replica.database.pool.query('SELECT * FROM big');
      expect(rows).toEqual([]);
    });
  }, 60_000);

  it('is at a place in several domains, of sequences beyond 2^32', async () => {
    const sql = `CREATE TABLE events (id int PRIMARY KEY, n int);
      SET SESSION gtid_domain_id = 7, gtid_seq_no = 8589934600; INSERT INTO events VALUES (1, 1);
      INSERT INTO events VALUES (2, 1); SET SESSION gtid_domain_id = 0; UPDATE events SET n = 2 WHERE id = 1;`;
    await withReplica({ schema: 'domains', sql, tables: [{ name: 'events' }] }, async (replica) => {
      const { gtids } = await replica.snapshot('events');
      expect(gtids.split(',')).toHaveLength(2);
      expect(gtids).toContain('7-1-8589934601');
      replica.start('reader', 'writer');
      await source.connection.query(
        `UPDATE domains.events SET n = 3 WHERE id = 2; SET SESSION gtid_domain_id = 7; DELETE FROM domains.events WHERE id = 1; SET SESSION gtid_domain_id = 0`,
      );
      await replica.expectEqual();
      const { rows } = await replica.database.pool.query(
        `SELECT DISTINCT domain, sequence FROM domains_history.events WHERE event_type = 'delete'`,
      );
      expect(rows).toEqual([{ domain: '7', sequence: '8589934602' }]);
      expect(await countHistory(replica, 'domains_history.events')).toEqual({
        read: 2,
        update_before: 1,
        update_after: 1,
        delete: 1,
      });
    });
  }, 60_000);

  it('copies every type as the source has it, rows of 20 MB too', async () => {
    const columns = [
      'id int PRIMARY KEY',
      'ti tinyint unsigned',
      'bi bigint unsigned',
      'de decimal(65,30)',
      'fl float',
      'do double',
      'bt bit(13)',
      'da date',
      'dt datetime(3)',
      'ts timestamp(6) NULL',
      'tm time(2)',
      'ye year',
      'ch char(10)',
      'vl varchar(20) CHARACTER SET latin1',
      'tx text',
      'lt longtext',
      'js json',
      'bn binary(6)',
      'vb varbinary(20)',
      'bl blob',
      'lb longblob',
      `en enum('a','b''c','\\\\')`,
      `st set('x','y','z')`,
      'uu uuid',
      'i6 inet6',
      'i4 inet4',
      'vi int AS (id + 1) VIRTUAL',
      '`ünï x` int',
    ];
    const sql = `SET SESSION sql_mode = ''; CREATE TABLE every_type (${columns.join(', ')});
      INSERT INTO every_type (id) VALUES (1);
      INSERT INTO every_type VALUES (2, 255, 18446744073709551615, '-12345678901234567890123456789012345.000000000000000000000000000001',
        0.1, -1.5e300, b'1000000000001', '0000-00-00', '2024-02-29 01:02:03.450', '2024-02-29 01:02:03.000001', '-838:59:58.99', 2155,
        'tail\\\\', 'h\u00e9llo', 'tab\t nl\n cr\r bs\\\\ \\\\N \\\\. ', '\\\\.\n\\\\.', '{"a": [1, "\\\\t"]}', x'00ff00000000', x'5c740a00', x'5c',
        x'00095c4e0a', 'b''c', 'x,z', '123e4567-e89b-12d3-a456-426655440000', '::1', '10.0.0.1', DEFAULT, 5);
      INSERT INTO every_type (id, lt, lb) VALUES (3, REPEAT('a\\\\b\t', 5000000), REPEAT(x'00ff5c0a', 5000000));
      INSERT INTO every_type (id, tx, lt, bl, lb, en, st, vb, ch) VALUES (4, '', '', '', '', '', '', '', '');`;
    await withReplica({ schema: 'types', sql, tables: [{ name: 'every_type' }] }, async (replica) => {
      expect(await replica.snapshot('every_type')).toMatchObject({ kind: 'adopted', rows: 4 });
      expect(await replica.readForms('every_type')).toEqual(await replica.readSourceForms('every_type'));
      const { rows } = await replica.database.pool.query(
        `SELECT length(lt) AS lt, octet_length(lb) AS lb, sha256(lb) = sha256(decode(repeat('00ff5c0a', 5000000), 'hex')) AS same FROM types.every_type WHERE id = 3`,
      );
      expect(rows).toEqual([{ lt: 20_000_000, lb: 20_000_000, same: true }]);
    });
  }, 60_000);

  it('copies tables of engines without transactions, while nobody may write to them', async () => {
    const sql = `CREATE TABLE aria (a int, b varchar(9)) ENGINE=Aria; INSERT INTO aria SELECT seq % 7, 'x' FROM seq_1_to_500;
      CREATE TABLE myisam (id int PRIMARY KEY) ENGINE=MyISAM; INSERT INTO myisam SELECT seq FROM seq_1_to_500;`;
    const tables = [{ name: 'aria' }, { name: 'myisam' }];
    await withReplica({ schema: 'engines', sql, tables }, async (replica) => {
      const notices: string[] = [];
      for (const { name } of tables) await replica.snapshot(name, { onNotice: (text) => notices.push(text) });
      expect(notices).toEqual([
        'engine Aria has no transactions: writing to it waits until the copy is done',
        'engine MyISAM has no transactions: writing to it waits until the copy is done',
      ]);
      replica.start('reader', 'writer');
      await source.connection.query('DELETE FROM aria WHERE a = 3; INSERT INTO myisam VALUES (0)');
      await replica.expectEqual();
    });
  }, 60_000);
});
