import { type QueueFacts, readQueueFacts } from '@afterimage/queue';
import { type Config, type ConfiguredTable, readTlsFiles, resolveQueueStore, resolveTables } from '@afterimage/service';
import pg from 'pg';
import { type CdcFacts, readCdcFacts } from './facts/cdc.js';
import { type MariadbFacts, readMariadbFacts } from './facts/mariadb.js';
import { type PostgresFacts, readPostgresFacts } from './facts/postgres.js';
import { type ProgressFacts, readProgressFacts } from './facts/progress.js';
import { readRestFacts, type RestFacts } from './facts/rest.js';
import { type Known, readWithin } from './known.js';

export interface Scope {
  /** Only this source. */
  readonly source?: string | undefined;
  /** Only this table, `database.table`. */
  readonly table?: string | undefined;
}

/** What was read of one source; null: the configuration does not say where to ask. */
export interface SourceFacts {
  readonly name: string;
  readonly config: Config['sources'][string];
  readonly tables: readonly ConfiguredTable[];
  readonly mariadb: Known<MariadbFacts> | null;
  readonly cdc: Known<CdcFacts>;
  readonly rest: Known<RestFacts> | null;
}

/** All that was read, before anything is judged. */
export interface Facts {
  readonly config: Config;
  readonly scope: Scope;
  readonly takenAt: number;
  readonly sources: readonly SourceFacts[];
  readonly queue: Known<QueueFacts>;
  readonly postgres: Known<PostgresFacts>;
  readonly progress: Known<ProgressFacts>;
}

/** Asks all servers at once, each for at most `timeoutMs`. Never rejects: what cannot be read is unknown, with its cause. */
export async function readFacts(config: Config, scope: Scope, timeoutMs: number): Promise<Facts> {
  const names = Object.keys(config.sources).filter((name) => scope.source === undefined || name === scope.source);
  const tablesOf = new Map(names.map((name) => [name, listTables(config, name, scope)]));
  const [sources, queue, database] = await Promise.all([
    Promise.all(names.map((name) => readSource(config, name, { tables: tablesOf.get(name) ?? [], timeoutMs }))),
    readWithin(timeoutMs, () => readQueueFacts({ ...resolveQueueStore(config), onError: () => undefined })),
    readDatabase(config, [...tablesOf.values()].flat(), timeoutMs),
  ]);
  return { config, scope, takenAt: Date.now(), sources, queue, ...database };
}

function listTables(config: Config, name: string, { table: only }: Scope): ConfiguredTable[] {
  const source = config.sources[name];
  const tables = source === undefined ? [] : resolveTables(name, source);
  return tables.filter(({ database, table }) => only === undefined || `${database}.${table}` === only);
}

interface SourceQuestion {
  readonly tables: readonly ConfiguredTable[];
  readonly timeoutMs: number;
}

async function readSource(config: Config, name: string, { tables, timeoutMs }: SourceQuestion): Promise<SourceFacts> {
  const source = config.sources[name];
  if (source === undefined) throw new TypeError(`no source ${name}`);
  const { mariadb, rest, host, port, user, password, tls, maxLineBytes } = source;
  const endsAt = Date.now() + timeoutMs;
  const half = Math.max(500, Math.floor(timeoutMs / 2));
  const [server, cdc, api] = await Promise.all([
    mariadb === undefined
      ? null
      : readWithin(timeoutMs, (signal) => readMariadbFacts(mariadb, tables, { signal, timeoutMs })),
    readWithin(timeoutMs, (signal) =>
      readCdcFacts(
        {
          host,
          port,
          user,
          password,
          maxLineBytes,
          timeouts: { dialMs: half, handshakeMs: half },
          ...(tls === undefined ? {} : { tls: readTlsFiles(tls) }),
        },
        tables,
        { signal, endsAt },
      ),
    ),
    rest === undefined ? null : readWithin(timeoutMs, (signal) => readRestFacts(rest, signal)),
  ]);
  return { name, config: source, tables, mariadb: server, cdc, rest: api };
}

async function readDatabase(
  config: Config,
  tables: readonly ConfiguredTable[],
  timeoutMs: number,
): Promise<Pick<Facts, 'postgres' | 'progress'>> {
  const pool = new pg.Pool({
    connectionString: config.postgres.url,
    max: 2,
    connectionTimeoutMillis: timeoutMs,
    query_timeout: timeoutMs,
    application_name: 'afterimage doctor',
  });
  pool.on('error', () => undefined);
  const mirrors = tables.map(({ mirror }) => mirror);
  const schemas = [...new Set(mirrors.flatMap(({ schema }) => [schema, schema + config.writer.historySuffix]))];
  const types = tables.flatMap(({ settings }) =>
    Object.values(settings.columns ?? {}).flatMap(({ postgres }) => (postgres === undefined ? [] : [postgres])),
  );
  try {
    const [postgres, progress] = await Promise.all([
      readWithin(timeoutMs, () => readPostgresFacts(pool, { mirrors, schemas, types })),
      readWithin(timeoutMs, () => readProgressFacts(pool, Object.keys(config.sources))),
    ]);
    return { postgres, progress };
  } finally {
    await pool.end();
  }
}
