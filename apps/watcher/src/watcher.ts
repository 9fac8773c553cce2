import { openSourceDatabase } from '@afterimage/mariadb';
import {
  askSource,
  configuredSettings,
  describeError,
  endSourceWait,
  listDetectedChanges,
  listStreamRecords,
  noteSourceWait,
  serverKeepalive,
  SourceUnavailable,
  type StreamRecord,
  withServerOptions,
} from '@afterimage/replica';
import {
  type Config,
  createRegistry,
  Gauge,
  type Logger,
  resolveMariadb,
  type ServiceScope,
  sleep,
  startHttp,
} from '@afterimage/service';
import type { Pool as SourcePool } from 'mariadb';
import { Pool } from 'pg';
import { actOnChanges } from './act.js';
import { lookAtDatabase, lookAtTable } from './look.js';

/** Of one table at a time: a copy takes seven at most. */
const connections = 8;

/**
 * Watches the tables in MariaDB for what their streams do not tell of, until the signal aborts. One table after the other;
 * several watchers may run at once, of which each does the same. A server that is away is tried again.
 */
export async function runWatcher(
  config: Config,
  logger: Logger,
  { signal, scope }: { readonly signal: AbortSignal; readonly scope: ServiceScope },
): Promise<void> {
  const pool = new Pool({
    connectionString: withServerOptions(config.postgres.url, { first: serverKeepalive, last: '-c timezone=UTC' }),
    max: connections,
    application_name: 'afterimage-watcher',
    keepAlive: true,
    connectionTimeoutMillis: 10_000,
  });
  pool.on('error', (error) => logger.warn({ error: describeError(error) }, 'idle PostgreSQL connection lost'));
  scope.onClose('PostgreSQL', () => pool.end());
  const sources = openSources(config, scope);
  if (sources.size === 0) logger.warn('no source has a MariaDB server to watch: set sources.<name>.mariadb');
  const gauges = await serveMetrics(config, { logger, scope, pool, signal });
  while (!signal.aborted) {
    for (const [name, source] of sources) {
      const watch = { config, pool, source, logger, signal, ...gauges };
      await watchSource(watch, name).catch(async (error: unknown) => {
        if (signal.aborted) return;
        logger.warn({ source: name, error: describeError(error) }, 'cannot look at the source: trying again');
        await noteTrouble(watch, name, error);
      });
    }
    await sleep(config.watcher.intervalMs, signal);
  }
}

interface Watch {
  readonly config: Config;
  readonly pool: Pool;
  readonly source: SourcePool;
  readonly logger: Logger;
  readonly signal: AbortSignal;
  readonly open: Gauge;
  readonly unreachable: Gauge;
}

/** What cannot be recorded is said in the log. */
async function noteTrouble({ config, pool, unreachable }: Watch, source: string, error: unknown): Promise<void> {
  if (!(error instanceof SourceUnavailable)) return;
  unreachable.set({ source }, 1);
  const pauseMs = config.watcher.intervalMs;
  await noteSourceWait(pool, { source, waiter: 'watcher' }, { error, pauseMs }).catch(() => undefined);
}

async function watchSource(watch: Watch, name: string): Promise<void> {
  const { config, pool, source, logger, signal, open, unreachable } = watch;
  const settingsOf = configuredSettings(config);
  const streams = (await listStreamRecords(pool, name)).filter((stream) => settingsOf(stream) !== undefined);
  for (const database of new Set(streams.map((stream) => stream.database))) {
    const look = await askSource(() => lookAtDatabase(source, database));
    if (look === null) continue;
    unreachable.set({ source: name }, 0);
    await endSourceWait(pool, { source: name, waiter: 'watcher' });
    for (const stream of streams.filter((one) => one.database === database)) {
      signal.throwIfAborted();
      const found = await lookAtTable({ pool, source, policies: config.watcher }, stream, look);
      const about = aboutStream(stream);
      for (const { kind, detail, policy } of found)
        logger.info({ ...about, kind, detail, policy }, 'the table changed at the source');
      const changes = await listDetectedChanges(pool, stream.id, { all: false });
      const { quietMs } = config.watcher;
      await actOnChanges({ pool, source, settingsOf, quietMs, logger, signal }, stream, changes);
      open.set(about, (await listDetectedChanges(pool, stream.id, { all: false })).length);
    }
  }
}

function aboutStream({ source, database, table }: StreamRecord): { source: string; database: string; table: string } {
  return { source, database, table };
}

function openSources(config: Config, scope: ServiceScope): Map<string, SourcePool> {
  return new Map(
    Object.entries(config.sources).flatMap(([name, { mariadb }]) => {
      if (mariadb === undefined) return [];
      const pool = openSourceDatabase({ ...resolveMariadb(mariadb), connections: connections - 1 });
      scope.onClose(`MariaDB of ${name}`, () => pool.end());
      return [[name, pool] as const];
    }),
  );
}

async function serveMetrics(
  config: Config,
  { logger, scope, pool, signal }: { logger: Logger; scope: ServiceScope; pool: Pool; signal: AbortSignal },
): Promise<Pick<Watch, 'open' | 'unreachable'>> {
  const registry = createRegistry('watcher');
  const open = new Gauge({
    name: 'afterimage_source_changes_open',
    help: 'Changes at the source without an event that are not dealt with yet',
    labelNames: ['source', 'database', 'table'],
    registers: [registry],
  });
  const unreachable = new Gauge({
    name: 'afterimage_source_unreachable',
    help: '1 while the MariaDB of the source does not answer the watcher, or refuses',
    labelNames: ['source'],
    registers: [registry],
  });
  const { httpHost: host, watcherPort: port } = config.service;
  if (port === undefined) return { open, unreachable };
  const ready = async (): Promise<boolean> => (await pool.query('SELECT 1')).rowCount === 1;
  const http = await startHttp({ host, port, healthy: () => !signal.aborted, ready, registry });
  scope.onClose('http', () => http.close());
  logger.info({ url: http.url }, 'health and metrics');
  return { open, unreachable };
}
