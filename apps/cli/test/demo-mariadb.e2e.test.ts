import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { type Connection, createConnection } from 'mariadb';
import { afterEach, describe, expect, it, vi } from 'vitest';
// @boundaries-ignore the harness that all tests share
import { mariadbMissing } from '../../../test/harness/mariadb.js';
import { describeChanges, type HistoryRow } from '../src/demo/live-changes.js';
import { type Program, startProgram } from './programs.js';
import { cliEntry, runCli } from './run-cli.js';

const tables = ['customers', 'order_items', 'orders', 'page_views', 'products'];

describe.skipIf(await mariadbMissing('private'))('the demo with a MariaDB', () => {
  let program: Program | undefined;
  afterEach(() => {
    program?.child.kill('SIGKILL');
  });

  /** Where the demo says that SQL can be typed. */
  function connect(optionFile: string): Promise<Connection> {
    const options = new Map(
      readFileSync(optionFile, 'utf8')
        .split('\n')
        .map((line) => line.split('=', 2) as [string, string]),
    );
    return createConnection({
      host: options.get('host') ?? '',
      port: Number(options.get('port')),
      user: options.get('user') ?? '',
      password: JSON.parse(options.get('password') ?? '""') as string,
      database: 'shop',
    });
  }

  it('copies, streams, compares and repairs a shop; SQL that is typed shows up, and Ctrl-C compares again and removes all', async () => {
    const args = [cliEntry, 'demo', '--mariadb', '--seconds', '3', '--keep'];
    const demo = startProgram(process.execPath, args, { MARIADB_URL: '' });
    program = demo;
    const { child, lines, exited } = demo;
    const printed = (text: string | RegExp) => lines.filter((line) => line.search(text) !== -1);
    await vi.waitUntil(() => printed('Ctrl-C compares').length > 0 || child.exitCode !== null, {
      timeout: 100_000,
      interval: 50,
    });
    const output = () => lines.join('\n');
    for (const table of tables) expect(printed(`shop.${table}: .* rows at 0-1-`), output()).toHaveLength(1);
    for (const table of tables) expect(printed(`shop.${table} .*✓ equal`).length, output()).toBeGreaterThan(0);
    expect(printed('ALTER TABLE'), output()).toHaveLength(2);
    expect(printed('row \\S+, price: .* in MariaDB, .* in the mirror').length).toBeGreaterThan(0);
    expect(output()).not.toMatch(/password[=:]\s*\S/i);

    const optionFile = /--defaults-file=(\S+)/.exec(output())?.[1] ?? '';
    expect(statSync(optionFile).mode & 0o077).toBe(0);
    const connection = await connect(optionFile);
    connection.on('error', () => undefined);
    await connection.query(`UPDATE customers SET name = 'typed by hand', settings = '{"typed": true}' WHERE id = 1`);
    const shown = /customers {2}update {2}id 1: name .* → typed by hand, settings .* → {"typed": true}/;
    await vi.waitUntil(() => printed(shown).length === 1, { timeout: 20_000, interval: 50 });
    // No stream tells of it.
    await connection.query('TRUNCATE page_views');
    const emptied = /more rows of page_views/;
    await vi.waitUntil(() => printed(emptied).length === 1, { timeout: 40_000, interval: 50 });

    const port = /port=(\d+)/.exec(readFileSync(optionFile, 'utf8'))?.[1] ?? '';
    await connection.end();
    child.kill('SIGINT');
    expect(await exited, output()).toBe(0);
    expect(lines.at(-2)).toMatch(/^ ✓ 5 tables, [\d,]+ rows compared, 0 differences; /);
    expect(existsSync(dirname(optionFile))).toBe(false);
    const running = execFileSync('ps', ['-eo', 'args'], { encoding: 'utf8' });
    expect(running).not.toContain(dirname(optionFile));
    expect(running).not.toContain(`--port=${port}`);
  }, 150_000);
});

describe('the demo with a MariaDB, where there is none', () => {
  it('says how to install one', async () => {
    const empty = mkdtempSync(join(tmpdir(), 'afterimage-cli-'));
    try {
      const { code, stdout, stderr } = await runCli(['demo', '--mariadb'], { env: { PATH: empty, MARIADB_URL: '' } });
      expect(code).toBe(1);
      expect(stdout).toBe('');
      expect(stderr).toMatch(/there is no MariaDB on this machine[^]*apt-get install mariadb-server[^]*MARIADB_URL=/);
    } finally {
      rmSync(empty, { recursive: true });
    }
  });
});

describe('changes that the demo shows', () => {
  const event = (type: string, row: Readonly<Record<string, string | null>>): HistoryRow => ({
    stream_ordinal: '1',
    timestamp: '2026-11-22 21:46:37+00',
    event_type: type,
    ...row,
  });

  it('of an update are the columns that it changed, and the key that the row had', () => {
    const customers = { table: 'customers', key: ['id'] };
    const before = event('update_before', { id: '1', token: 'abc', name: 'Ada' });
    const renumbered = event('update_after', { id: '2', token: 'abc', name: 'Ada' });
    expect(describeChanges(customers, [before, renumbered])).toEqual([
      '   21:46:37  customers  update  id 1: id 1 → 2',
    ]);
    const again = event('update_before', { id: '2', token: 'abc', name: 'Ada' });
    const renamed = event('update_after', { id: '2', token: null, name: '' });
    expect(describeChanges(customers, [again, renamed])).toEqual([
      `   21:46:37  customers  update  id 2: token abc → NULL, name Ada → ''`,
    ]);
  });

  it('are the first few of many', () => {
    const events = Array.from({ length: 20 }, (_, n) => event('insert', { path: `/${n}` }));
    const lines = describeChanges({ table: 'views', key: null }, events);
    expect(lines).toHaveLength(9);
    expect(lines.at(-1)).toBe('   … and 12 more rows of views');
  });
});
