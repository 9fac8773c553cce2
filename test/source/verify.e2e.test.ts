import { openSourceDatabase } from '@afterimage/mariadb';
import { configuredSettings, listStreamRecords, rebuild, type StreamRecord } from '@afterimage/replica';
import { loadConfig } from '@afterimage/service';
import { repairTable, type Sides, type TableVerification, verifyTable } from '@afterimage/verification';
import type { Connection, Pool } from 'mariadb';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { runCli } from '../../apps/cli/test/run-cli.js';
import { Dice } from '../faults/dice.js';
import type { TestDatabase } from '../harness/databases.js';
import { mariadbMissing } from '../harness/mariadb.js';
import { createTable, plainColumns, type PlainTable, randomChange } from './random-sql.js';
import { type SourceRig, startSourceRig } from './source-rig.js';

const number = (name: string, below: number) => ({
  name,
  definition: 'int NOT NULL',
  value: (dice: Dice) => String(dice.below(below)),
  mariadb: `\`${name}\``,
  postgres: `"${name}"`,
});
const tables: readonly PlainTable[] = [
  { name: 'every_type', columns: [number('id', 300), ...plainColumns], key: ['id'] },
  {
    name: 'two_keys',
    columns: [number('id', 20), number('part', 20), ...plainColumns.slice(4, 9)],
    key: ['id', 'part'],
  },
  { name: 'no_key', columns: [{ ...number('id', 30), definition: 'int' }, ...plainColumns.slice(0, 2)], key: [] },
];

/** Changes until it is told to end. */
class Workload {
  #running = true;
  readonly #done: Promise<void>;

  constructor(connection: Connection) {
    this.#done = this.#run(connection, new Dice(11));
  }

  async #run(connection: Connection, dice: Dice): Promise<void> {
    while (this.#running) {
      await connection.beginTransaction();
      for (let n = dice.between(1, 5); n > 0; n--) await connection.query(randomChange(dice, dice.pick(tables)));
      await connection.commit();
    }
  }

  async end(): Promise<void> {
    this.#running = false;
    await this.#done;
  }
}

