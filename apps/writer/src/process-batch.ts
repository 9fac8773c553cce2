import type { Batch } from '@afterimage/change-events';
import type { BatchOutcome } from '@afterimage/queue';
import { type Applier, type Outcome, describeError, isTransient } from '@afterimage/replica';
import { type Logger, createBackoff, sleep } from '@afterimage/service';
import type { WriterMetrics } from './metrics.js';

/** How soon a batch that came too early is looked at again. */
const gapRetryMs = 200;
/** How soon a stream that stands is tried again: it goes on by itself once the cause is gone. */
const haltRetryMs = 5_000;

export interface BatchProcessorOptions {
  readonly applier: Applier;
  readonly logger: Logger;
  readonly metrics: WriterMetrics;
  /** Unix milliseconds. */
  readonly now?: () => number;
}

/**
 * Applies a batch and says what becomes of its job. Transient errors are retried here, with a growing pause, for as
 * long as it takes: the job keeps its place. Rejects only when `signal` aborts meanwhile.
 */
export function createBatchProcessor({ applier, logger, metrics, now = Date.now }: BatchProcessorOptions) {
  const halted = new Map<string, string>();

  return async function processBatch(batch: Batch, signal: AbortSignal): Promise<BatchOutcome> {
    const started = now();
    const outcome = await applyPatiently(batch, signal);
    const ended = now();
    metrics.observe(batch.stream, outcome, {
      seconds: (ended - started) / 1000,
      lagSeconds: ended / 1000 - batch.lastTimestamp,
    });
    report(batch, outcome);
    return settle(outcome);
  };

  async function applyPatiently(batch: Batch, signal: AbortSignal): Promise<Outcome> {
    const backoff = createBackoff({ minMs: 50, maxMs: 5_000 });
    for (;;) {
      signal.throwIfAborted();
      try {
        return await applier.apply(batch);
      } catch (error) {
        if (!isTransient(error)) throw error;
        const delayMs = backoff.next();
        metrics.retried(batch.stream);
        const level = backoff.attempts > 5 ? 'warn' : 'info';
        logger[level](
          { ...names(batch), error: describeError(error), attempt: backoff.attempts, delayMs },
          'batch not applied yet: trying again',
        );
        await sleep(delayMs, signal);
      }
    }
  }

  function report(batch: Batch, outcome: Outcome): void {
    const where = names(batch);
    const stood = halted.get(batch.stream.id);
    switch (outcome.kind) {
      case 'applied':
        if (stood !== undefined) logger.info(where, 'stream goes on');
        halted.delete(batch.stream.id);
        if (outcome.refused > 0)
          logger.warn({ ...where, refused: outcome.refused }, 'PostgreSQL refused events: they are dead letters now');
        if (outcome.missing > 0)
          logger.warn({ ...where, missing: outcome.missing }, 'rows to remove were not in the mirror');
        break;
      case 'halted':
        if (stood !== outcome.message)
          logger.error({ ...where, code: outcome.code }, `stream stands: ${outcome.message}`);
        halted.set(batch.stream.id, outcome.message);
        break;
      case 'gap':
        logger.debug(
          { ...where, previous: batch.previous, offset: outcome.offset },
          'batch came before an earlier one: waiting for that',
        );
        break;
      case 'duplicate':
      case 'unknown':
        logger.debug(
          { ...where, last: batch.last },
          outcome.kind === 'duplicate' ? 'batch was applied before' : 'stream is not configured: batch dropped',
        );
        break;
    }
  }
}

function settle(outcome: Outcome): BatchOutcome {
  switch (outcome.kind) {
    case 'applied':
    case 'duplicate':
    case 'unknown':
      return { kind: 'done' };
    case 'gap':
      return { kind: 'retry', inMs: gapRetryMs };
    case 'halted':
      return { kind: 'retry', inMs: haltRetryMs };
  }
}

function names({ stream, partition }: Batch) {
  return { source: stream.source, database: stream.database, table: stream.table, partition };
}
