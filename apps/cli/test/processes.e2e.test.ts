import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { findFreePort } from '@afterimage/local-servers';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
// @boundaries-ignore the harness that all tests share
import { createDatabase, type TestDatabase } from '../../../test/harness/databases.js';
import { start, startProgram } from './programs.js';
import { cliEntry, ConfigFolder, configFor } from './run-cli.js';

const patiently = { timeout: 40_000, interval: 50 };

describe('an app in the foreground', () => {
  let database: TestDatabase;
  let folder: ConfigFolder;
  let config: string;

  beforeEach(async () => {
    database = await createDatabase();
    folder = new ConfigFolder();
    config = folder.write(configFor(database.url, { 'shop.orders': null }));
  });
  afterEach(async () => {
    folder.remove();
    await database.drop();
  });

  const countOf = (lines: readonly string[], message: string) =>
    lines.filter((line) => line.includes(`"msg":"${message}"`)).length;

  it('can be several writers, which a signal stops in order', async () => {
    const { child, lines, exited } = start(['writer', '--count', '2', '--config', config]);
    await vi.waitUntil(() => countOf(lines, 'writer is ready') === 2, patiently);
    child.kill('SIGTERM');
    expect(await exited).toBe(0);
    expect(countOf(lines, 'writer has stopped')).toBe(2);
  });

  it('can be several writers with metrics, each on a port of its own', async () => {
    const writerPort = await findFreePort();
    const served = folder.write({ ...configFor(database.url, { 'shop.orders': null }), service: { writerPort } });
    const { child, lines, exited } = start(['writer', '--count', '2', '--config', served]);
    await vi.waitUntil(() => countOf(lines, 'writer is ready') === 2, patiently);
    for (const port of [writerPort, writerPort + 1]) {
      const response = await fetch(`http://127.0.0.1:${port}/healthz`);
      expect(response.status).toBe(200);
    }
    child.kill('SIGTERM');
    expect(await exited).toBe(0);
  });

  it('is healthy and not ready while PostgreSQL is away: a restart would not cure that', async () => {
    const writerPort = await findFreePort();
    const away = configFor('postgres://nobody@127.0.0.1:1/none', { 'shop.orders': null });
    const { child, exited } = start(['writer', '--config', folder.write({ ...away, service: { writerPort } })]);
    const statusOf = async (path: string) =>
      fetch(`http://127.0.0.1:${writerPort}${path}`).then(
        ({ status }) => status,
        () => undefined,
      );
    await vi.waitUntil(async () => (await statusOf('/healthz')) !== undefined, patiently);
    expect(await statusOf('/healthz')).toBe(200);
    expect(await statusOf('/readyz')).toBe(503);
    child.kill('SIGTERM');
    expect(await exited).toBe(0);
  });

  it.each(['reader', 'writer'])('logs for people with %s --pretty', async (app) => {
    const { child, lines, exited } = start([app, '--pretty', '--config', config]);
    await vi.waitUntil(
      () => lines.some((line) => /^\d\d:\d\d:\d\d\.\d{3}  info   (?:reader|writer)  /.test(line)),
      patiently,
    );
    child.kill('SIGTERM');
    expect(await exited).toBe(0);
  });

  it('can be a reader, which Ctrl-C stops in order', async () => {
    const { child, lines, exited } = start(['reader', '--config', config]);
    await vi.waitUntil(() => countOf(lines, 'this is the active reader') === 1, patiently);
    child.kill('SIGINT');
    expect(await exited).toBe(0);
    expect(countOf(lines, 'reader has stopped')).toBe(1);
  });

  it('ends with the npm that started it, which passes no signal on', async () => {
    const { child, lines, exited } = startProgram(
      'sh',
      ['-c', `"${process.execPath}" "${cliEntry}" "$@"; true`, 'sh', 'writer', '--config', config],
      {
        npm_command: 'exec',
      },
    );
    await vi.waitUntil(() => countOf(lines, 'writer is ready') === 1, patiently);
    child.kill('SIGTERM');
    await exited;
    expect(countOf(lines, 'writer has stopped')).toBe(1);
  });

  it('ends with the command that started it, even when that is killed', async () => {
    const { child, lines } = start(['writer', '--config', config]);
    await vi.waitUntil(() => countOf(lines, 'writer is ready') === 1, patiently);
    const countConnections = async () => {
      const { rows } = await database.pool.query<{ count: string }>(
        `SELECT count(*) FROM pg_stat_activity WHERE application_name = 'afterimage-writer' AND datname = current_database()`,
      );
      return Number(rows[0]?.count);
    };
    // It connects for its first look at the streams, just after it has told that it is ready.
    await vi.waitUntil(async () => (await countConnections()) > 0, patiently);
    child.kill('SIGKILL');
    await vi.waitUntil(() => countOf(lines, 'writer has stopped') === 1, patiently);
    await expect.poll(countConnections, patiently).toBe(0);
  });
});

describe('the demo', () => {
  const folders = () => readdirSync(tmpdir()).filter((name) => name.startsWith('afterimage-demo-'));

  it('leaves nothing behind when it is interrupted', async () => {
    const before = new Set(folders());
    const { child, lines, exited } = start(['demo', '--seconds', '60']);
    await vi.waitUntil(() => lines.some((line) => line.includes('each a process')), patiently);
    const mine = folders().filter((name) => !before.has(name));
    expect(mine.length).toBeGreaterThan(0);
    child.kill('SIGINT');
    expect(await exited).toBe(130);
    expect(lines).toContain(' stopping …');
    expect(folders().filter((name) => mine.includes(name))).toEqual([]);
    const running = execFileSync('ps', ['-eo', 'args'], { encoding: 'utf8' });
    for (const name of mine) expect(running).not.toContain(name);
  });
});
