import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { configuredSettings, findStream, listSchemaVersions, rebuild } from '@afterimage/replica';
import { loadConfig } from '@afterimage/service';
import { mariadbMissing } from '../harness/mariadb.js';
import { type SourceRig, startSourceRig } from './source-rig.js';

const skip = await mariadbMissing('private');

describe.skipIf(skip)('with the MariaDB behind MaxScale known', () => {
  let rig: SourceRig;

  const rows = async (text: string): Promise<unknown[]> =>
    (await rig.database.pool.query<unknown[]>({ text, rowMode: 'array' })).rows;
  const eventually = (text: string, expected: unknown[]): Promise<unknown> =>
    vi.waitFor(async () => expect(await rows(text), rig.output()).toEqual(expected), { timeout: 40_000, interval: 50 });
  const expectRebuilt = async (table: string): Promise<void> => {
    const settingsOf = configuredSettings(loadConfig(rig.configPath, {}));
    const stream = await findStream(rig.database.pool, `shop.${table}`);
    const { missing, extra } = await rebuild(rig.database.pool, { stream, settingsOf, apply: false });
    expect({ missing, extra }).toEqual({ missing: 0, extra: 0 });
  };

  beforeAll(async () => {
    rig = await startSourceRig({
      tables: {
        goods: null,
        bent: null,
        wide: { partitions: 3 },
        plain: { indexes: 'same', labels: 'enum' },
        uuids: null,
      },
    });
    await rig.source.query(`CREATE TABLE goods (
      id int unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY,
      name varchar(40) NOT NULL COMMENT 'as on the label',
      price decimal(10,2) NOT NULL DEFAULT 9.90,
      state enum('new','old') NOT NULL DEFAULT 'new',
      colours set('red','green','it''s') NULL,
      changed datetime(3) NULL
    ) COMMENT 'what we sell'`);
    await rig.source.query(`CREATE TABLE bent (
      id bigint NOT NULL PRIMARY KEY, flags bit(12), doc json, owner uuid, address inet6,
      exact decimal(50,30), span time(3), raw varbinary(20), word varchar(20) CHARACTER SET latin1, wide varchar(20) CHARACTER SET ucs2,
      big longblob
    )`);
    await rig.source.query(`CREATE TABLE wide (a int NOT NULL, b varchar(10) NOT NULL, v int, PRIMARY KEY (b, a))`);
    await rig.source.query(
      `CREATE TABLE plain (id int PRIMARY KEY, a int, t text, state enum('new','old'), UNIQUE KEY by_a (a), KEY by_t (t(20), a DESC))`,
    );
    await rig.source.query(`CREATE TABLE uuids (id uuid PRIMARY KEY, v int)`);
    rig.startProcesses();
  }, 60_000);
  afterAll(() => rig.stop());

  it('a mirror has its key, exact types, NOT NULL, labels and comments', async () => {
    await rig.source.query(`INSERT INTO goods (name, price, state, colours, changed) VALUES
      ('pen', 1.10, 'old', 'green,it''s', '2024-02-29 12:34:56.789'), ('', 0, 'new', '', NULL)`);
    await eventually('SELECT id, name, price::text, state, colours, changed::text FROM shop.goods ORDER BY id', [
      ['1', 'pen', '1.10', 'old', "green,it's", '2024-02-29 12:34:56.789'],
      ['2', '', '0.00', 'new', '', null],
    ]);
    expect(
      await rows(`SELECT attname, format_type(atttypid, atttypmod), attnotnull, col_description(attrelid, attnum)
                  FROM pg_attribute WHERE attrelid = 'shop.goods'::regclass AND attnum > 0 ORDER BY attnum`),
    ).toEqual([
      ['id', 'bigint', true, null],
      ['name', 'text', true, 'as on the label'],
      ['price', 'numeric(10,2)', true, null],
      ['state', 'text', false, null],
      ['colours', 'text', false, null],
      ['changed', 'timestamp without time zone', false, null],
    ]);
    expect(
      await rows(
        `SELECT conname, contype FROM pg_constraint WHERE conrelid = 'shop.goods'::regclass AND contype IN ('p', 'c') ORDER BY 1`,
      ),
    ).toEqual([
      ['goods_colours_labels', 'c'],
      ['goods_pkey', 'p'],
      ['goods_state_labels', 'c'],
    ]);
    expect(await rows(`SELECT obj_description('shop.goods'::regclass)`)).toEqual([['what we sell']]);
    await expect(rig.database.pool.query(`UPDATE shop.goods SET state = 'unheard of'`)).rejects.toThrow(
      'goods_state_labels',
    );
  });

  it('labels that change are a schema change, and rows that were there have the default of a column that is added', async () => {
    await rig.source.query(`ALTER TABLE goods MODIFY state enum('fresh','new','old') NOT NULL DEFAULT 'new',
      ADD COLUMN stock int NOT NULL DEFAULT 7, ADD COLUMN note varchar(10) NOT NULL, ADD COLUMN kept decimal(5,1) NULL AFTER name`);
    await rig.source.query(`INSERT INTO goods (name, state, stock, note, kept) VALUES ('ink', 'fresh', 1, 'n', 2.5)`);
    await eventually('SELECT id::int, state, stock, note, kept::text FROM shop.goods ORDER BY id', [
      [1, 'old', 7, '', null],
      [2, 'new', 7, '', null],
      [3, 'fresh', 1, 'n', '2.5'],
    ]);
    await rig.source.query('DELETE FROM goods WHERE id = 1');
    await eventually('SELECT id::int FROM shop.goods ORDER BY id', [[2], [3]]);
    await expectRebuilt('goods');
    const { id } = await findStream(rig.database.pool, 'shop.goods');
    const kinds = (await listSchemaVersions(rig.database.pool, id)).map(({ steps }) => steps.map(({ kind }) => kind));
    expect(kinds[1]).toContain('constraint');
    expect(await rows('SELECT count(*)::int FROM afterimage.dead_letters')).toEqual([[0]]);
  });

  it('values that the stream loses or bends are those of MariaDB', async () => {
    await rig.source.query(`INSERT INTO bent VALUES
      (1, b'101000000001', '{"a": [1, "x"]}', '123e4567-e89b-12d3-a456-006655440000', '::1', 12345678901234567890.123456789012345678901234567890,
       '-12:34:56.789', x'00ff10', 'caf\u00e9', 'w\u00efde', x'6666'),
      (9007199254740993, b'0', NULL, NULL, NULL, -0.000000000000000000000000000001, '-838:59:59', x'', 'e9', '', x'')`);
    await rig.source.query(`UPDATE bent SET word = 'é9' WHERE id = 1`);
    const select = `SELECT id::text, flags::text, doc::text, owner::text, host(address), exact::text, span::text, raw::text, word, wide, big::text
                    FROM shop.bent ORDER BY id`;
    await eventually(select, [
      [
        '1',
        '101000000001',
        '{"a": [1, "x"]}',
        '123e4567-e89b-12d3-a456-006655440000',
        '::1',
        '12345678901234567890.123456789012345678901234567890',
        '-12:34:56.789',
        '\\x00ff10',
        'é9',
        'wïde',
        '\\x6666',
      ],
      [
        '9007199254740993',
        '000000000000',
        null,
        null,
        null,
        '-0.000000000000000000000000000001',
        '-838:59:59',
        '\\x',
        'e9',
        '',
        '\\x',
      ],
    ]);
    await expectRebuilt('bent');
    const { id } = await findStream(rig.database.pool, 'shop.bent');
    const [version] = await listSchemaVersions(rig.database.pool, id);
    expect(version?.columns.filter(({ lookup }) => lookup === true).map(({ name }) => name)).toEqual([
      'flags',
      'doc',
      'owner',
      'address',
      'exact',
      'span',
      'raw',
      'word',
      'wide',
      'big',
    ]);
  });

  it('a table is divided by the key that MariaDB gives it', async () => {
    for (let i = 0; i < 20; i++) await rig.source.query('INSERT INTO wide VALUES (?, ?, ?)', [i, `b${i % 3}`, i]);
    await rig.source.query('UPDATE wide SET v = v + 1 WHERE a < 10');
    await rig.source.query('DELETE FROM wide WHERE a > 17');
    await eventually('SELECT count(*)::int, sum(v)::int FROM shop.wide', [[18, 163]]);
    const division = `SELECT partitions, partition_key FROM afterimage.streams WHERE table_name = 'wide'`;
    expect(await rows(division)).toEqual([[3, ['b', 'a']]]);
    // The stream keeps the former name.
    await rig.source.query('ALTER TABLE wide RENAME COLUMN a TO n');
    await rig.replaceProcess(0);
    await rig.source.query(`INSERT INTO wide (n, b, v) VALUES (20, 'b1', 100)`);
    await eventually('SELECT count(*)::int, sum(v)::int FROM shop.wide', [[19, 263]]);
    expect(await rows(division)).toEqual([[3, ['b', 'a']]]);
  });

  it('a key that the stream cannot tell apart is not taken', async () => {
    await rig.source.query(
      `INSERT INTO uuids VALUES ('123e4567-e89b-12d3-a456-006655440000', 1), ('123e4567-e89b-12d3-a456-006655440001', 2)`,
    );
    await eventually('SELECT v FROM shop.uuids ORDER BY v', [[1], [2]]);
    expect(
      await rows(
        `SELECT key FROM afterimage.schema_versions v JOIN afterimage.streams s ON s.id = v.stream_id WHERE table_name = 'uuids'`,
      ),
    ).toEqual([[null]]);
  });

  it('indexes follow those of MariaDB where that is wished', async () => {
    await rig.source.query(`INSERT IGNORE INTO plain VALUES (1, 1, 'x', 'old'), (2, 2, '', '')`);
    const indexes = `SELECT indexdef FROM pg_indexes WHERE schemaname = 'shop' AND tablename = 'plain' ORDER BY 1`;
    await eventually(indexes, [
      ['CREATE INDEX plain_by_t_idx ON shop.plain USING btree ("left"(t, 20), a DESC)'],
      ['CREATE UNIQUE INDEX plain_by_a_idx ON shop.plain USING btree (a)'],
      ['CREATE UNIQUE INDEX plain_pkey ON shop.plain USING btree (id)'],
    ]);
    expect(await rows('SELECT a, state::text FROM shop.plain ORDER BY state')).toEqual([
      [2, ''],
      [1, 'old'],
    ]);
    await rig.source.query(`ALTER TABLE plain DROP KEY by_a, ADD COLUMN n int, MODIFY state enum('fresh','new','old')`);
    await rig.source.query(`INSERT INTO plain VALUES (3, 1, 'y', 'fresh', 5)`);
    await eventually(indexes, [
      ['CREATE INDEX plain_by_t_idx ON shop.plain USING btree ("left"(t, 20), a DESC)'],
      ['CREATE UNIQUE INDEX plain_pkey ON shop.plain USING btree (id)'],
    ]);
    expect(await rows(`SELECT a FROM shop.plain WHERE state = 'fresh' AND state < 'new'`)).toEqual([[1]]);
    await expectRebuilt('plain');
  });
});
