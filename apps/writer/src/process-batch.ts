import type { Batch } from '@afterimage/change-events';
import type { BatchOutcome } from '@afterimage/queue';
import { type Applier, type Outcome, describeError, isTransient } from '@afterimage/replica';
import { type Logger, createBackoff, sleep } from '@afterimage/service';
import type { Pool } from 'pg';
import type { WriterMetrics } from './metrics.js';
import { createBatchWait } from './source-wait.js';

/** How soon a batch that came too early is looked at again. */
const gapRetryMs = 200;
/** How soon a stream that stands is tried again: it goes on by itself once the cause is gone. */
const haltRetryMs = 5_000;

export interface BatchProcessorOptions {
  readonly applier: Applier;
  /** Where it is told what waits for MariaDB. */
  readonly pool: Pool;
  readonly logger: Logger;
  readonly metrics: WriterMetrics;
  /** Unix milliseconds. */
  readonly now?: () => number;
}

/**
 * Applies a batch and says what becomes of its job. Transient errors are retried here, with a growing pause, for as
 * long as it takes: the job keeps its place. Rejects only when `signal` aborts meanwhile.
 */
export function createBatchProcessor(options: BatchProcessorOptions) {
  const { metrics, now = Date.now } = options;
  const report = createReport(options.logger);
  return async function processBatch(batch: Batch, signal: AbortSignal): Promise<BatchOutcome> {
    const started = now();
    const outcome = await applyPatiently(options, batch, signal);
    const ended = now();
    const timing = { seconds: (ended - started) / 1000, lagSeconds: ended / 1000 - batch.lastTimestamp };
    metrics.observe(batch, outcome, timing);
    report(batch, outcome);
    return settle(outcome);
  };
}

async function applyPatiently(options: BatchProcessorOptions, batch: Batch, signal: AbortSignal): Promise<Outcome> {
  const { applier, logger, metrics } = options;
  const backoff = createBackoff({ minMs: 50, maxMs: 5_000 });
  const wait = createBatchWait(options, batch);
  for (;;) {
    signal.throwIfAborted();
    try {
      const outcome = await applier.apply(batch);
      await wait.end();
      return outcome;
    } catch (error) {
      if (!isTransient(error)) throw error;
      const delayMs = backoff.next();
      metrics.retried(batch.stream);
      const level = backoff.attempts > 5 ? 'warn' : 'info';
      const cause = { error: describeError(error), attempt: backoff.attempts, delayMs };
      logger[level]({ ...names(batch), ...cause }, 'batch not applied yet: trying again');
      await wait.note(error, delayMs);
      await sleep(delayMs, signal);
    }
  }
}

/** Logs what an operator should know, a stream that stands only once per cause, lost values once per column. */
function createReport(logger: Logger): (batch: Batch, outcome: Outcome) => void {
  const halted = new Map<string, string>();
  const lossy = new Set<string>();
  return (batch, outcome) => {
    const where = names(batch);
    const { id } = batch.stream;
    const lane = `${id}/${batch.partition}`;
    const stood = halted.get(lane);
    switch (outcome.kind) {
      case 'applied':
        if (halted.delete(lane)) logger.info(where, 'stream goes on');
        reportApplied(logger, where, outcome);
        return reportLost(logger, { where, id, lossy }, outcome);
      case 'halted':
        halted.set(lane, outcome.message);
        if (stood === outcome.message) return;
        return logger.error({ ...where, code: outcome.code }, `stream stands: ${outcome.message}`);
      case 'gap':
        return logger.debug(
          { ...where, previous: batch.previous, offset: outcome.offset },
          'batch came before an earlier one',
        );
      case 'duplicate':
        return logger.debug({ ...where, last: batch.last }, 'batch was applied before');
      case 'stale':
        return logger.debug({ ...where, layout: batch.layout }, 'batch of a former division into partitions dropped');
      case 'unknown':
        return logger.debug(where, 'stream is not configured: batch left to the reader to send again');
    }
  };
}

type Applied = Extract<Outcome, { kind: 'applied' }>;

function reportApplied(logger: Logger, where: Where, { refused, missing, newSchema, relaxed }: Applied): void {
  if (newSchema !== null) logger.info({ ...where, schemaVersion: newSchema.version }, 'schema version in force');
  for (const { column, text } of newSchema?.notices ?? []) logger.warn({ ...where, column }, text);
  for (const { kind, name } of relaxed)
    logger.warn(
      { ...where, [kind === 'unique' ? 'index' : 'column']: name },
      'rows do not keep this constraint of MariaDB: the mirror goes on without it',
    );
  if (refused > 0) logger.warn({ ...where, refused }, 'PostgreSQL refused events: they are dead letters now');
  if (missing > 0) logger.warn({ ...where, missing }, 'rows to remove were not in the mirror');
}

function reportLost(
  logger: Logger,
  { where, id, lossy }: { where: Where; id: string; lossy: Set<string> },
  { lost }: Applied,
): void {
  for (const column of lost.keys()) {
    const key = JSON.stringify([id, column]);
    if (lossy.has(key)) continue;
    lossy.add(key);
    logger.warn({ ...where, column }, 'the stream loses or bends values of this column: afterimage status counts them');
  }
}

function settle(outcome: Outcome): BatchOutcome {
  switch (outcome.kind) {
    case 'applied':
    case 'duplicate':
    case 'unknown':
    case 'stale':
      return { kind: 'done' };
    case 'gap':
      return { kind: 'retry', inMs: gapRetryMs };
    case 'halted':
      return { kind: 'retry', inMs: haltRetryMs };
  }
}

interface Where {
  readonly source: string;
  readonly database: string;
  readonly table: string;
  readonly partition: number;
}

function names({ stream, partition }: Batch): Where {
  return { source: stream.source, database: stream.database, table: stream.table, partition };
}
