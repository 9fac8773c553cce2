import { startMariadb } from '@afterimage/local-servers';
import { type Connection, createConnection } from 'mariadb';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
// @boundaries-ignore the harness that all tests share
import { mariadbMissing } from '../../../test/harness/mariadb.js';
import {
  describeTableChanges,
  isStorageReplaced,
  parseMariadbUrl,
  readTableKnowledge,
  readTableStorage,
  type TableKnowledge,
  type TableStorage,
} from '../src/index.js';

describe.skipIf(await mariadbMissing('private'))('what changed at a table', () => {
  let stop: () => Promise<void>;
  let source: Connection;
  let url: string;

  beforeAll(async () => {
    const mariadb = await startMariadb({ env: { PATH: process.env['PATH'] } });
    stop = () => mariadb.stop();
    url = mariadb.url;
    source = await createConnection(parseMariadbUrl(url));
    await source.query('CREATE DATABASE shop');
    await source.query('USE shop');
  }, 60_000);
  afterAll(async () => {
    await source.end();
    await stop();
  });
  beforeEach(async () => {
    await source.query('DROP TABLE IF EXISTS t, e');
    await source.query(`CREATE TABLE t (id int NOT NULL AUTO_INCREMENT, a varchar(10) NULL, s enum('x','y'), PRIMARY KEY (id))
      PARTITION BY RANGE (id) (PARTITION p0 VALUES LESS THAN (10), PARTITION p1 VALUES LESS THAN (1000))`);
    await source.query(`INSERT INTO t (a, s) VALUES ('a', 'x'), ('b', 'y')`);
  });

  async function look(connection = source): Promise<{ knowledge: TableKnowledge; storage: TableStorage }> {
    const knowledge = await readTableKnowledge(connection, 'shop', 't');
    const storage = (await readTableStorage(connection, 'shop')).get('t');
    if (knowledge === null || storage === undefined) throw new Error('no table t');
    return { knowledge, storage };
  }
  async function changesOf(sql: string): Promise<{ replaced: boolean; kinds: string[] }> {
    const before = await look();
    await source.query(sql);
    const after = await look();
    return {
      replaced: isStorageReplaced(before.storage, after.storage),
      kinds: describeTableChanges(before.knowledge, after.knowledge).map(({ kind }) => kind),
    };
  }

  it.each([
    ['TRUNCATE t', true, []],
    ['ALTER TABLE t TRUNCATE PARTITION p0', true, []],
    ['INSERT INTO t (a) VALUES (NULL)', false, []],
    ['DELETE FROM t', false, []],
    ['ALTER TABLE t ADD COLUMN n int NOT NULL DEFAULT 5', false, ['filled']],
    ['ALTER TABLE t ADD COLUMN u varchar(40) DEFAULT (uuid())', true, ['filled']],
    ['ALTER TABLE t RENAME COLUMN a TO b', false, ['renamed']],
    ['ALTER TABLE t CHANGE a b varchar(10)', false, ['renamed']],
    ['ALTER TABLE t RENAME COLUMN a TO s, RENAME COLUMN s TO a', false, ['renamed']],
    ['ALTER TABLE t MODIFY a varchar(10) AFTER s', false, ['described']],
    ['ALTER TABLE t DROP COLUMN a', false, ['described']],
    ["ALTER TABLE t MODIFY s enum('x','y','z')", false, ['described']],
    ["ALTER TABLE t MODIFY s enum('y','x')", true, ['modified']],
    ['ALTER TABLE t MODIFY a int', true, ['modified']],
    ["ALTER TABLE t MODIFY a varchar(10) NULL COMMENT 'told'", false, ['described']],
    ['ALTER TABLE t ADD INDEX (a)', false, ['described']],
    ["ALTER TABLE t COMMENT 'told'", false, ['described']],
  ])('%s', async (sql, replaced, kinds) => {
    if (sql.includes('MODIFY a int')) await source.query("UPDATE t SET a = '1'");
    expect(await changesOf(sql)).toEqual({ replaced, kinds });
  });

  it('is nothing, where the order of what is known alone is another one', async () => {
    const { knowledge } = await look();
    const reordered = Object.fromEntries(Object.entries(knowledge).toReversed()) as unknown as TableKnowledge;
    expect(describeTableChanges(knowledge, reordered)).toEqual([]);
  });

  it('a partition that was exchanged has its rows elsewhere', async () => {
    await source.query('CREATE TABLE e LIKE t');
    await source.query('ALTER TABLE e REMOVE PARTITIONING');
    expect(await changesOf('ALTER TABLE t EXCHANGE PARTITION p1 WITH TABLE e')).toEqual({ replaced: true, kinds: [] });
  });

  it('without the privilege PROCESS a counter that was set back tells of TRUNCATE', async () => {
    await source.query(`CREATE OR REPLACE USER onlooker@'%' IDENTIFIED BY 'secret'`);
    await source.query(`GRANT SELECT ON shop.* TO onlooker@'%'`);
    const config = parseMariadbUrl(url);
    const reads = await createConnection({ ...config, user: 'onlooker', password: 'secret' });
    try {
      const before = await look(reads);
      expect(before.storage.ids).toBeNull();
      await source.query('TRUNCATE t');
      expect(isStorageReplaced(before.storage, (await look(reads)).storage)).toBe(true);
    } finally {
      await reads.end();
    }
  });

  it('is seen of tables whose names are written otherwise in files', async () => {
    await source.query('CREATE DATABASE `my-shop_%`');
    await source.query('CREATE TABLE `my-shop_%`.`a b#p#$-1` (id int PRIMARY KEY)');
    const storage = async () => (await readTableStorage(source, 'my-shop_%')).get('a b#p#$-1');
    const before = await storage();
    await source.query('TRUNCATE `my-shop_%`.`a b#p#$-1`');
    const after = await storage();
    await source.query('DROP DATABASE `my-shop_%`');
    expect(before?.ids).toMatch(/^:\d+$/);
    expect(after?.ids).toMatch(/^:\d+$/);
    expect(after?.ids).not.toBe(before?.ids);
  });
});
