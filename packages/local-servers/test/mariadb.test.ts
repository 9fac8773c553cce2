import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { describe, expect, it, vi } from 'vitest';
// @boundaries-ignore the harness that all tests share
import { mariadbMissing } from '../../../test/harness/mariadb.js';
import { startMariadb } from '../src/index.js';
import { accepts } from './accepts.js';

const portOf = (url: string): number => Number(new URL(url).port);

const run = promisify(execFile);
const path = process.env['PATH'] ?? '';
/** Always a private server, also where MARIADB_URL names one. */
const env = { PATH: path };

/** The first column of the first row, through MariaDB's own client. */
async function query(url: string, sql: string): Promise<string> {
  const { hostname, port, username, password } = new URL(url);
  const args = ['--no-defaults', `-h${hostname}`, `-P${port}`, `-u${username}`, `-p${password}`, '-N', '-B', '-e', sql];
  return (await run('mariadb', args)).stdout.trimEnd();
}

describe('a MariaDB to work with', () => {
  it('is the one that MARIADB_URL names', async () => {
    const mariadb = await startMariadb({ env: { MARIADB_URL: 'mariadb://elsewhere:3306/' } });
    expect(mariadb).toMatchObject({ url: 'mariadb://elsewhere:3306/', isPrivate: false });
    await mariadb.stop();
  });

  it('cannot be had without a server program, and the error says what to do', async () => {
    await expect(startMariadb({ env: { PATH: '/nonexistent' } })).rejects.toThrow(
      'there is no mariadbd on the PATH: install mariadb-server or set MARIADB_URL',
    );
  });
});

describe.skipIf(await mariadbMissing('private'))('a private MariaDB', () => {
  it('writes row binlogs in full image, with the server id and GTID domain that are asked for', async () => {
    const mariadb = await startMariadb({ env, settings: { server_id: 4_294_967_295, gtid_domain_id: 7 } });
    try {
      await query(mariadb.url, 'CREATE DATABASE shop');
      const facts = await query(
        mariadb.url,
        'SELECT CONCAT_WS(" ", @@log_bin, @@binlog_format, @@binlog_row_image, @@gtid_binlog_pos, @@time_zone, @@character_set_server)',
      );
      expect(facts).toBe('ON ROW FULL 7-4294967295-1 +00:00 utf8mb4');
    } finally {
      await mariadb.stop();
    }
    expect(await accepts(portOf(mariadb.url))).toBe(false);
    await expect(mariadb.stop()).resolves.toBeUndefined();
  });

  it('keeps its data in a folder that it is given, also through a crash', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'afterimage-test-'));
    await chmod(folder, 0o755);
    const dataDir = join(folder, 'data');
    try {
      const first = await startMariadb({ env, dataDir });
      await query(first.url, 'CREATE DATABASE kept; CREATE TABLE kept.t AS SELECT 42 AS n');
      await first.crash();
      expect(await accepts(portOf(first.url))).toBe(false);
      const second = await startMariadb({ env, dataDir, port: Number(new URL(first.url).port) });
      expect(second.url).toBe(first.url);
      expect(await query(second.url, 'SELECT n FROM kept.t')).toBe('42');
      await second.stop();
      await expect(access(join(dataDir, 'mysql'))).resolves.toBeUndefined();
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it('says what the server said when it cannot start', async () => {
    await expect(startMariadb({ env, settings: { binlog_format: 'POEMS' } })).rejects.toThrow(
      /MariaDB ended with exit code \d+:[^]*POEMS/,
    );
  });

  it('ends, and leaves no folder, when the process that started it is killed', async () => {
    const program = `import { startMariadb } from ${JSON.stringify(new URL('../dist/index.js', import.meta.url).href)};
      const { url } = await startMariadb(); console.log(url); setInterval(() => {}, 1000);`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
      env,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [url] = (await once(createInterface(child.stdout), 'line')) as [string];
    const dataDir = await query(url, 'SELECT @@datadir');
    child.kill('SIGKILL');
    await vi.waitUntil(async () => !(await accepts(portOf(url))), { timeout: 20_000, interval: 50 });
    await vi.waitFor(() => expect(access(dataDir)).rejects.toMatchObject({ code: 'ENOENT' }), { timeout: 20_000 });
  });
});
