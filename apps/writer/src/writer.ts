import { createQueueConnection, prepareQueue } from '@afterimage/queue';
import { configuredSettings, createApplier, describeError, openSourceDatabases } from '@afterimage/replica';
import {
  type Config,
  type Logger,
  type ServiceScope,
  createBackoff,
  createQuietLog,
  createRegistry,
  resolveQueueStore,
  sleep,
  startHttp,
} from '@afterimage/service';
import { createWriterMetrics } from './metrics.js';
import type { PartitionFilter } from './partition-ranges.js';
import { consumePartitions } from './partitions.js';
import { createWriterPool } from './postgres-pool.js';
import { createBatchProcessor } from './process-batch.js';

/** Runs a writer of the partitions that are its own until `signal` aborts: queue batches in, PostgreSQL transactions out. */
export async function runWriter(
  config: Config,
  logger: Logger,
  { signal, scope, isMine }: { signal: AbortSignal; scope: ServiceScope; isMine: PartitionFilter },
): Promise<void> {
  const { url } = config.postgres;
  const pool = createWriterPool({ url, connections: config.writer.connections, logger });
  scope.onClose('PostgreSQL', () => pool.end());
  const warn = createQuietLog({ logger, describe: describeError });
  const queue = createQueueConnection({
    ...resolveQueueStore(config),
    onError: (error) => warn('queue connection trouble', error),
    onWarning: (text) => logger.warn(text),
  });
  scope.onClose('queue', () => queue.close());
  const settingsOf = configuredSettings(config);
  const mariadbs = openSourceDatabases(config, scope, config.writer);
  const registry = createRegistry('writer');
  const processBatch = createBatchProcessor({
    applier: createApplier(pool, settingsOf, (source) => mariadbs.get(source)),
    pool,
    logger,
    metrics: createWriterMetrics(registry),
  });
  if (config.service.writerPort !== undefined) {
    // A restart cures neither an outage of PostgreSQL nor long batches on all connections.
    const healthy = () => !signal.aborted;
    const ready = async () => (await pool.query('SELECT 1')).rowCount === 1;
    const { httpHost: host, writerPort: port } = config.service;
    const http = await startHttp({ host, port, healthy, ready, registry });
    scope.onClose('http', () => http.close());
    logger.info({ url: http.url }, 'health and metrics');
  }
  if (!(await prepareWithPatience(() => prepareQueue(queue), logger, signal))) return;
  logger.info({ backend: config.queue.backend }, 'writer is ready');
  await consumePartitions(
    {
      pool,
      queue,
      isMine,
      isConfigured: (stream) => settingsOf(stream) !== undefined,
      logger,
      consume: {
        process: processBatch,
        onInvalid: async ({ jobId, error }) => {
          logger.error(
            { jobId, error: describeError(error).slice(0, 500) },
            'a job holds no batch of this stream that this version understands: upgrade the writers, or find out who else writes to the queue; kept in the queue',
          );
          return { kind: 'retry', inMs: 30_000 };
        },
        onError: (error) => warn('queue trouble', error),
      },
    },
    signal,
  );
}

/** Waits for a server that is not there yet; false when told to stop meanwhile. */
async function prepareWithPatience(
  prepare: () => Promise<void>,
  logger: Logger,
  signal: AbortSignal,
): Promise<boolean> {
  const backoff = createBackoff({ minMs: 200, maxMs: 10_000 });
  while (!signal.aborted) {
    try {
      await prepare();
      return true;
    } catch (error) {
      const delayMs = backoff.next();
      logger.warn({ error: describeError(error), delayMs }, 'the queue cannot be reached: trying again');
      await sleep(delayMs, signal);
    }
  }
  return false;
}
