import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type BinlogFeed, startBinlogFeed } from '@afterimage/binlog-feed';
import { type FakeMaxScale, startFakeMaxScale } from '@afterimage/cdc-protocol/testing';
import { findFreePort, type LocalMariadb, startMariadb } from '@afterimage/local-servers';
import { parseMariadbUrl } from '@afterimage/mariadb';
import { type Connection, createConnection } from 'mariadb';
import { createDatabase, type TestDatabase, uniqueName } from '../harness/databases.js';
import { ServiceProcess } from '../replay/service-process.js';

export interface SourceRigOptions {
  /** The entries of `tables`, by table name in database shop. */
  readonly tables: Readonly<Record<string, object | null>>;
  /** What else is in the configuration, on its top level, or instead. */
  readonly config?: object;
  /** Where the mirrors are. Default: a database on the server of all tests. */
  readonly database?: TestDatabase;
  /** What is run in MariaDB before MaxScale begins to convert. Default: it converts from the beginning. */
  readonly before?: (source: Connection) => Promise<void>;
}

type App = 'reader' | 'writer' | 'watcher';

/** A MariaDB whose changes come as MaxScale's stream, and a reader and two writers as processes that put them into PostgreSQL. */
export interface SourceRig {
  readonly mariadb: LocalMariadb;
  readonly maxscale: FakeMaxScale;
  readonly feed: BinlogFeed;
  readonly database: TestDatabase;
  /** A connection in database shop. */
  readonly source: Connection;
  readonly configPath: string;
  /** What the processes wrote last. */
  output(): string;
  startProcesses(...more: readonly 'watcher'[]): void;
  /** SIGKILL of one of them, by its place: reader, writer, writer, and what else was started. Another takes its place. */
  replaceProcess(place: number): Promise<void>;
  /** SIGKILL of MariaDB; it comes back on the same files, at the same address. `source` is lost. */
  crashMariadb(): Promise<void>;
  stop(): Promise<void>;
}

export async function startSourceRig({ tables, config = {}, ...options }: SourceRigOptions): Promise<SourceRig> {
  const folder = await mkdtemp(join(tmpdir(), 'afterimage-source-'));
  // Started by root, MariaDB runs as another user, which must be able to enter.
  await chmod(folder, 0o711);
  const place = { dataDir: join(folder, 'mariadb'), port: await findFreePort(), env: { PATH: process.env['PATH'] } };
  let mariadb = await startMariadb(place);
  const maxscale = await startFakeMaxScale();
  const source = await createConnection(parseMariadbUrl(mariadb.url));
  source.on('error', () => undefined);
  await source.query('CREATE DATABASE IF NOT EXISTS shop');
  await source.query('USE shop');
  await options.before?.(source);
  const from = options.before === undefined ? 'beginning' : 'now';
  const feed = await startBinlogFeed({ maxscale, mariadbUrl: mariadb.url, blockBytes: 2 ** 20, from });
  const database = options.database ?? (await createDatabase());
  const configPath = join(folder, 'afterimage.yaml');
  const named = Object.fromEntries(Object.entries(tables).map(([name, settings]) => [`shop.${name}`, settings]));
  await writeFile(
    configPath,
    JSON.stringify({
      postgres: { url: database.url },
      queue: { backend: 'postgres', prefix: uniqueName('source') },
      sources: { shop: { ...maxscale.address, mariadb: { url: mariadb.url }, tables: named } },
      service: { logLevel: 'warn' },
      ...config,
    }),
  );
  const apps: App[] = [];
  const processes: ServiceProcess[] = [];
  return {
    mariadb,
    maxscale,
    feed,
    database,
    source,
    configPath,
    output: () => processes.map((process) => process.output).join('\n'),
    startProcesses(...more) {
      apps.push('reader', 'writer', 'writer', ...more);
      processes.push(...apps.map((app) => new ServiceProcess(app, configPath)));
    },
    async replaceProcess(index) {
      await processes[index]?.kill();
      const app = apps[index];
      if (app !== undefined) processes[index] = new ServiceProcess(app, configPath);
    },
    async crashMariadb() {
      await mariadb.crash();
      mariadb = await startMariadb(place);
    },
    async stop() {
      await Promise.all(processes.map((process) => process.stop()));
      await feed.stop();
      await source.end().catch(() => undefined);
      await Promise.all([maxscale.close(), mariadb.stop(), database.drop()]);
      await rm(folder, { recursive: true });
    },
  };
}
