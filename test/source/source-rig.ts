import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type BinlogFeed, startBinlogFeed } from '@afterimage/binlog-feed';
import { type FakeMaxScale, startFakeMaxScale } from '@afterimage/cdc-protocol/testing';
import { type LocalMariadb, startMariadb } from '@afterimage/local-servers';
import { parseMariadbUrl } from '@afterimage/mariadb';
import { type Connection, createConnection } from 'mariadb';
import { createDatabase, type TestDatabase, uniqueName } from '../harness/databases.js';
import { ServiceProcess } from '../replay/service-process.js';

export interface SourceRigOptions {
  /** The entries of `tables`, by table name in database shop. */
  readonly tables: Readonly<Record<string, object | null>>;
  /** What else is in the configuration, on its top level, or instead. */
  readonly config?: object;
}

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
  stop(): Promise<void>;
}

export async function startSourceRig({ tables, config = {} }: SourceRigOptions): Promise<SourceRig> {
  const mariadb = await startMariadb({ env: { PATH: process.env['PATH'] } });
  const maxscale = await startFakeMaxScale();
  const feed = await startBinlogFeed({ maxscale, mariadbUrl: mariadb.url, blockBytes: 2 ** 20 });
  const source = await createConnection(parseMariadbUrl(mariadb.url));
  await source.query('CREATE DATABASE IF NOT EXISTS shop');
  await source.query('USE shop');
  const database = await createDatabase();
  const folder = await mkdtemp(join(tmpdir(), 'afterimage-source-'));
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
  let processes: ServiceProcess[] = [];
  return {
    mariadb,
    maxscale,
    feed,
    database,
    source,
    configPath,
    output: () => processes.map((process) => process.output).join('\n'),
    startProcesses(...more) {
      processes = (['reader', 'writer', 'writer', ...more] as const).map((app) => new ServiceProcess(app, configPath));
    },
    async stop() {
      await Promise.all(processes.map((process) => process.stop()));
      await feed.stop();
      await source.end();
      await Promise.all([maxscale.close(), mariadb.stop(), database.drop()]);
      await rm(folder, { recursive: true });
    },
  };
}
