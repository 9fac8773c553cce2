import { readTableStorage } from '@afterimage/mariadb';
import {
  askSource,
  configuredSettings,
  describeError,
  type DetectedChange,
  endSourceWait,
  listDetectedChanges,
  listStreamRecords,
  noteSourceWait,
  openSourceDatabases,
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
  type ServiceScope,
  sleep,
  startHttp,
} from '@afterimage/service';
import type { Pool as SourcePool } from 'mariadb';
import { Pool } from 'pg';
import { actOnChanges, haltOnChanges } from './act.js';
import { lookAtTable } from './look.js';

/** A copy, of one table at a time, takes seven at most; the looks go on meanwhile. */
const connections = 9;

/**
 * Watches the tables in MariaDB for what their streams do not tell of, until the signal aborts. All are looked at, one after the
 * other, again and again; what was found is dealt with beside that, one table after the other. Several watchers may run at
 * once, of which each does the same. A server that is away is tried again.
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
  const sources = openSourceDatabases(config, scope, { connections: connections - 1 });
  if (sources.size === 0) logger.warn('no source has a MariaDB server to watch: set sources.<name>.mariadb');
  const gauges = await serveMetrics(config, { logger, scope, pool, signal });
  const watches = [...sources].map(([name, source]): Watch => ({
    name,
    config,
    pool,
    source,
    logger,
    signal,
    ...gauges,
  }));
  let acting: Promise<void> | undefined;
  while (!signal.aborted) {
    for (const watch of watches) await lookAtSource(watch).catch((error: unknown) => noteTrouble(watch, error));
    acting ??= actOnSources(watches).finally(() => {
      acting = undefined;
    });
    await sleep(config.watcher.intervalMs, signal);
  }
  await acting;
}

interface Watch {
  /** Of the source. */
  readonly name: string;
  readonly config: Config;
  readonly pool: Pool;
  readonly source: SourcePool;
  readonly logger: Logger;
  readonly signal: AbortSignal;
  readonly open: Gauge;
  readonly unreachable: Gauge;
}

/** What cannot be recorded is said in the log. */
async function noteTrouble({ name, config, pool, unreachable, logger, signal }: Watch, error: unknown): Promise<void> {
  if (signal.aborted) return;
  logger.warn({ source: name, error: describeError(error) }, 'cannot look at the source: trying again');
  if (!(error instanceof SourceUnavailable)) return;
  unreachable.set({ source: name }, 1);
  const pauseMs = config.watcher.intervalMs;
  await noteSourceWait(pool, { source: name, waiter: 'watcher' }, { error, pauseMs }).catch(() => undefined);
}

async function listStreams({ config, pool, name }: Watch): Promise<StreamRecord[]> {
  const settingsOf = configuredSettings(config);
  return (await listStreamRecords(pool, name)).filter((stream) => settingsOf(stream) !== undefined);
}

/** Records what changed in every table, and stops the streams whose policy that is. */
async function lookAtSource(watch: Watch): Promise<void> {
  const { name, config, pool, source, logger, signal, unreachable } = watch;
  const streams = await listStreams(watch);
  for (const database of new Set(streams.map((stream) => stream.database))) {
    const tables = await askSource(() => readTableStorage(source, database));
    if (tables === null) continue;
    unreachable.set({ source: name }, 0);
    await endSourceWait(pool, { source: name, waiter: 'watcher' });
    for (const stream of streams.filter((one) => one.database === database)) {
      signal.throwIfAborted();
      const found = await lookAtTable({ pool, source, policies: config.watcher }, stream, tables);
      for (const { kind, detail, policy } of found)
        logger.info({ ...aboutStream(stream), kind, detail, policy }, 'the table changed at the source');
      await haltOnChanges(watch, stream, await listOpen(watch, stream));
    }
  }
}

/** Deals with what is open, the tables of all sources one after the other: a copy may take long. */
async function actOnSources(watches: readonly Watch[]): Promise<void> {
  for (const watch of watches) {
    const { name, config, pool, source, logger, signal } = watch;
    const options = {
      pool,
      source,
      settingsOf: configuredSettings(config),
      logger,
      signal,
      quietMs: config.watcher.quietMs,
    };
    try {
      for (const stream of await listStreams(watch)) {
        signal.throwIfAborted();
        const changes = await listOpen(watch, stream);
        await actOnChanges(options, stream, changes);
        if (changes.length > 0) await listOpen(watch, stream);
      }
    } catch (error) {
      if (signal.aborted) return;
      logger.warn(
        { source: name, error: describeError(error) },
        'cannot deal with changes at the source: trying again',
      );
    }
  }
}

/** Shown in the metrics, too. */
async function listOpen({ pool, open }: Watch, stream: StreamRecord): Promise<DetectedChange[]> {
  const changes = await listDetectedChanges(pool, stream.id, { all: false });
  open.set(aboutStream(stream), changes.length);
  return changes;
}

function aboutStream({ source, database, table }: StreamRecord): { source: string; database: string; table: string } {
  return { source, database, table };
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
