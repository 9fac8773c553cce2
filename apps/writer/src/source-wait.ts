import type { Batch } from '@afterimage/change-events';
import { describeError, endSourceWait, noteSourceWait, SourceUnavailable } from '@afterimage/replica';
import type { Logger } from '@afterimage/service';
import type { Pool } from 'pg';
import type { WriterMetrics } from './metrics.js';

export interface SourceWaitOptions {
  readonly pool: Pool;
  readonly metrics: WriterMetrics;
  readonly logger: Logger;
}

/** Tells `status` and the metrics while a batch waits for MariaDB. */
export interface BatchWait {
  /** After a try that failed; `pauseMs`: until the next one. */
  note(error: unknown, pauseMs: number): Promise<void>;
  /** After a try that did not. */
  end(): Promise<void>;
}

/** What cannot be told is told at the next try, or forgotten in time: the batch comes first. */
export function createBatchWait({ pool, metrics, logger }: SourceWaitOptions, batch: Batch): BatchWait {
  const { source, database, table } = batch.stream;
  const waiter = { source, waiter: `${database}.${table}` };
  const onError = (error: unknown): void =>
    logger.debug({ ...waiter, error: describeError(error) }, 'the wait for MariaDB could not be recorded');
  let isWaiting = false;
  return {
    async note(error, pauseMs) {
      if (!(error instanceof SourceUnavailable)) return;
      isWaiting = true;
      metrics.waits(batch, true);
      await noteSourceWait(pool, waiter, { error, pauseMs }).catch(onError);
    },
    async end() {
      if (!isWaiting) return;
      metrics.waits(batch, false);
      await endSourceWait(pool, waiter).catch(onError);
    },
  };
}
