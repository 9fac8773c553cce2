import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { openSourceDatabase, parseMariadbUrl } from '@afterimage/mariadb';
import {
  configuredSettings,
  listDetectedChanges,
  listStreamRecords,
  migrate,
  readSnapshots,
  rebuild,
} from '@afterimage/replica';
import { loadConfig } from '@afterimage/service';
import { type Sides, type TableVerification, verifyTable } from '@afterimage/verification';
import { type Connection, createConnection, type Pool } from 'mariadb';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { cliEntry, runCli } from '../../apps/cli/test/run-cli.js';
import { databaseUrl, runAdmin } from '../faults/databases.js';
import { describeDifference } from '../faults/difference.js';
import { RestartablePostgres } from '../faults/restartable-postgres.js';
import type { TestDatabase } from '../harness/databases.js';
import { mariadbMissing } from '../harness/mariadb.js';
import { type SourceRig, startSourceRig } from './source-rig.js';
import { readBothSides } from './story-oracle.js';
import { definitionChanges, describeStory, type StoryTable } from './story-tables.js';
import { StoryWorkload } from './story-workload.js';

/** In the long form AFTERIMAGE_STORY_ROWS=200000, and the story is told without faults as well. */
const given = process.env['AFTERIMAGE_STORY_ROWS'];
const rows = Number(given ?? 3000);
const isLong = rows > 10_000;
const patienceMs = isLong ? 600_000 : 90_000;
const settle = { quietMs: 2000, timeoutMs: patienceMs };

const stories = [
  { ends: 'every process and server is killed', isStruck: true },
  ...(given === undefined ? [] : [{ ends: 'no process ends', isStruck: false }]),
];

