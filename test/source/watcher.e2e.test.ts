import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { configuredSettings, findStream, listDetectedChanges, rebuild } from '@afterimage/replica';
import { loadConfig } from '@afterimage/service';
import { runCli } from '../../apps/cli/test/run-cli.js';
import { mariadbMissing } from '../harness/mariadb.js';
import { type SourceRig, startSourceRig } from './source-rig.js';

describe.skipIf(await mariadbMissing('private'))('what the stream does not tell of is noticed, and dealt with', () => {
  let rig: SourceRig;

  const rows = async (text: string): Promise<unknown[]> =>
    (await rig.database.pool.query<unknown[]>({ text, rowMode: 'array' })).rows;
  const eventually = (look: () => Promise<unknown>, expected: unknown): Promise<unknown> =>
    vi.waitFor(async () => expect(await look(), rig.output()).toEqual(expected), { timeout: 60_000, interval: 100 });
  const mirrored = (sql: string, expected: unknown[]): Promise<unknown> => eventually(() => rows(sql), expected);
  const changes = async (table: string) => {
    const { id } = await findStream(rig.database.pool, `shop.${table}`);
    return (await listDetectedChanges(rig.database.pool, id, { all: true })).map(({ kind, policy, state }) => [
      kind,
      policy,
      state,
    ]);
  };
  const changesAreDone = async (table: string) => {
    const found = await changes(table);
    return found.length > 0 && found.every(([, , state]) => state === 'done');
  };
  const expectRebuilt = async (table: string): Promise<void> => {
    const settingsOf = configuredSettings(loadConfig(rig.configPath, {}));
    const stream = await findStream(rig.database.pool, `shop.${table}`);
    const { missing, extra } = await rebuild(rig.database.pool, { stream, settingsOf, apply: false });
    expect({ missing, extra }).toEqual({ missing: 0, extra: 0 });
  };
  const isLookedAt = (table: string): Promise<unknown> =>
    mirrored(
      `SELECT count(*)::int FROM afterimage.source_states c JOIN afterimage.streams s ON s.id = c.stream_id WHERE s.table_name = '${table}'`,
      [[1]],
    );

  beforeAll(async () => {
    rig = await startSourceRig({
      tables: {
        emptied: null,
        parts: null,
        renamed: null,
        swapped: null,
        filled: null,
        altered: null,
        dropped: null,
        guarded: null,
        zeros: null,
        late: null,
      },
      config: { watcher: { intervalMs: 200, quietMs: 600, gone: 'halt', modified: 'repair' } },
    });
    for (const name of ['emptied', 'renamed', 'filled', 'altered', 'dropped', 'late']) {
      await rig.source.query(`CREATE TABLE ${name} (id int PRIMARY KEY, a varchar(20) NULL)`);
      await rig.source.query(`INSERT INTO ${name} VALUES (1, 'one'), (2, NULL), (3, 'three')`);
    }
    // Of several partitions in its definition MaxScale takes the second for a column.
    await rig.source.query(`CREATE TABLE parts (id int PRIMARY KEY, a int)
      PARTITION BY RANGE (id) (PARTITION p0 VALUES LESS THAN (100))`);
    await rig.source.query('INSERT INTO parts VALUES (1, 1), (50, 5)');
    await rig.source.query('CREATE TABLE other (id int PRIMARY KEY, a int)');
    await rig.source.query('INSERT INTO other VALUES (2, 9)');
    await rig.source.query(String.raw`CREATE TABLE zeros (id int PRIMARY KEY, a binary(2) DEFAULT '\0\0')`);
    await rig.source.query('INSERT INTO zeros (id) VALUES (1)');
    await rig.source.query(
      `CREATE TABLE swapped (id int PRIMARY KEY, a bit(8), b bit(8), c decimal(40,20), d decimal(40,20))`,
    );
    await rig.source.query(
      `INSERT INTO swapped VALUES (1, b'1', b'10', 12345678901234567890.01, 0.5), (2, b'11', NULL, -1, 2)`,
    );
    rig.startProcesses('watcher');
    for (const name of ['swapped', 'emptied', 'renamed', 'filled', 'altered', 'dropped', 'parts', 'zeros', 'late']) {
      await mirrored(`SELECT tablename FROM pg_tables WHERE schemaname = 'shop' AND tablename = '${name}'`, [[name]]);
      await isLookedAt(name);
    }
  }, 120_000);
  afterAll(() => rig.stop());

  it('a default with zero bytes is no change', async () => {
    const looks = `FROM afterimage.source_states c JOIN afterimage.streams s ON s.id = c.stream_id
      WHERE s.table_name = 'zeros' AND c.knowledge_id IS NOT NULL`;
    const seenAfter = (time: string) => mirrored(`SELECT count(*)::int ${looks} AND c.seen_at > ${time}`, [[1]]);
    await seenAfter(`'-infinity'`);
    const { rows: seen } = await rig.database.pool.query<{ at: string }>(`SELECT c.seen_at::text AS at ${looks}`);
    await seenAfter(`'${seen[0]?.at ?? ''}'::timestamptz + interval '0.5 s'`);
    expect(await changes('zeros')).toEqual([]);
  });

  it('TRUNCATE empties the mirror', async () => {
    await rig.source.query('TRUNCATE emptied');
    await mirrored('SELECT * FROM shop.emptied', []);
    await rig.source.query(`INSERT INTO emptied VALUES (7, 'new')`);
    await mirrored('SELECT * FROM shop.emptied', [[7, 'new']]);
    await eventually(() => changes('emptied'), [['replaced', 'resync', 'done']]);
    await expectRebuilt('emptied');
  });

  it('changes of other tables are recorded while one is being dealt with, however long that takes', async () => {
    const holder = await rig.database.pool.connect();
    await holder.query('BEGIN; LOCK TABLE shop.zeros IN ACCESS EXCLUSIVE MODE');
    await rig.source.query('ALTER TABLE zeros ENGINE=InnoDB');
    // The comparison of its rows waits for the lock.
    await mirrored(
      `SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'afterimage-watcher' AND wait_event_type = 'Lock'`,
      [[true]],
    );
    await rig.source.query(`ALTER TABLE late COMMENT 'seen'`);
    await eventually(() => changes('late'), [['described', 'adopt', 'open']]);
    expect(await changes('zeros')).toEqual([['replaced', 'resync', 'open']]);
    await holder.query('COMMIT');
    holder.release();
    await eventually(() => changes('zeros'), [['replaced', 'resync', 'done']]);
    await eventually(() => changes('late'), [['described', 'adopt', 'done']]);
  });

  it('a partition that is exchanged brings its rows', async () => {
    await rig.source.query('ALTER TABLE parts EXCHANGE PARTITION p0 WITH TABLE other');
    await mirrored('SELECT * FROM shop.parts', [[2, 9]]);
    await expectRebuilt('parts');
  });

  it('a column that is renamed has its new name and keeps its values', async () => {
    await rig.source.query('ALTER TABLE renamed RENAME COLUMN a TO b');
    await mirrored(
      `SELECT attname FROM pg_attribute WHERE attrelid = 'shop.renamed'::regclass AND attnum > 0 ORDER BY attnum`,
      [['id'], ['b']],
    );
    await rig.source.query(`UPDATE renamed SET b = 'two' WHERE id = 2`);
    await mirrored('SELECT id, b FROM shop.renamed ORDER BY id', [
      [1, 'one'],
      [2, 'two'],
      [3, 'three'],
    ]);
    await eventually(() => changes('renamed'), [['renamed', 'resync', 'done']]);
    await expectRebuilt('renamed');
    // The stream goes on under the old name; a comparison knows the column all the same.
    expect(await runCli(['verify', 'shop.renamed', '--config', rig.configPath])).toMatchObject({ code: 0 });
  });

  it('columns that exchange names, and take those of dropped ones, keep their values, and those that come are read from them', async () => {
    const isDone = () => changesAreDone('swapped');
    const isSeen = (what: string) =>
      mirrored(
        `SELECT count(*)::int FROM afterimage.detected_changes c JOIN afterimage.streams s ON s.id = c.stream_id
         WHERE s.table_name = 'swapped' AND c.detail LIKE '${what}'`,
        [[1]],
      );
    const names = 'RENAME COLUMN a TO b, RENAME COLUMN b TO a, RENAME COLUMN c TO d, RENAME COLUMN d TO c';
    await rig.source.query(`ALTER TABLE swapped ${names}`);
    await rig.source.query(
      `INSERT INTO swapped (id, a, b, c, d) VALUES (3, b'1000', b'10000', 3.25, 98765432109876543210.5)`,
    );
    // The first row that changes after somebody has looked tells that they did not exchange their places.
    await isSeen('%exchanged their names%');
    await rig.source.query(`UPDATE swapped SET b = b'111' WHERE id = 1`);
    const select = 'SELECT id, a::text, b::text, c::text, d::text FROM shop.swapped ORDER BY id';
    const number = (text: string) => {
      const [whole = '', decimals = ''] = text.split('.');
      return `${whole}.${decimals.padEnd(20, '0')}`;
    };
    await mirrored(select, [
      [1, '00000010', '00000111', number('0.5'), number('12345678901234567890.01')],
      [2, null, '00000011', number('2'), number('-1')],
      [3, '00001000', '00010000', number('3.25'), number('98765432109876543210.5')],
    ]);
    await eventually(isDone, true);
    await expectRebuilt('swapped');
    await rig.source.query('ALTER TABLE swapped DROP COLUMN a');
    await rig.source.query('ALTER TABLE swapped RENAME COLUMN b TO a');
    await rig.source.query(`UPDATE swapped SET a = b'1' WHERE id = 2`);
    await isSeen('column b was dropped');
    await rig.source.query(`UPDATE swapped SET a = b'11111111', c = 10 WHERE id = 3`);
    await mirrored('SELECT id, a::text, c::text, d::text FROM shop.swapped ORDER BY id', [
      [1, '00000111', number('0.5'), number('12345678901234567890.01')],
      [2, '00000001', number('2'), number('-1')],
      [3, '11111111', number('10'), number('98765432109876543210.5')],
    ]);
    await eventually(isDone, true);
    await expectRebuilt('swapped');
    expect(await runCli(['verify', 'shop.swapped', '--config', rig.configPath])).toMatchObject({ code: 0 });
  });

  it('values that a new column has in old rows are copied, once the stream has told of the column', async () => {
    await rig.source.query(`ALTER TABLE filled ADD COLUMN u varchar(40) NOT NULL DEFAULT (concat('u', id))`);
    await rig.source.query(`DELETE FROM filled WHERE id = 3`);
    await mirrored('SELECT id, u FROM shop.filled ORDER BY id', [
      [1, 'u1'],
      [2, 'u2'],
    ]);
    await expectRebuilt('filled');
  });

  it('a default that was changed since the column was added is not that of old rows', async () => {
    await rig.source.query(
      `ALTER TABLE filled ADD COLUMN c int NOT NULL DEFAULT 1, ADD COLUMN d binary(4) DEFAULT x'61006200'`,
    );
    await rig.source.query('ALTER TABLE filled ALTER COLUMN c SET DEFAULT 2');
    await rig.source.query(`INSERT INTO filled (id, d) VALUES (3, x'ff000100')`);
    await mirrored('SELECT id, c, d::text FROM shop.filled ORDER BY id', [
      [1, 1, '\\x61006200'],
      [2, 1, '\\x61006200'],
      [3, 2, '\\xff000100'],
    ]);
    await expectRebuilt('filled');
  });

  it('values that ALTER TABLE changed are rewritten, with before and after in history', async () => {
    await rig.source.query(`ALTER TABLE altered MODIFY a varchar(20) NOT NULL DEFAULT 'x'`).catch(() => undefined);
    await rig.source.query(`SET SESSION sql_mode = ''`);
    await rig.source.query(`ALTER TABLE altered MODIFY a varchar(20) NOT NULL DEFAULT 'x'`);
    await mirrored('SELECT id, a FROM shop.altered ORDER BY id', [
      [1, 'one'],
      [2, ''],
      [3, 'three'],
    ]);
    expect(
      await rows(
        `SELECT event_type::text, a FROM shop_history.altered WHERE id = 2 ORDER BY stream_ordinal, event_type`,
      ),
    ).toContainEqual(['repair_after', '']);
    await expectRebuilt('altered');
  });

  it('a table that is gone stops its stream where that is the policy', async () => {
    await rig.source.query('DROP TABLE dropped');
    await mirrored(`SELECT state, state_code FROM afterimage.streams WHERE table_name = 'dropped'`, [
      ['halted', 'SOURCE_CHANGED'],
    ]);
    expect(await rows('SELECT count(*)::int FROM shop.dropped')).toEqual([[3]]);
  });
});
