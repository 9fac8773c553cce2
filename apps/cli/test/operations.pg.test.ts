import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import {
  acquireReaderLock,
  configuredSettings,
  createApplier,
  endSourceWait,
  noteSourceWait,
  registerStreams,
} from '@afterimage/replica';
import { parseConfig } from '@afterimage/service';
import pg from 'pg';
import { stringify } from 'yaml';
// @boundaries-ignore batches are scripted as the package's own tests do
// @boundaries-ignore the harness that all tests share
import { ScriptedStream } from '../../../packages/replica/test/batches.js';
// @boundaries-ignore the harness that all tests share
import { createDatabase, createEmptyDatabase, type TestDatabase } from '../../../test/harness/databases.js';
import { type CliResult, ConfigFolder, configFor, runCli } from './run-cli.js';

const tables = { 'shop.orders': { key: ['id'] }, 'shop.carts': null };

let folder: ConfigFolder;
beforeEach(() => {
  folder = new ConfigFolder();
});
afterEach(() => folder.remove());

async function afterimage(database: Pick<TestDatabase, 'url'>, ...args: string[]): Promise<CliResult> {
  return runCli([...args, '--config', folder.write(configFor(database.url, tables))]);
}

async function json<T>(database: Pick<TestDatabase, 'url'>, ...args: string[]): Promise<T> {
  const { stdout, stderr } = await afterimage(database, ...args, '--json');
  expect(stderr).toBe('');
  return JSON.parse(stdout) as T;
}

/** What PostgreSQL sees of a running reader and writer. */
async function playProcesses(database: TestDatabase): Promise<void> {
  const { url } = database;
  const lock = await acquireReaderLock({ url, source: 'main', instance: 'test', signal: new AbortController().signal });
  const writer = new pg.Client({ connectionString: url, application_name: 'afterimage-writer' });
  await writer.connect();
  onTestFinished(async () => {
    await lock.release();
    await writer.end();
  });
}

describe('a database', () => {
  let database: TestDatabase;
  beforeEach(async () => {
    database = await createEmptyDatabase();
  });
  afterEach(() => database.drop());

  it('that is not migrated is told by every command, and migrate cures it, twice too', async () => {
    for (const args of [['status'], ['streams'], ['history', 'shop.orders'], ['dead-letter', 'list']]) {
      expect(await afterimage(database, ...args)).toMatchObject({
        code: 1,
        stderr: 'afterimage: this database has no Afterimage tables yet: run `afterimage migrate` first\n',
      });
    }
    for (let time = 0; time < 2; time += 1) {
      expect(await afterimage(database, 'migrate')).toMatchObject({
        code: 0,
        stdout: 'control tables: up to date (schema afterimage)\nqueue tables: up to date\n',
      });
    }
    const status = await afterimage(database, 'status');
    expect(status).toMatchObject({
      code: 0,
      stdout: 'no streams yet: the reader registers them when it starts (`afterimage reader`)\n',
    });
  });

  it('with a wrong password is told in one line without the password', async () => {
    const url = new URL(database.url);
    url.password = 'not-this-one';
    const { code, stderr } = await afterimage({ url: url.href }, 'status');
    expect(code).toBe(1);
    expect(stderr).toBe(
      `afterimage: PostgreSQL at postgres@127.0.0.1:${url.port}${url.pathname} refused the password: correct postgres.url (AFTERIMAGE_POSTGRES_URL)\n`,
    );
  });

  it('that does not exist is told in one line', async () => {
    const url = new URL(database.url);
    url.pathname = '/nowhere';
    const { code, stderr } = await afterimage({ url: url.href }, 'migrate');
    expect(code).toBe(1);
    expect(stderr).toContain(`there is no such database at postgres@127.0.0.1:${url.port}/nowhere: create it`);
  });
});

