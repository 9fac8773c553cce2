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
    rig.startProcesses('watcher');
    for (const name of ['emptied', 'renamed', 'filled', 'altered', 'dropped', 'parts', 'zeros', 'late']) {
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
    await eventually(() => changes('renamed'), [['renamed', 'adopt', 'done']]);
    await expectRebuilt('renamed');
    // The stream goes on under the old name; a comparison knows the column all the same.
    expect(await runCli(['verify', 'shop.renamed', '--config', rig.configPath])).toMatchObject({ code: 0 });
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
