import { Pool } from 'pg';
import { createQueueConnection, prepareQueue } from '@afterimage/queue';
import { configuredSettings, createApplier, describeError } from '@afterimage/replica';
import {
  type Config,
  type Logger,
  type ServiceScope,
  createBackoff,
  createRegistry,
  sleep,
  startHttp,
} from '@afterimage/service';
import { createWriterMetrics } from './metrics.js';
import { consumePartitions } from './partitions.js';
import { createBatchProcessor } from './process-batch.js';

/** Connections are told who they are, and to be dead soon when the network is. */
function createWriterPool(config: Config, logger: Logger): Pool {
  const pool = new Pool({
    connectionString: config.postgres.url,
    max: config.writer.connections,
    application_name: 'afterimage-writer',
    keepAlive: true,
    connectionTimeoutMillis: 10_000,
    // Values enter and leave as text in these, whatever the role's settings are.
    options: '-c datestyle=ISO -c timezone=UTC -c intervalstyle=postgres -c lock_timeout=10s -c extra_float_digits=1',
  });
  pool.on('error', (error) => logger.warn({ error: describeError(error) }, 'idle PostgreSQL connection lost'));
  return pool;
}

/** Runs a writer until `signal` aborts: queue batches in, PostgreSQL transactions out. */
export async function runWriter(
  config: Config,
  logger: Logger,
  { signal, scope }: { signal: AbortSignal; scope: ServiceScope },
): Promise<void> {
  const pool = createWriterPool(config, logger);
  scope.onClose('PostgreSQL', () => pool.end());
  const queue = createQueueConnection({
    backend: config.queue.backend,
    url: config.queue.url ?? config.postgres.url,
    prefix: config.queue.prefix,
    onError: (error) => logger.warn({ error: describeError(error) }, 'queue connection trouble'),
  });
  scope.onClose('queue', () => queue.close());
  const settingsOf = configuredSettings(config);
  const registry = createRegistry('writer');
  const processBatch = createBatchProcessor({
    applier: createApplier(pool, settingsOf),
    logger,
    metrics: createWriterMetrics(registry),
  });
  if (config.service.writerPort !== undefined) {
    const healthy = async () => (await pool.query('SELECT 1')).rowCount === 1;
    const http = await startHttp({ host: config.service.httpHost, port: config.service.writerPort, healthy, registry });
    scope.onClose('http', () => http.close());
    logger.info({ url: http.url }, 'health and metrics');
  }
  if (!(await prepareWithPatience(() => prepareQueue(queue), logger, signal))) return;
  logger.info({ backend: config.queue.backend }, 'writer is ready');
  await consumePartitions(
    {
      pool,
      queue,
      isConfigured: (stream) => settingsOf(stream) !== undefined,
      logger,
      consume: {
        process: processBatch,
        onInvalid: async ({ jobId, error }) => {
          logger.error(
            { jobId, error: describeError(error) },
            'a job holds no batch this version understands: upgrade the writers; kept in the queue',
          );
          return { kind: 'retry', inMs: 30_000 };
        },
        onError: (error) => logger.warn({ error: describeError(error) }, 'queue trouble'),
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