describe.skipIf(await mariadbMissing('private'))('while a source changes', () => {
  let rig: SourceRig;
  let connection: Connection;
  let source: Pool;
  let database: TestDatabase;
  let configPath: string;
  let sides: Sides;
  let streams: StreamRecord[];

  beforeAll(async () => {
    rig = await startSourceRig({ tables: Object.fromEntries(tables.map(({ name }) => [name, null])) });
    ({ source: connection, database, configPath } = rig);
    for (const table of tables) await connection.query(createTable(table));
    const dice = new Dice(5);
    for (let n = 0; n < 300; n++) await connection.query(randomChange(dice, dice.pick(tables)));
    rig.startProcesses();
    source = openSourceDatabase({ url: rig.mariadb.url, connections: 3 });
    sides = { source, postgres: database.pool, settingsOf: configuredSettings(loadConfig(configPath, {})) };
    await rig.feed.catchUp();
    await vi.waitFor(
      async () => {
        const { rows } = await database.pool.query('SELECT FROM afterimage.offsets WHERE schema_version > 0');
        expect(rows.length, rig.output()).toBe(tables.length);
      },
      { timeout: 60_000, interval: 100 },
    );
    streams = await listStreamRecords(database.pool);
  }, 120_000);

  afterAll(async () => {
    await source.end().catch(() => undefined);
    await rig.stop();
  });

  const verifyAll = async (): Promise<TableVerification[]> => {
    const results: TableVerification[] = [];
    for (const stream of streams) {
      results.push(await verifyTable({ sides, stream, chunkRows: 50, settle: { quietMs: 2000, timeoutMs: 20_000 } }));
    }
    return results;
  };
  const countsOf = (results: readonly TableVerification[]): object[] =>
    results.map(({ table, message, missing, extra, different, samples }) => ({
      table,
      message,
      missing,
      extra,
      different,
      samples,
    }));
  const nothing = ['every_type', 'no_key', 'two_keys'].map((table) => ({
    table,
    message: null,
    missing: 0,
    extra: 0,
    different: 0,
    samples: [],
  }));

  it('a comparison raises no false alarm, and finds and repairs what is planted, under the same changes', async () => {
    const workload = new Workload(connection);
    try {
      expect(countsOf(await verifyAll())).toEqual(nothing);
      expect(countsOf(await verifyAll())).toEqual(nothing);
      // Keys that the changes never touch.
      await database.pool.query(`INSERT INTO shop.every_type (id, ti) VALUES (1000, 1)`);
      await database.pool.query(`INSERT INTO shop.no_key (id) VALUES (1000), (1000)`);
      await connection.query('SELECT 1');
      const repairs = [];
      for (const stream of streams) {
        repairs.push(await repairTable({ sides, stream, chunkRows: 50, settle: { quietMs: 2000, timeoutMs: 20_000 } }));
      }
      expect(repairs.map(({ before, repaired }) => [before.extra, before.missing, before.different, repaired])).toEqual(
        [
          [1, 0, 0, 1],
          [2, 0, 0, 2],
          [0, 0, 0, 0],
        ],
      );
    } finally {
      await workload.end();
    }
    await rig.feed.catchUp();
    expect(countsOf(await verifyAll())).toEqual(nothing);
    for (const stream of streams) {
      const { settingsOf } = sides;
      expect(await rebuild(database.pool, { stream, settingsOf, apply: false })).toMatchObject({ equal: true });
    }
  }, 120_000);

  it('the command line tells what differs, repairs it, and keeps a record of each run', async () => {
    expect((await runCli(['verify', '--config', configPath])).code).toBe(0);
    await database.pool.query(`INSERT INTO shop.two_keys (id, part) VALUES (500, 1)`);
    const found = await runCli(['verify', 'shop.two_keys', '--quiet', '1', '--config', configPath]);
    expect(found).toMatchObject({ code: 3, stderr: '' });
    expect(found.stdout).toContain('row 500, 1 is only in the mirror');
    const planned = await runCli(['repair', 'shop.two_keys', '--dry-run', '--quiet', '1', '--config', configPath]);
    expect(planned).toMatchObject({ code: 3, stderr: '' });
    const repaired = await runCli(['repair', '--json', '--quiet', '1', '--config', configPath]);
    expect(repaired).toMatchObject({ code: 0, stderr: '' });
    const { tables: results } = JSON.parse(repaired.stdout) as { tables: { repaired: number }[] };
    expect(results.map((result) => result.repaired)).toEqual([0, 0, 1]);
    const { rows } = await database.pool.query(
      `SELECT outcome, extra::int, repaired::int FROM afterimage.verifications v JOIN afterimage.streams s ON s.id = v.stream_id
       WHERE table_name = 'two_keys' ORDER BY finished_at`,
    );
    expect(rows.slice(1)).toEqual([
      { outcome: 'different', extra: 1, repaired: 0 },
      { outcome: 'different', extra: 1, repaired: 0 },
      { outcome: 'different', extra: 1, repaired: 1 },
      { outcome: 'equal', extra: 0, repaired: 0 },
    ]);
  }, 60_000);

  it('a table or column that one side lacks is told', async () => {
    const [stream] = streams;
    if (stream === undefined) throw new Error('no stream');
    await connection.query('ALTER TABLE every_type ADD added int DEFAULT 5');
    await database.pool.query('ALTER TABLE shop.every_type ADD own text');
    expect(await verifyTable({ sides, stream })).toMatchObject({
      outcome: 'different',
      missing: 0,
      different: 0,
      findings: [{ column: 'added', detail: expect.stringContaining('the mirror has no such column') as string }],
    });
    await connection.query('RENAME TABLE every_type TO other');
    expect(await verifyTable({ sides, stream })).toMatchObject({
      outcome: 'failed',
      message: expect.stringContaining('MariaDB has no table shop.every_type') as string,
    });
    await connection.query('RENAME TABLE other TO every_type');
    await database.pool.query('DROP TABLE shop.every_type');
    expect(await verifyTable({ sides, stream })).toMatchObject({
      outcome: 'failed',
      message: expect.stringContaining('is gone: see afterimage rebuild') as string,
    });
  });

  it('a server that goes away in the middle is an error of the table, with its words', async () => {
    const stream = streams.find(({ table }) => table === 'two_keys');
    if (stream === undefined) throw new Error('no stream');
    const lost = new pg.Pool({ connectionString: database.url });
    lost.on('error', () => undefined);
    const cut = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'to be cut'`;
    lost.options.application_name = 'to be cut';
    let cutting: Promise<unknown> | undefined;
    const result = await verifyTable({
      sides: { ...sides, postgres: lost },
      stream,
      chunkRows: 5,
      onProgress: () => {
        cutting ??= Promise.all([database.pool.query(cut), lost.end()]);
      },
    });
    await cutting;
    expect(result.outcome).toBe('failed');
    expect(result.message).toMatch(/pool after calling end|terminat/);
    const crashed = verifyTable({ sides, stream, chunkRows: 5, onProgress: () => void rig.mariadb.crash() });
    expect(await crashed).toMatchObject({
      outcome: 'failed',
      message: expect.stringMatching(/^MariaDB: /) as string,
    });
  }, 60_000);
});
