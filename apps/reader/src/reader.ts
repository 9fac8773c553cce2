import { hostname } from 'node:os';
import type { ConnectOptions } from '@afterimage/cdc-protocol';
import { createQueueConnection, prepareQueue, type QueueConnection } from '@afterimage/queue';
import { endSilentConnections } from '@afterimage/replica';
import {
  type Config,
  createBackoff,
  type Logger,
  readTlsFiles,
  type Registry,
  resolveQueueStore,
  sleep,
  type SourceConfig,
} from '@afterimage/service';
import pg from 'pg';
import { createMaxScaleSource } from './maxscale-source.js';
import { createReaderMetrics } from './metrics.js';
import { followProgress } from './progress.js';
import { resolveRegistrations } from './registrations.js';
import { type ReaderRole, readSource } from './source-reader.js';
import { createErrorLog, logTrouble } from './trouble.js';

export interface ReaderOptions {
  readonly config: Config;
  /** Names of the sources to read; all of the configuration when absent. */
  readonly sources?: readonly string[];
  readonly logger: Logger;
  readonly registry: Registry;
  /** Told which role this process has for a source, whenever it changes. */
  readonly onRole?: (source: string, role: ReaderRole) => void;
  readonly signal: AbortSignal;
}

const poolSize = 4;

/**
 * Reads the configured sources into the queue until `signal` aborts. Resolves when everything has stopped in order:
 * sockets no longer read, what was read put into the queue, connections closed. Rejects only for a configuration
 * that cannot work.
 */
export async function runReader(options: ReaderOptions): Promise<void> {
  const { config, logger, signal } = options;
  const names = options.sources ?? Object.keys(config.sources);
  const sources = names.map((name) => {
    const source = config.sources[name];
    if (source === undefined) throw new Error(`no source "${name}" in the configuration`);
    return { name, config: source, connection: toConnectOptions(source) };
  });
  const pool = createPool(config, logger);
  const queue = createQueueConnection({
    ...resolveQueueStore(config),
    onError: createErrorLog(logger, 'connection to the queue'),
    onWarning: (text) => logger.warn(text),
  });
  const following = new AbortController();
  try {
    if (!(await prepareWhenReachable(queue, logger, signal))) return;
    const progress = followProgress(pool, following.signal, createErrorLog(logger, 'cannot read the offsets'));
    const metrics = createReaderMetrics(options.registry);
    await Promise.all(
      sources.map(async ({ name, config: source, connection }) => {
        const log = logger.child({ source: name });
        const tables = await resolveRegistrations(name, source, {
          postgres: pool,
          rename: config.writer.rename,
          logger: log,
          signal,
        });
        if (tables === null) return;
        await readSource({
          name,
          source: createMaxScaleSource({ connection, ...source.timeouts }),
          tables,
          postgresUrl: config.postgres.url,
          instance: `${hostname()}:${process.pid}`,
          pool,
          queue,
          progress,
          limits: config.reader,
          recheckMs: source.timeouts.idleCheckMs,
          logger: log,
          metrics,
          onRole: (role) => options.onRole?.(name, role),
          signal,
        });
      }),
    );
  } finally {
    following.abort();
    await queue.close().catch(() => undefined);
    await pool.end();
  }
}

function createPool({ postgres: { url } }: Config, logger: Logger): pg.Pool {
  const pool = new pg.Pool({
    connectionString: url,
    max: poolSize,
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
    connectionTimeoutMillis: 10_000,
    application_name: 'afterimage-reader',
  });
  pool.on('error', createErrorLog(logger, 'connection to PostgreSQL'));
  endSilentConnections(pool, {
    url,
    onEnd: (processId) =>
      logger.warn({ processId }, 'PostgreSQL connection ended: PostgreSQL waits for us, and we for it'),
  });
  return pool;
}

/** Services may start in any order. Returns false when told to stop before the queue could be reached. */
async function prepareWhenReachable(queue: QueueConnection, logger: Logger, signal: AbortSignal): Promise<boolean> {
  const backoff = createBackoff({ minMs: 500, maxMs: 10_000 });
  while (!signal.aborted) {
    try {
      await prepareQueue(queue);
      return true;
    } catch (error) {
      const pauseMs = backoff.next();
      logTrouble(logger, error, backoff.attempts, pauseMs);
      await sleep(pauseMs, signal);
    }
  }
  return false;
}

/** Throws when a certificate file cannot be read. */
function toConnectOptions(source: SourceConfig): ConnectOptions {
  const { host, port, user, password, tls, timeouts, maxLineBytes } = source;
  const { dialMs, handshakeMs, writeMs } = timeouts;
  const base: ConnectOptions = { host, port, user, password, maxLineBytes, timeouts: { dialMs, handshakeMs, writeMs } };
  if (tls === undefined) return base;
  return { ...base, tls: readTlsFiles(tls) };
}