describe.skipIf(await mariadbMissing('private')).each(stories)(
  `the whole story of ${rows} orders, in which $ends`,
  ({ isStruck }) => {
    let rig: SourceRig;
    let postgres: RestartablePostgres | undefined;
    let tables: readonly StoryTable[];
    let workload: StoryWorkload;
    let source: Pool;
    let connection: Connection;
    let sides: Sides;

    const eventually = (look: () => Promise<unknown>, expected: unknown): Promise<unknown> =>
      vi.waitFor(async () => expect(await look(), rig.output()).toEqual(expected), {
        timeout: patienceMs,
        interval: 300,
      });
    const connect = async (): Promise<Connection> => {
      const opened = await createConnection({ ...parseMariadbUrl(rig.mariadb.url), database: 'shop' });
      opened.on('error', () => undefined);
      await opened.query(`SET SESSION sql_mode = '', lock_wait_timeout = 60`);
      return opened;
    };
    const count = async (text: string): Promise<number> => {
      const { rows: found } = await rig.database.pool.query<{ n: number }>(`SELECT count(*)::int AS n FROM ${text}`);
      return found[0]?.n ?? 0;
    };
    const differences = async (): Promise<string[]> => {
      const found: string[] = [];
      for (const { name } of tables) {
        const { expected, actual } = await readBothSides({ source: connection, postgres: rig.database.pool }, name);
        const difference = describeDifference(name, actual, expected);
        if (difference !== null) found.push(difference);
      }
      return found;
    };
    const verifyAll = async (): Promise<TableVerification[]> => {
      const found: TableVerification[] = [];
      for (const stream of await listStreamRecords(rig.database.pool)) {
        const result = await verifyTable({ sides, stream, settle });
        if (result.outcome !== 'equal') found.push(result);
      }
      return found.toSorted((a, b) => (a.table < b.table ? -1 : 1));
    };
    const rebuildAll = async (): Promise<unknown[]> => {
      const found: unknown[] = [];
      for (const stream of await listStreamRecords(rig.database.pool)) {
        const result = await rebuild(rig.database.pool, { stream, settingsOf: sides.settingsOf, apply: false });
        if (!result.equal) found.push({ table: stream.table, ...result });
      }
      return found;
    };
    const openChanges = async (): Promise<unknown[]> => {
      const found: unknown[] = [];
      for (const { id, table } of await listStreamRecords(rig.database.pool)) {
        for (const change of await listDetectedChanges(rig.database.pool, id, { all: false }))
          found.push({ table, ...change });
      }
      return found;
    };
    const expectEqual = async (): Promise<void> => {
      await rig.feed.catchUp();
      await eventually(openChanges, []);
      await eventually(differences, []);
      expect(await verifyAll()).toEqual([]);
      expect(await rebuildAll()).toEqual([]);
      expect(await count('afterimage.dead_letters')).toBe(0);
      expect(await count(`afterimage.streams WHERE state_code IS NOT NULL AND state = 'halted'`)).toBe(0);
    };

    /** SIGKILL of whose turn it is. */
    const strike = async (step: number): Promise<void> => {
      switch (step) {
        case 0:
          return rig.replaceProcess(0);
        case 1:
          await rig.replaceProcess(1);
          return rig.replaceProcess(3);
        case 2:
          await rig.crashMariadb();
          connection.destroy();
          connection = await connect();
          return undefined;
        case 3:
          return postgres?.restart('kill', 0);
        default:
          for (let place = 0; place < 4; place += 1) await rig.replaceProcess(place);
      }
    };

    beforeAll(async () => {
      tables = await describeStory();
      postgres = isStruck ? await RestartablePostgres.start() : undefined;
      rig = await startSourceRig({
        ...(postgres === undefined ? {} : { database: await createDatabaseOn(postgres) }),
        tables: Object.fromEntries(tables.map(({ name, settings = null }) => [name, settings])),
        config: { watcher: { intervalMs: 300, quietMs: 1000 } },
        before: async (first) => {
          await first.query(`SET SESSION sql_mode = ''`);
          for (const { create, fill } of tables) for (const sql of [create, ...fill(rows)]) await first.query(sql);
          await first.query('CREATE TABLE exchanged_other (id int NOT NULL PRIMARY KEY, a varchar(20) NULL)');
          await first.query(`INSERT INTO exchanged_other VALUES (1, 'other'), (2, NULL), (90000, 'far')`);
        },
      });
      source = openSourceDatabase({ url: rig.mariadb.url, connections: 3 });
      sides = {
        source,
        postgres: rig.database.pool,
        settingsOf: configuredSettings(loadConfig(rig.configPath, {})),
      };
      connection = await connect();
      workload = new StoryWorkload({ url: rig.mariadb.url, tables, rows, seed: 1, pauseMs: isLong ? 2 : 5 });
    }, patienceMs);

    afterAll(async () => {
      await workload.end().catch(() => undefined);
      await connection.end().catch(() => undefined);
      await source.end();
      await rig.stop();
      await postgres?.remove();
    }, 60_000);

    it(
      'rows that were there before the stream are copied while all tables change, and the stream goes on from there',
      async () => {
        if (isStruck) await killSnapshot(rig);
        const copied = await runCli(['snapshot', '--json', '--config', rig.configPath]);
        expect(copied, copied.stdout).toMatchObject({ code: 0, stderr: '' });
        rig.startProcesses('watcher');
        await eventually(() => count('afterimage.source_states'), tables.length);
        const commits = workload.commits;
        await vi.waitFor(() => expect(workload.commits).toBeGreaterThan(commits + 50), { timeout: 60_000 });
        expect(await verifyAll()).toEqual([]);
      },
      patienceMs,
    );

    it(
      'definitions change in every way, with events and without, while rows change',
      async () => {
        const steps = Math.max(...Object.values(definitionChanges).map((list) => list.length));
        for (let step = 0; step < steps; step += 1) {
          for (const [name, list] of Object.entries(definitionChanges)) {
            const sql = list[step]?.replaceAll('{}', name);
            if (sql !== undefined) await connection.query(sql);
          }
          if (isStruck) await strike(step);
          const commits = workload.commits;
          await vi.waitFor(() => expect(workload.commits).toBeGreaterThan(commits + 30), { timeout: 60_000 });
        }
        await workload.end();
        // The stream tells of columns only with the next row.
        for (const name of Object.keys(definitionChanges)) await connection.query(`DELETE FROM ${name} LIMIT 1`);
        await expectEqual();
      },
      patienceMs * 2,
    );

    it(
      'whatever differs is found by a comparison, mended, and told by history',
      async () => {
        // No fault and no change of a definition has taken it off.
        expect(await count(`pg_constraint WHERE conname = 'orders_by_noted_idx'`)).toBe(1);
        const planted = [
          'DELETE FROM shop.orders WHERE id = 5',
          `INSERT INTO shop.orders (id, customer, amount, state, noted, token, price, memo)
       SELECT 4000000000, customer, amount, state, noted + interval '100 years', token, price, memo FROM shop.orders WHERE id = 6`,
          `UPDATE shop.orders SET customer = 'x', amount = 99, noted = now(), memo = NULL WHERE id = 7`,
          'UPDATE shop.orders SET amount = amount + 0.01 WHERE id = 8',
          `UPDATE shop.orders SET customer = customer || ' ' WHERE id = 9`,
          'UPDATE shop.orders SET token = set_bit(token, 77, 1 - get_bit(token, 77)) WHERE id = 10',
          `UPDATE shop.types_one SET c_double = '-0' WHERE id = 0 AND c_double = 0`,
          'UPDATE shop.types_one SET c_decimal_65_30 = c_decimal_65_30 + 1e-30 WHERE id = 1 AND c_decimal_65_30 = 1.5',
          'UPDATE shop.divided SET v = NULL WHERE id = 3',
          'DELETE FROM shop.keyless WHERE ctid = (SELECT ctid FROM shop.keyless WHERE id = 2 LIMIT 1)',
        ];
        const touched: (number | null)[] = [];
        for (const sql of planted) touched.push((await rig.database.pool.query(sql)).rowCount);
        expect(touched).toEqual([1, 1, 1, 1, 1, 1, 1, 1, 8, 1]);
        const nothing = { missing: 0, extra: 0, different: 0, columns: {} };
        const found = await verifyAll();
        expect(
          found.map(({ table, missing, extra, different, columns }) => ({ table, missing, extra, different, columns })),
        ).toEqual([
          { ...nothing, table: 'divided', different: 8, columns: { v: 8 } },
          { ...nothing, table: 'keyless', missing: 1 },
          {
            table: 'orders',
            missing: 1,
            extra: 1,
            different: 4,
            columns: { amount: 2, customer: 2, memo: 1, noted: 1, token: 1 },
          },
          { ...nothing, table: 'types_one', different: 2, columns: { c_decimal_65_30: 1, c_double: 1 } },
        ]);
        const repaired = await runCli(['repair', '--json', '--quiet', '1', '--config', rig.configPath]);
        expect(repaired, repaired.stdout).toMatchObject({ code: 0, stderr: '' });
        await expectEqual();
      },
      patienceMs,
    );
  },
);

/** Ends the copy of the first table in the middle. */
async function killSnapshot({ configPath, database }: SourceRig): Promise<void> {
  const child = spawn(process.execPath, [
    cliEntry,
    'snapshot',
    'shop.orders',
    '--rate',
    '1000',
    '--config',
    configPath,
  ]);
  const isCopying = async (): Promise<void> => {
    const [record] = await readSnapshots(database.pool);
    expect(record).toMatchObject({ state: 'copying', isRunning: true });
    expect(Number(record?.rows)).toBeGreaterThan(0);
  };
  const exited = once(child, 'exit');
  try {
    await vi.waitFor(isCopying, { timeout: 30_000, interval: 20 });
  } finally {
    child.kill('SIGKILL');
    await exited;
  }
}

async function createDatabaseOn(postgres: RestartablePostgres): Promise<TestDatabase> {
  await runAdmin(postgres.adminUrl, 'CREATE DATABASE story');
  const url = databaseUrl(postgres.adminUrl, 'story');
  await migrate(url);
  const pool = new pg.Pool({ connectionString: url, max: 5 });
  pool.on('error', () => undefined);
  return { url, pool, drop: () => pool.end() };
}
