import { rebuild, type StreamRecord } from '@afterimage/replica';
import { createRegistry } from '@afterimage/service';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
// @boundaries-ignore the harness that all tests share
import { mariadbMissing, startTestSource, type TestSource } from '../../../test/harness/mariadb.js';
import { repairTable, type Sides, type TableRepair, type TableVerification, verifyTable, watch } from '../src/index.js';
import { createReplica, type Replica, type ReplicaOptions } from './rig.js';

const isRunning = async (): Promise<boolean> => true;
const settle = { quietMs: 20, pollMs: 5, timeoutMs: 5000 };

describe.skipIf(await mariadbMissing('private'))('a comparison of a mirror with MariaDB', () => {
  let source: TestSource;
  let replica: Replica | undefined;

  beforeAll(async () => {
    source = await startTestSource();
  });
  afterEach(async () => {
    await replica?.database.drop();
    replica = undefined;
  });
  afterAll(() => source.close());

  async function create(options: ReplicaOptions): Promise<Replica> {
    replica = await createReplica(source, options);
    // What the stream cannot carry.
    const { sides, stream } = replica;
    const { before } = await verifyAndRepair(sides, stream);
    expect(before.message).toBeNull();
    return replica;
  }
  const verifyAndRepair = (sides: Sides, stream: StreamRecord): Promise<TableRepair> =>
    repairTable({ sides, stream, chunkRows: 100, settle, isRunning });
  const verify = ({ sides, stream }: Replica, chunkRows = 100): Promise<TableVerification> =>
    verifyTable({ sides, stream, chunkRows, settle, isRunning });

  /** Rewrites what differs, then nothing differs, and history gives the mirror. */
  async function expectRepair(subject: Replica, repaired: number): Promise<void> {
    const { sides, stream } = subject;
    const result = await verifyAndRepair(sides, stream);
    expect(result.before.message).toBeNull();
    expect(result.repaired).toBe(repaired);
    expect(result.after).toMatchObject({ outcome: 'equal', missing: 0, extra: 0, different: 0 });
    expect(await rebuild(sides.postgres, { stream, settingsOf: sides.settingsOf, apply: false })).toMatchObject({
      equal: true,
      missing: 0,
      extra: 0,
    });
  }

  const things: ReplicaOptions = {
    table: 'things',
    definition: `id int PRIMARY KEY, name varchar(40), exact decimal(50,30), approx float, bytes longblob, whole bigint unsigned,
      moment datetime(6), note mediumtext`,
    key: ['id'],
    fill: [
      `INSERT INTO shop.things SELECT seq, CONCAT('name ', seq), 0, seq / 2, X'ff00fe', 18446744073709551615 - seq,
         '2024-02-29 01:02:03.123456' + INTERVAL seq SECOND, REPEAT('é', seq) FROM seq_1_to_300`,
    ],
  };

  it('that are equal says so, and how many rows it compared', async () => {
    const subject = await create(things);
    expect(await verify(subject)).toMatchObject({ outcome: 'equal', rows: 300, message: null, findings: [] });
    expect(await verifyAndRepair(subject.sides, subject.stream)).toMatchObject({ repaired: 0, after: null });
  });

  it.each([
    ['a missing row', 'DELETE FROM shop.things WHERE id = 155', { missing: 1 }],
    ['missing rows at both ends', 'DELETE FROM shop.things WHERE id IN (1, 300)', { missing: 2 }],
    ['an extra row', `INSERT INTO shop.things (id, name) VALUES (-5, 'x'), (5000, 'y')`, { extra: 2 }],
    ['a changed column', `UPDATE shop.things SET name = 'other' WHERE id = 7`, { different: 1, columns: { name: 1 } }],
    [
      'a changed row',
      `UPDATE shop.things SET name = NULL, whole = 1 WHERE id = 7`,
      { different: 1, columns: { name: 1, whole: 1 } },
    ],
    [
      'one bit of a blob',
      `UPDATE shop.things SET bytes = set_bit(bytes, 9, 1) WHERE id = 300`,
      { different: 1, columns: { bytes: 1 } },
    ],
    [
      'a space at the end',
      `UPDATE shop.things SET name = name || ' ' WHERE id = 300`,
      { different: 1, columns: { name: 1 } },
    ],
    ['letter case', `UPDATE shop.things SET name = 'Name 300' WHERE id = 300`, { different: 1, columns: { name: 1 } }],
    [
      'the 30th decimal',
      `UPDATE shop.things SET exact = exact + 1e-30 WHERE id = 300`,
      { different: 1, columns: { exact: 1 } },
    ],
    [
      'the last bit of a float',
      `UPDATE shop.things SET approx = '150.00002' WHERE id = 300`,
      { different: 1, columns: { approx: 1 } },
    ],
    [
      'a microsecond',
      `UPDATE shop.things SET moment = moment + interval '1us' WHERE id = 300`,
      { different: 1, columns: { moment: 1 } },
    ],
    [
      'a long text',
      `UPDATE shop.things SET note = normalize(note, NFD) WHERE id = 300`,
      { different: 1, columns: { note: 1 } },
    ],
    ['an empty mirror', `TRUNCATE shop.things`, { missing: 300 }],
  ])('finds %s, and a repair makes it good', async (_what, plant, found) => {
    const subject = await create(things);
    await subject.database.pool.query(plant);
    const result = await verify(subject);
    expect(result).toMatchObject({ outcome: 'different', message: null, missing: 0, extra: 0, different: 0, ...found });
    expect(result.samples.length).toBeGreaterThan(0);
    await expectRepair(subject, result.missing + result.extra + result.different);
  });

  it('tells NULL from an empty text, 0 from -0, and composed letters from decomposed ones', async () => {
    const subject = await create({
      table: 'values_apart',
      definition: 'id int PRIMARY KEY, t varchar(20), d double',
      key: ['id'],
      fill: [`INSERT INTO shop.values_apart VALUES (1, NULL, 0), (2, '', 1), (3, 'é', 2)`],
    });
    await subject.database.pool.query(`UPDATE shop.values_apart SET t = coalesce(t, '') WHERE id = 1`);
    await subject.database.pool.query(`UPDATE shop.values_apart SET t = NULL WHERE id = 2`);
    await subject.database.pool.query(`UPDATE shop.values_apart SET t = normalize(t, NFD) WHERE id = 3`);
    await subject.database.pool.query(`UPDATE shop.values_apart SET d = '-0' WHERE id = 1`);
    const result = await verify(subject);
    expect(result).toMatchObject({ different: 3, columns: { t: 3, d: 1 } });
    expect(result.samples).toContainEqual({ kind: 'different', key: ['1'], column: 'd', source: '0', mirror: '-0' });
    await expectRepair(subject, 3);
  });

  it('fills in what the stream lost: bits and JSON', async () => {
    const subject = await createReplica(source, {
      table: 'lossy',
      definition: 'id int PRIMARY KEY, b bit(9), j json, t time(3)',
      key: ['id'],
      fill: [
        `INSERT INTO shop.lossy SELECT seq, seq, CONCAT('{"z":', seq, ',"a":[1.50,"é"]}'), SEC_TO_TIME(-seq) FROM seq_1_to_300`,
      ],
    });
    replica = subject;
    expect(await verify(subject)).toMatchObject({ different: 300, columns: { b: 300 } });
    await expectRepair(subject, 300);
    const { rows } = await subject.database.pool.query(`SELECT b::text, j::text FROM shop.lossy WHERE id = 5`);
    expect(rows).toEqual([{ b: '000000101', j: '{"a": [1.50, "é"], "z": 5}' }]);
  });

  it('of a table without a key counts equal rows', async () => {
    const subject = await create({
      table: 'no_key',
      definition: 'a int, b varchar(10)',
      key: null,
      fill: [
        `INSERT INTO shop.no_key SELECT seq MOD 50, 'x' FROM seq_1_to_500`,
        `INSERT INTO shop.no_key VALUES (NULL, NULL), (NULL, '')`,
      ],
    });
    expect(await verify(subject)).toMatchObject({ outcome: 'equal', rows: 502 });
    const { pool } = subject.database;
    await pool.query(`DELETE FROM shop.no_key WHERE ctid IN (SELECT ctid FROM shop.no_key WHERE a = 7 LIMIT 3)`);
    await pool.query(`INSERT INTO shop.no_key VALUES (8, 'x'), (8, 'x'), (99, 'new')`);
    await pool.query(`UPDATE shop.no_key SET b = '' WHERE b IS NULL`);
    expect(await verify(subject)).toMatchObject({ outcome: 'different', missing: 4, extra: 4, different: 0 });
    await expectRepair(subject, 8);
  });

  it.each([
    [
      'text',
      `word varchar(20) COLLATE utf8mb4_general_ci PRIMARY KEY, n int`,
      ['word'],
      `CONCAT('Wört ', seq, ' ß~|')`,
    ],
    [
      'text and numbers',
      `word varchar(20) COLLATE utf8mb4_unicode_ci, n int, PRIMARY KEY (word, n)`,
      ['word', 'n'],
      `CONCAT('É', seq MOD 3)`,
    ],
    ['latin1 text', `word varchar(20) CHARACTER SET latin1 PRIMARY KEY, n int`, ['word'], `CONCAT('word ', seq)`],
    ['numbers', `word int, n int, PRIMARY KEY (word, n)`, ['word', 'n'], `seq MOD 3`],
    [
      'numbers, then text',
      `word int, t varchar(9) DEFAULT 'a', n int, PRIMARY KEY (word, n, t)`,
      ['word', 'n', 't'],
      `seq MOD 7`,
    ],
    ['bytes', `word varbinary(9) PRIMARY KEY, n int`, ['word'], `UNHEX(CONCAT('FF', HEX(seq)))`],
    [
      'moments',
      `word timestamp(6) NOT NULL DEFAULT 0, n int, PRIMARY KEY (word, n)`,
      ['word', 'n'],
      `FROM_UNIXTIME(1700000000 + seq / 8)`,
    ],
    ['decimals', `word decimal(20,10) PRIMARY KEY, n int`, ['word'], `-seq / 1024`],
    ['a year', `word year, n int, PRIMARY KEY (word, n)`, ['word', 'n'], `1950 + seq MOD 90`],
    ['labels', `word enum('b','a','c'), n int, PRIMARY KEY (word, n)`, ['word', 'n'], `1 + seq MOD 3`],
    ['a float', `word float, n int, PRIMARY KEY (word, n)`, ['word', 'n'], `seq / 7`],
  ])('by a key of %s finds what is planted at any place', async (_kind, definition, key, word) => {
    const table = 'by_key';
    const subject = await create({
      table,
      definition,
      key,
      fill: [`INSERT INTO shop.${table} (word, n) SELECT ${word}, seq FROM seq_1_to_150`],
    });
    const { pool } = subject.database;
    expect(await verify(subject, 37)).toMatchObject({ outcome: 'equal', rows: 150 });
    await pool.query(`DELETE FROM shop.${table} WHERE n IN (1, 100, 149, 150)`);
    if (!key.includes('n')) await pool.query(`UPDATE shop.${table} SET n = -n WHERE n IN (3, 120)`);
    const different = key.includes('n') ? 0 : 2;
    expect(await verify(subject, 37)).toMatchObject({ missing: 4, extra: 0, different });
    await expectRepair(subject, 4 + different);
  });

  it.each([0, 1])('works on a table of %i rows', async (rows) => {
    const subject = await create({
      table: 'small',
      definition: 'id int PRIMARY KEY, v int',
      key: ['id'],
      fill: rows === 0 ? [] : ['INSERT INTO shop.small VALUES (1, 2)'],
    });
    expect(await verify(subject)).toMatchObject({ outcome: 'equal', rows });
    await subject.database.pool.query('INSERT INTO shop.small VALUES (9, 9)');
    expect(await verify(subject)).toMatchObject({ extra: 1 });
    await expectRepair(subject, 1);
  });

  it('calls nothing different that may be on its way while the stream stands, until its position proves it', async () => {
    const subject = await create({
      table: 'late',
      definition: 'id int PRIMARY KEY, v int',
      key: ['id'],
      fill: ['INSERT INTO shop.late VALUES (1, 2)'],
    });
    const { sides, stream, database } = subject;
    await source.connection.query('UPDATE shop.late SET v = 3');
    const standing = { sides, stream, settle: { ...settle, timeoutMs: 100 } };
    expect(await verifyTable(standing)).toMatchObject({
      outcome: 'unsettled',
      unsettled: 1,
      different: 0,
      message: expect.stringContaining('start reader and writers') as string,
    });
    expect(await repairTable(standing)).toMatchObject({ repaired: 0 });
    // The stream has applied all, and the row differs still.
    const [row] = await source.pool.query<{ gtid: string }[]>('SELECT @@GLOBAL.gtid_binlog_pos AS gtid');
    await database.pool.query(`UPDATE afterimage.offsets SET position = $1`, [`${row?.gtid}:4294967295`]);
    expect(await verifyTable(standing)).toMatchObject({ outcome: 'different', different: 1 });
  });

  it('puts a repair behind the events before it and before those after it', async () => {
    const subject = await create({
      table: 'raced',
      definition: 'id int PRIMARY KEY, v int',
      key: ['id'],
      fill: ['INSERT INTO shop.raced VALUES (1, 1), (2, 2)'],
    });
    const { sides, stream, database, events } = subject;
    await database.pool.query('UPDATE shop.raced SET v = -v');
    const postgres = database.pool;
    expect(await repairTable({ sides, stream, settle, isRunning })).toMatchObject({ repaired: 2 });
    events.transaction(['update_before', '1', '1'], ['update_after', '1', '5']);
    await subject.apply();
    await source.connection.query('UPDATE shop.raced SET v = 5 WHERE id = 1');
    expect((await postgres.query('SELECT * FROM shop.raced ORDER BY id')).rows).toEqual([
      { id: 1, v: 5 },
      { id: 2, v: 2 },
    ]);
    expect(await rebuild(postgres, { stream, settingsOf: sides.settingsOf, apply: false })).toMatchObject({
      equal: true,
    });
    const { rows } = await postgres.query(
      `SELECT event_type, v FROM shop_history.raced WHERE id = 1 ORDER BY stream_ordinal, event_number`,
    );
    expect(rows).toEqual([
      { event_type: 'insert', v: 1 },
      { event_type: 'repair_before', v: -1 },
      { event_type: 'repair_after', v: 1 },
      { event_type: 'update_before', v: 1 },
      { event_type: 'update_after', v: 5 },
    ]);
  });

  it('goes on, pass after pass, shows metrics and keeps each result until it is told to end', async () => {
    const subject = await create({
      table: 'watched',
      definition: 'id int PRIMARY KEY, v int',
      key: ['id'],
      fill: ['INSERT INTO shop.watched VALUES (1, 1), (2, 2)'],
    });
    const { sides, stream, database } = subject;
    const registry = createRegistry('verify');
    const controller = new AbortController();
    const outcomes: string[] = [];
    await watch({
      listStreams: async () => [stream],
      sidesOf: () => sides,
      registry,
      signal: controller.signal,
      pauseMs: 1,
      load: 50,
      settle,
      isRunning,
      onResult: ({ outcome }) => {
        outcomes.push(outcome);
        if (outcomes.length === 2) controller.abort();
        else void database.pool.query('DELETE FROM shop.watched WHERE id = 2');
      },
    });
    expect(outcomes[0]).toBe('equal');
    const { rows } = await database.pool.query('SELECT outcome FROM afterimage.verifications ORDER BY finished_at');
    expect(rows).toEqual(outcomes.map((outcome) => ({ outcome })));
    const metrics = await registry.metrics();
    expect(metrics).toMatch(
      /afterimage_last_verified_timestamp_seconds\{source="main",database="shop",table="watched".*\} \d+/,
    );
    expect(metrics).toMatch(/afterimage_verify_differences\{.*\} [01]\n/);
  });
});
