import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { access, chmod, chown, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { type ChildServer, startChildServer } from './child-server.js';
import { findFreePort } from './free-port.js';
import { findProgram } from './programs.js';
import { findUnprivilegedUser, type SystemUser } from './system-user.js';

const run = promisify(execFile);
const administrator = 'afterimage';
const initFile = 'afterimage.sql';
const passwordFile = 'afterimage.password';
const startAttempts = 5;

export interface MariadbOptions {
  /** Data folder; one that was made here before is started as it is. Default: a temporary one. */
  readonly dataDir?: string;
  /** Default: a free one. */
  readonly port?: number;
  /** Keep the files after `stop`. Default: true with `dataDir`, else false. */
  readonly persistent?: boolean;
  /** Server variables, e.g. `{ server_id: 2, gtid_domain_id: 7 }`. */
  readonly settings?: Readonly<Record<string, string | number>>;
  /** Where to look for `MARIADB_URL` and `PATH`. Default: this process's environment. */
  readonly env?: NodeJS.ProcessEnv;
}

export interface LocalMariadb {
  /** `mariadb://user:password@host:port/`, a user with all privileges. */
  readonly url: string;
  /** False when it is the server that MARIADB_URL names: its settings are its own, and `stop` and `crash` do nothing. */
  readonly isPrivate: boolean;
  /** Ends the server, and removes its files unless it is persistent. Safe to call twice. */
  stop(): Promise<void>;
  /** Ends the server with SIGKILL and keeps its files, as a power failure would. Start it again with the same `dataDir`. */
  crash(): Promise<void>;
}

interface Installation {
  readonly scratch: string;
  readonly dataDir: string;
  readonly server: string;
  readonly user: SystemUser | undefined;
  readonly password: string;
}

/**
 * A MariaDB to work with: the one that `MARIADB_URL` names, else a private `mariadbd` from the PATH on 127.0.0.1,
 * with row binlogs in full image and GTIDs, UTC, utf8mb4. A private one runs as an unprivileged user where this
 * process is root, and ends with this process, however that ends.
 *
 * Rejects with an Error when there is no MariaDB, or with the last output of one that does not start.
 */
export async function startMariadb(options: MariadbOptions = {}): Promise<LocalMariadb> {
  const env = options.env ?? process.env;
  const given = env['MARIADB_URL'];
  if (given !== undefined && given !== '') {
    return { url: given, isPrivate: false, stop: async () => undefined, crash: async () => undefined };
  }
  const programs = await findPrograms(env);
  const persistent = options.persistent ?? options.dataDir !== undefined;
  const scratch = await mkdtemp(join(tmpdir(), 'afterimage-mariadb-'));
  const removeFiles = async (): Promise<void> => {
    await rm(scratch, { recursive: true, force: true });
    if (!persistent && options.dataDir !== undefined) await rm(options.dataDir, { recursive: true, force: true });
  };
  try {
    const installation = await prepare(programs, scratch, options.dataDir);
    const { server, port } = await startServer(installation, options);
    return {
      url: `mariadb://${administrator}:${installation.password}@127.0.0.1:${port}/`,
      isPrivate: true,
      stop: async () => {
        // Nothing is written for files that are about to be removed.
        await server.stop(persistent ? 'SIGTERM' : 'SIGKILL');
        await removeFiles();
      },
      crash: () => server.stop('SIGKILL'),
    };
  } catch (error) {
    await removeFiles();
    throw error;
  }
}

/** Whether `startMariadb` has a server to work with in this environment. */
export async function hasMariadb(env: NodeJS.ProcessEnv = process.env): Promise<boolean> {
  const given = env['MARIADB_URL'] ?? '';
  return given !== '' || (await findProgram('mariadbd', env)) !== null;
}

interface Programs {
  readonly server: string;
  readonly install: string;
}

async function findPrograms(env: NodeJS.ProcessEnv): Promise<Programs> {
  const [server, install] = await Promise.all([findProgram('mariadbd', env), findProgram('mariadb-install-db', env)]);
  if (server === null || install === null) {
    const missing = server === null ? 'mariadbd' : 'mariadb-install-db';
    throw new Error(`there is no ${missing} on the PATH: install mariadb-server or set MARIADB_URL`);
  }
  return { server, install };
}

async function prepare(programs: Programs, scratch: string, dataDir: string | undefined): Promise<Installation> {
  const user = await findUnprivilegedUser('MariaDB', 'mysql');
  await chmod(scratch, 0o711);
  if (user !== undefined) await chown(scratch, user.uid, user.gid);
  const folder = dataDir === undefined ? join(scratch, 'data') : resolve(dataDir);
  if (await exists(join(folder, 'mysql'))) {
    const password = await readFile(join(folder, passwordFile), 'utf8').catch(() => {
      throw new Error(`${folder} holds a MariaDB that was not made here: choose another folder`);
    });
    return { scratch, dataDir: folder, server: programs.server, user, password };
  }
  const installation = {
    scratch,
    dataDir: folder,
    server: programs.server,
    user,
    password: randomBytes(12).toString('hex'),
  };
  await initialise(installation, programs.install);
  return installation;
}

async function initialise({ scratch, dataDir, user, password }: Installation, install: string): Promise<void> {
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  if (user !== undefined) await chown(dataDir, user.uid, user.gid);
  const args = [
    '--no-defaults',
    `--datadir=${dataDir}`,
    `--tmpdir=${scratch}`,
    '--auth-root-authentication-method=normal',
    '--skip-test-db',
    '--skip-name-resolve',
    '--innodb-log-file-size=16M',
  ];
  try {
    await run(install, args, { cwd: scratch, env: serverEnvironment(install), ...user });
  } catch (cause) {
    const { stdout = '', stderr = '' } = cause as { stdout?: string; stderr?: string };
    throw new Error(`mariadb-install-db could not fill ${dataDir}:\n${`${stdout}\n${stderr}`.trim()}`, { cause });
  }
  // Run at every start, before the first connection; root itself can only come in through the socket.
  const statements = [
    'SET sql_log_bin = 0;',
    `CREATE USER IF NOT EXISTS ${administrator}@'%' IDENTIFIED VIA mysql_native_password USING PASSWORD('${password}');`,
    `GRANT ALL PRIVILEGES ON *.* TO ${administrator}@'%' WITH GRANT OPTION;`,
  ];
  await writeOwned(join(dataDir, initFile), `${statements.join('\n')}\n`, user);
  await writeOwned(join(dataDir, passwordFile), password, user);
}

async function writeOwned(file: string, content: string, user: SystemUser | undefined): Promise<void> {
  await writeFile(file, content, { mode: 0o600 });
  if (user !== undefined) await chown(file, user.uid, user.gid);
}

/** English messages and UTC, whatever the caller's environment: the ready line is recognised by its text. */
function serverEnvironment(program: string): NodeJS.ProcessEnv {
  return { PATH: `${process.env['PATH'] ?? ''}:${dirname(program)}:/usr/bin:/bin`, LC_ALL: 'C', TZ: 'UTC' };
}

async function startServer(
  installation: Installation,
  options: MariadbOptions,
): Promise<{ server: ChildServer; port: number }> {
  for (let attempt = 1; ; attempt += 1) {
    const port = options.port ?? (await findFreePort());
    try {
      const server = await startChildServer({
        name: 'MariaDB',
        file: installation.server,
        args: serverArguments(installation, port, options.settings ?? {}),
        cwd: installation.scratch,
        env: serverEnvironment(installation.server),
        user: installation.user,
        readyText: 'ready for connections',
        readyTimeoutMs: 60_000,
        temporaryDirectory: installation.scratch,
        // It does not listen to SIGINT.
        endSignal: options.dataDir === undefined ? 'SIGKILL' : 'SIGTERM',
      });
      return { server, port };
    } catch (error) {
      // Somebody else took the port in between; with a port that was asked for there is nothing else to try.
      const portTaken = error instanceof Error && error.message.includes('Address already in use');
      if (!portTaken || options.port !== undefined || attempt === startAttempts) throw error;
    }
  }
}

function serverArguments(
  { scratch, dataDir }: Installation,
  port: number,
  settings: Readonly<Record<string, string | number>>,
): string[] {
  const variables = {
    server_id: 1,
    gtid_domain_id: 0,
    log_bin: join(dataDir, 'binlog'),
    binlog_format: 'ROW',
    binlog_row_image: 'FULL',
    character_set_server: 'utf8mb4',
    collation_server: 'utf8mb4_general_ci',
    default_time_zone: '+00:00',
    innodb_buffer_pool_size: '64M',
    // What a crash of the machine would cost is of no interest here; a crash of the process costs nothing.
    innodb_flush_log_at_trx_commit: 2,
    sync_binlog: 0,
    ...settings,
  };
  return [
    '--no-defaults',
    `--datadir=${dataDir}`,
    `--tmpdir=${scratch}`,
    `--init-file=${join(dataDir, initFile)}`,
    `--socket=${join(scratch, 'mariadb.sock')}`,
    `--pid-file=${join(scratch, 'mariadb.pid')}`,
    `--port=${port}`,
    '--bind-address=127.0.0.1',
    '--skip-name-resolve',
    ...Object.entries(variables).map(([name, value]) => `--${name.replaceAll('_', '-')}=${value}`),
  ];
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
