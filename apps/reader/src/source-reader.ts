import { setMaxListeners } from 'node:events';
import type { QueueConnection } from '@afterimage/queue';
import {
  acquireReaderLock,
  type Division,
  type ReaderLock,
  registerStreams,
  type StreamRecord,
  type TableRegistration,
  undivided,
} from '@afterimage/replica';
import { createBackoff, type Logger, sleep } from '@afterimage/service';
import type { Pool } from 'pg';
import type { ChangeSource } from './change-source.js';
import type { ReaderMetrics } from './metrics.js';
import type { Progress } from './progress.js';
import type { StreamLimits } from './stream-lanes.js';
import { explainMissingTables } from './missing-tables.js';
import { readStream } from './stream-reader.js';
import { createErrorLog, logTrouble } from './trouble.js';

export interface SourceReaderOptions {
  readonly name: string;
  readonly source: ChangeSource;
  readonly tables: readonly TableRegistration[];
  readonly postgresUrl: string;
  /** Who this is, for people. */
  readonly instance: string;
  readonly pool: Pool;
  readonly queue: QueueConnection;
  readonly progress: Progress;
  readonly limits: StreamLimits;
  readonly recheckMs: number;
  readonly logger: Logger;
  readonly metrics: ReaderMetrics;
  readonly onRole: (role: ReaderRole) => void;
  readonly signal: AbortSignal;
}

export type ReaderRole = 'starting' | 'standby' | 'active';

/**
 * Reads all tables of one source while this process is its only active reader, and waits as its standby while
 * another one is. Resolves after `signal` has aborted and all streams have stopped in order.
 */
export async function readSource(options: SourceReaderOptions): Promise<void> {
  const { name, signal, logger } = options;
  const backoff = createBackoff({ minMs: 500, maxMs: 10_000 });
  const logLockTrouble = createErrorLog(logger, 'cannot ask for the reader lock');
  while (!signal.aborted) {
    options.onRole('starting');
    let lock: ReaderLock | undefined;
    try {
      lock = await acquireReaderLock({
        url: options.postgresUrl,
        source: name,
        instance: options.instance,
        signal,
        onStandby: () => {
          options.onRole('standby');
          logger.info('another reader is active: waiting as its standby');
        },
        onError: (error) => logLockTrouble(explainMissingTables(error)),
      });
      await readWhileLocked(options, lock);
      backoff.reset();
    } catch (error) {
      if (signal.aborted) break;
      const pauseMs = backoff.next();
      logTrouble(logger, explainMissingTables(error), backoff.attempts, pauseMs);
      await sleep(pauseMs, signal);
    } finally {
      await lock?.release();
    }
  }
}

async function readWhileLocked(options: SourceReaderOptions, lock: ReaderLock): Promise<void> {
  const { name, tables, pool, signal, logger } = options;
  const records = await registerStreams(pool, name, tables);
  options.onRole('active');
  logger.info({ epoch: String(lock.epoch), streams: records.length }, 'this is the active reader');
  const active = new AbortController();
  // Every stream listens; Node would warn from the eleventh on.
  setMaxListeners(0, active.signal);
  const stop = (): void => active.abort(signal.reason);
  const lose = (): void => {
    logger.warn('the reader lock is lost: stopping all streams');
    active.abort(lock.lost.reason);
  };
  signal.addEventListener('abort', stop, { once: true });
  lock.lost.addEventListener('abort', lose, { once: true });
  if (signal.aborted) stop();
  if (lock.lost.aborted) lose();
  try {
    await Promise.all(
      records.map((record) =>
        readStream({
          ...options,
          record,
          division: divisionOf(tables, record),
          epoch: lock.epoch,
          signal: active.signal,
          logger: logger.child({ database: record.database, table: record.table, stream: record.id }),
        }),
      ),
    );
    // Without tables there is nothing to wait for above.
    if (records.length === 0)
      await new Promise<void>((resolve) => active.signal.addEventListener('abort', () => resolve()));
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

function divisionOf(tables: readonly TableRegistration[], { database, table }: StreamRecord): Division {
  return tables.find((t) => t.database === database && t.table === table)?.division ?? undivided;
}