describe('a stream with changes', () => {
  let database: TestDatabase;

  beforeAll(async () => {
    database = await createDatabase();
    const { pool } = database;
    const [stream] = await registerStreams(pool, 'main', [{ database: 'shop', table: 'orders' }]);
    if (stream === undefined) throw new Error('not registered');
    const settingsOf = configuredSettings(parseConfig(stringify(configFor(database.url, tables)), 'test', {}));
    const source = new ScriptedStream({ id: stream.id, source: 'main', database: 'shop', table: 'orders' });
    source.transaction(['insert', 1, 'new', 10], ['insert', 2, 'new', 20]);
    source.transaction(['update_before', 1, 'new', 10], ['update_after', 1, 'paid', 10]);
    source.transaction(['delete', 2, 'new', 20]);
    await createApplier(pool, settingsOf).apply(source.cut());
    // The mirror refuses a row from here on, as long as the constraint is there.
    await pool.query(`ALTER TABLE shop.orders ADD CONSTRAINT modest CHECK (id < 100)`);
    source.transaction(['insert', 3, 'new', 30], ['insert', 100, 'new', 1000]);
    await createApplier(pool, settingsOf).apply(source.cut());
  });
  afterAll(() => database.drop());

  it('is listed with its mirror, and a table that waits for the reader too', async () => {
    expect(await json(database, 'streams')).toEqual([
      {
        id: expect.any(String) as string,
        source: 'main',
        table: 'shop.orders',
        partitions: 1,
        mirror: 'shop.orders',
        history: 'shop_history.orders',
        key: ['id'],
        remark: '',
      },
      {
        id: null,
        source: 'main',
        table: 'shop.carts',
        partitions: 1,
        mirror: 'shop.carts',
        history: 'shop_history.carts',
        key: null,
        remark: 'new: the reader will register it',
      },
    ]);
  });

  it('makes status end with 3 while dead letters wait', async () => {
    const { code, stdout, stderr } = await afterimage(database, 'status', '--sample', '0.1', '--json');
    expect({ code, stderr }).toEqual({ code: 3, stderr: '' });
    expect(JSON.parse(stdout)).toMatchObject({
      streams: [
        {
          table: 'orders',
          state: 'degraded',
          ordinal: '7',
          schemaVersion: 1,
          queuedBatches: 0,
          eventsPerSecond: 0,
          deadLetters: 1,
        },
      ],
      queueProblem: null,
    });
    const text = await afterimage(database, 'status', '--sample', '0.1');
    expect(text.code).toBe(3);
    expect(text.stdout).toMatch(/^shop\.orders +degraded +stopped +7 +0 .* 0-1-5:2$/m);
    expect(text.stdout).toContain('shop.orders: writer degraded (DEAD_LETTERS)');
  });

  it('is shown as standing while no reader and no writer run, whatever they left behind', async () => {
    await database.pool.query(`UPDATE afterimage.streams SET reader_state = 'streaming'`);
    const { code, stdout } = await afterimage(database, 'status', '--sample', '0.1');
    expect(code).toBe(3);
    expect(stdout).toMatch(/^shop\.orders +degraded +stopped /m);
    expect(stdout).toContain('source main: no reader is running; start one: afterimage reader');
    expect(stdout).toContain('no writer is running; start one: afterimage writer');
  });

  it('is shown to wait for MariaDB, and as standing when that takes long', async () => {
    await playProcesses(database);
    await database.pool.query(`UPDATE afterimage.streams SET reader_state = 'streaming', state = 'active'`);
    for (const waiter of ['watcher', 'shop.orders']) {
      const error = new Error('MariaDB cannot be asked (mariadb://reader:secret@db refused): trying again');
      await noteSourceWait(database.pool, { source: 'main', waiter }, { error, pauseMs: 5_000 });
    }
    const first = await afterimage(database, 'status', '--sample', '0.1');
    expect(first.code).toBe(0);
    expect(first.stdout).toMatch(
      /^source main: since 20\S+ MariaDB cannot be asked \(mariadb:\/\/reader:\*\*\*@db refused\): trying again; what waits for it: watcher, shop\.orders$/m,
    );
    await database.pool.query(`UPDATE afterimage.source_waits SET since = now() - interval '3 minutes'`);
    expect((await afterimage(database, 'status', '--sample', '0.1')).code).toBe(3);
    for (const waiter of ['watcher', 'shop.orders']) await endSourceWait(database.pool, { source: 'main', waiter });
    expect((await afterimage(database, 'status', '--sample', '0.1')).stdout).not.toContain('MariaDB cannot be asked');
    await database.pool.query(`UPDATE afterimage.streams SET state = 'degraded'`);
  });

  it('is shown as removed when its table is not configured any more', async () => {
    const config = folder.write(configFor(database.url, { 'shop.carts': null }));
    const { code, stdout } = await runCli(['status', '--sample', '0.1', '--config', config]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^shop\.orders +degraded +removed /m);
    expect(stdout).toContain('shop.orders: not in the configuration any more: nothing is read or applied');
  });

  it('has a lag while its reader does not stream, and none when all is applied', async () => {
    await playProcesses(database);
    const lag = async () =>
      (await json<{ streams: { lagSeconds: number }[] }>(database, 'status', '--sample', '0.1')).streams[0]?.lagSeconds;
    const yearSeconds = 365 * 24 * 3600;
    await database.pool.query(`UPDATE afterimage.streams SET reader_state = 'retrying'`);
    expect(await lag()).toBeGreaterThan(yearSeconds);
    await database.pool.query(`UPDATE afterimage.streams SET reader_state = 'streaming'`);
    expect(await lag()).toBe(0);
  });

  it('shows its schema versions', async () => {
    expect(await json(database, 'schema-versions', 'shop.orders')).toMatchObject([
      { version: 1, key: ['id'], firstOrdinal: '1' },
    ]);
    expect((await afterimage(database, 'schema-versions', 'main/shop.orders')).stdout).toMatch(/^1 +1 +0-1-1 /m);
  });

  it('shows the history of one row', async () => {
    const rows = await json<Record<string, string>[]>(database, 'history', 'shop.orders', '--where', 'id=1');
    expect(rows.map((row) => [row['event_type'], row['status'] ?? row['state']])).toEqual([
      ['insert', 'new'],
      ['update_before', 'new'],
      ['update_after', 'paid'],
    ]);
    const limited = await afterimage(database, 'history', 'shop.orders', '--limit', '2', '--newest');
    expect(limited.stdout).toContain('… there are more: --limit 20');
  });

  it('refuses a column that is not there', async () => {
    const { code, stderr } = await afterimage(database, 'history', 'shop.orders', '--where', 'idd=1');
    expect(code).toBe(1);
    expect(stderr).toContain('no column "idd"; there are: id');
  });

  it('shows the table as it was, by GTID and by time', async () => {
    const ids = async (...moment: string[]) =>
      (await json<{ id: string }[]>(database, 'as-of', 'shop.orders', ...moment)).map(({ id }) => id);
    expect(await ids('--gtid', '0-1-2')).toEqual(['1', '2']);
    expect(await ids('--gtid', '0-1-4')).toEqual(['1']);
    expect(await ids('--at', '2023-11-14T22:13:22Z')).toEqual(['1', '2']);
    expect(await ids('--at', '2023-11-14')).toEqual([]);
  });

  it.each([['history'], ['as-of', '--gtid', '0-1-1'], ['rebuild'], ['schema-versions']])(
    'that is unknown ends %s with 2 and names the known ones',
    async (command, ...options) => {
      const { code, stderr } = await afterimage(database, command, 'shop.order', ...options);
      expect(code).toBe(2);
      expect(stderr).toBe('afterimage: no stream "shop.order"; known: shop.orders\n');
    },
  );

  it('whose mirror was changed by hand is found by rebuild, and corrected with --apply', async () => {
    expect(await afterimage(database, 'rebuild', 'shop.orders')).toMatchObject({
      code: 0,
      stdout: 'shop.orders: the mirror equals its history (2 rows)\n',
    });
    await database.pool.query(`DELETE FROM shop.orders WHERE id = 3`);
    const found = await afterimage(database, 'rebuild', 'shop.orders');
    expect(found.code).toBe(3);
    expect(found.stdout).toContain('history gives 2 rows; the mirror lacks 1 of them and has 0 others');
    const applied = await afterimage(database, 'rebuild', 'shop.orders', '--apply');
    expect(applied.code).toBe(0);
    expect(applied.stdout).toContain('the mirror has been corrected and now equals its history');
    expect((await database.pool.query('SELECT id FROM shop.orders ORDER BY id')).rows).toMatchObject([
      { id: 1 },
      { id: 3 },
    ]);
  });

  it('keeps its dead letters until they are applied or discarded', async () => {
    const [letter] = await json<{ id: string; sqlstate: string }[]>(database, 'dead-letter', 'list', 'shop.orders');
    expect(letter).toMatchObject({ sqlstate: '23514', position: '0-1-5:2', state: 'pending' });
    const id = letter?.id ?? '';
    const shown = await afterimage(database, 'dead-letter', 'show', id);
    expect(shown.stdout).toMatch(/^cause +.*"modest" \(SQLSTATE 23514\)$/m);
    expect(shown.stdout).toMatch(/^event +\{"domain": 0, .*"id": 100/m);

    const refused = await afterimage(database, 'dead-letter', 'retry', id);
    expect(refused).toMatchObject({ code: 3 });
    expect(refused.stdout).toContain('refused again');
    await database.pool.query('ALTER TABLE shop.orders DROP CONSTRAINT modest');
    const applied = await afterimage(database, 'dead-letter', 'retry', '--table', 'shop.orders');
    expect(applied.code).toBe(0);
    expect(applied.stdout).toMatch(new RegExp(`^${id} +applied`, 'm'));

    await playProcesses(database);
    expect((await afterimage(database, 'status', '--sample', '0.1')).code).toBe(0);
    expect((await afterimage(database, 'dead-letter', 'list')).stdout).toBe('no dead letters\n');
    expect(await json(database, 'dead-letter', 'discard', '--all')).toEqual({ discarded: 0 });
  });

  it('has only the dead letters that it has', async () => {
    expect(await afterimage(database, 'dead-letter', 'show', '99')).toMatchObject({
      code: 2,
      stderr: 'afterimage: there is no dead letter 99: see `afterimage dead-letter list --state all`\n',
    });
    expect(await afterimage(database, 'dead-letter', 'show', 'x')).toMatchObject({ code: 2 });
    expect(await afterimage(database, 'dead-letter', 'discard', '99')).toMatchObject({ code: 2 });
    expect((await afterimage(database, 'dead-letter', 'retry')).stderr).toBe(
      'afterimage: say which ones: ids, --table <table> or --all\n',
    );
  });
});
