import { execFile } from 'node:child_process';
import { appendFile, chown, mkdir, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { Client } from 'pg';
import { runAdmin } from './databases.js';
import type { SmallDisk } from './small-disk.js';

const run = promisify(execFile);
const deadlineMs = 20_000;
const lookMs = 50;

interface Files {
  readonly data: string;
  readonly disk: SmallDisk | null;
}

/**
 * Copies a running cluster into one that will follow it as its standby. The npm package brings no pg_basebackup, so this
 * does what that does (PostgreSQL manual, "Making a Base Backup Using the Low Level API").
 */
export async function copyCluster({ url, from, to }: { url: string; from: Files; to: Files }): Promise<void> {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: 10_000 });
  client.on('error', () => undefined);
  await client.connect();
  try {
    await client.query(`SELECT pg_backup_start('standby', true)`);
    await copyFolder(from.data, to.data);
    if (from.disk !== null && to.disk !== null) await copyFolder(from.disk.path, to.disk.path);
    const { rows } = await client.query<{ labelfile: string; spcmapfile: string }>(
      'SELECT labelfile, spcmapfile FROM pg_backup_stop(false)',
    );
    const [{ labelfile, spcmapfile } = { labelfile: '', spcmapfile: '' }] = rows;
    const map = spcmapfile.replaceAll(from.disk?.path ?? '', to.disk?.path ?? '');
    await prepareStandby(to.data, { primary: new URL(url), files: { backup_label: labelfile, tablespace_map: map } });
    await to.disk?.give(from.data);
  } finally {
    await client.end().catch(() => undefined);
  }
}

/** Files that go while they are copied belong to what the log has. */
async function copyFolder(from: string, to: string): Promise<void> {
  await mkdir(to, { recursive: true, mode: 0o700 });
  await run('cp', ['-a', `${from}/.`, to]).catch(() => undefined);
}

interface StandbyOptions {
  readonly primary: URL;
  readonly files: Readonly<Record<string, string>>;
}

async function prepareStandby(data: string, { primary, files }: StandbyOptions): Promise<void> {
  await rm(join(data, 'postmaster.pid'), { force: true });
  // What it needs of the log it takes from the primary; segments may have been copied half written.
  const log = join(data, 'pg_wal');
  for (const name of await readdir(log)) {
    if (/^[0-9A-F]{24}$/.test(name)) await rm(join(log, name));
  }
  const { uid, gid } = await stat(join(data, 'PG_VERSION'));
  for (const [name, content] of Object.entries({ ...files, 'standby.signal': '' })) {
    if (content === '' && name === 'tablespace_map') continue;
    await writeFile(join(data, name), content);
    await chown(join(data, name), uid, gid);
  }
  const password = decodeURIComponent(primary.password);
  const where = `host=127.0.0.1 port=${primary.port} user=${primary.username} password=${password}`;
  await appendFile(join(data, 'postgresql.auto.conf'), `primary_conninfo = '${where}'\n`);
}

/** From then on a commit is answered only when the standby has it. */
export async function waitUntilSynchronous(url: string): Promise<void> {
  await runAdmin(url, `ALTER SYSTEM SET synchronous_standby_names = '*'`);
  await runAdmin(url, 'SELECT pg_reload_conf()');
  const client = new Client({ connectionString: url, connectionTimeoutMillis: 10_000 });
  client.on('error', () => undefined);
  await client.connect();
  try {
    for (const until = Date.now() + deadlineMs; ; await sleep(lookMs)) {
      const { rowCount } = await client.query(`SELECT FROM pg_stat_replication WHERE sync_state = 'sync'`);
      if (rowCount === 1) return;
      if (Date.now() > until) throw new Error('the standby does not follow');
    }
  } finally {
    await client.end().catch(() => undefined);
  }
}
