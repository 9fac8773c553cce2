import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { startBinlogFeed } from '@afterimage/binlog-feed';
import { type FakeMaxScale, startFakeMaxScale } from '@afterimage/cdc-protocol/testing';
import { hasMariadb, startMariadb, startPostgres } from '@afterimage/local-servers';
import { parseMariadbUrl } from '@afterimage/mariadb';
import { migrate } from '@afterimage/replica';
import { type Connection, createConnection } from 'mariadb';
import type pg from 'pg';
import { stringify } from 'yaml';
import { CommandError } from '../failures.js';
import { formatCount } from '../output.js';
import { Crew } from './processes.js';
import { sourcePassword, sourceUser } from './source-messages.js';
import { createSqlShop, sqlDatabase, sqlTables } from './sql-shop.js';
import { type Closers, createFolder, createPool, startCrew, step } from './stage.js';

export interface MariadbStage {
  readonly folder: string;
  readonly configPath: string;
  readonly mariadbUrl: string;
  readonly postgresUrl: string;
  readonly pool: pg.Pool;
  /** In the shop's database; it counts rows that a statement changes, not those it finds. */
  readonly connection: Connection;
  readonly crew: Crew;
}

/** Starts everything; the shop is full before anything listens to its binlog. */
export async function setMariadbStage(writers: number, closers: Closers): Promise<MariadbStage> {
  await requireMariadb();
  const { folder, logFolder } = await createFolder(closers);
  const { mariadbUrl, connection } = await startShop(closers);
  const postgres = await step(
    'PostgreSQL 17 from npm, with the control tables',
    closers.take(startMigratedPostgres(), (each) => each.stop()),
  );
  const pool = await closers.take(Promise.resolve(createPool(postgres.url)), (each) => each.end());
  const maxscale = await step(
    'MaxScale stand-in, which streams MariaDB’s binlog from now on',
    startStream(mariadbUrl, closers),
  );
  const configPath = join(folder, 'afterimage.yaml');
  await writeConfig(configPath, { postgresUrl: postgres.url, mariadbUrl, port: maxscale.port });
  const crew = new Crew({ configPath, logFolder, temporaryDirectory: folder });
  closers.add(() => crew.stop());
  await startCrew(crew, writers, ['watcher']);
  return { folder, configPath, mariadbUrl, postgresUrl: postgres.url, pool, connection, crew };
}

async function requireMariadb(): Promise<void> {
  if (await hasMariadb()) return;
  throw new CommandError(
    [
      'there is no MariaDB on this machine. Install its server (it need not run, the demo starts one of its own):',
      '  Debian, Ubuntu   apt-get install mariadb-server',
      '  Fedora, RHEL     dnf install mariadb-server',
      '  macOS            brew install mariadb',
      'or name one to work with: MARIADB_URL=mariadb://user:password@host:3306 npm run demo -- --mariadb',
    ].join('\n'),
  );
}

async function startShop(closers: Closers): Promise<{ mariadbUrl: string; connection: Connection }> {
  const mariadb = await step(
    process.env['MARIADB_URL'] ? 'MariaDB that MARIADB_URL names' : 'MariaDB of this machine, on a port of its own',
    closers.take(startMariadb(), (each) => each.stop()),
  );
  const connection = await closers.take(
    createConnection({ ...parseMariadbUrl(mariadb.url), foundRows: false }),
    (each) => each.end(),
  );
  connection.on('error', () => undefined);
  await requireBinlog(connection);
  if (!mariadb.isPrivate) closers.add(() => connection.query(`DROP DATABASE IF EXISTS ${sqlDatabase}`));
  const tables = Object.keys(sqlTables).length;
  await step(
    (rows) => `a shop in it: ${tables} tables, ${formatCount(rows)} rows, of which no stream tells`,
    createSqlShop(connection),
  );
  return { mariadbUrl: mariadb.url, connection };
}

/** What a server that is not the demo's own must have. */
async function requireBinlog(connection: Connection): Promise<void> {
  const [found] = await connection.query<
    { log: bigint | number; format: string; image: string; taken: string | null }[]
  >(
    `SELECT @@log_bin AS log, @@binlog_format AS format, @@binlog_row_image AS image,
            (SELECT schema_name FROM information_schema.schemata WHERE schema_name = '${sqlDatabase}') AS taken`,
  );
  if (found === undefined || Number(found.log) !== 1 || found.format !== 'ROW' || found.image !== 'FULL')
    throw new CommandError('the MariaDB of MARIADB_URL needs log_bin, binlog_format=ROW and binlog_row_image=FULL');
  if (found.taken !== null)
    throw new CommandError(
      `the MariaDB of MARIADB_URL has a database ${sqlDatabase} already, which the demo leaves alone: name another server`,
    );
}

async function startMigratedPostgres(): ReturnType<typeof startPostgres> {
  const postgres = await startPostgres({ database: 'afterimage' });
  await migrate(postgres.url);
  return postgres;
}

async function startStream(mariadbUrl: string, closers: Closers): Promise<FakeMaxScale> {
  const maxscale = await closers.take(startFakeMaxScale({ users: { [sourceUser]: sourcePassword } }), (each) =>
    each.close(),
  );
  const feed = startBinlogFeed({ maxscale, mariadbUrl, from: 'now', blockBytes: 2 ** 20 });
  await closers.take(feed, (each) => each.stop());
  return maxscale;
}

async function writeConfig(
  path: string,
  { postgresUrl, mariadbUrl, port }: { postgresUrl: string; mariadbUrl: string; port: number },
): Promise<void> {
  const tables = Object.keys(sqlTables).map((table) => [
    `${sqlDatabase}.${table}`,
    table === 'orders' ? { partitions: 2 } : null,
  ]);
  const config = {
    postgres: { url: postgresUrl },
    queue: { backend: 'postgres' },
    // What is typed should be seen while one looks.
    watcher: { intervalMs: 1000, quietMs: 1000 },
    sources: {
      demo: {
        host: '127.0.0.1',
        port,
        user: sourceUser,
        password: sourcePassword,
        mariadb: { url: mariadbUrl },
        tables: Object.fromEntries(tables) as object,
      },
    },
  };
  await writeFile(path, stringify(config), { mode: 0o600 });
}
