import { formatGtid, formatPosition, parsePosition } from '@afterimage/change-events';
import { type BatchQueue, openBatchQueue, type QueueConnection } from '@afterimage/queue';
import { type Offset, readOffsets, type StreamRecord } from '@afterimage/replica';
import { createBackoff, type Logger, sleep } from '@afterimage/service';
import type { Pool } from 'pg';
import { BatchCutter, type CutBatch } from './batch-cutter.js';
import { BatchSender } from './batch-sender.js';
import type { Change, ChangeSource, FeedState, ResumePoint } from './change-source.js';
import { type ReadPoint, sealBatch } from './envelope.js';
import { FeedError } from './feed-error.js';
import type { ReaderMetrics, StreamLabels } from './metrics.js';
import { basesOf } from './position-tracker.js';
import type { Progress } from './progress.js';
import { nextWithin, silence } from './waiting.js';
import { StateReport } from './state-report.js';
import { createErrorLog, describeTrouble, logTrouble } from './trouble.js';

export interface StreamLimits {
  readonly maxBatchEvents: number;
  readonly maxBatchBytes: number;
  readonly lingerMs: number;
  readonly maxQueuedBatches: number;
  readonly maxQueuedBytes: number;
}

export interface StreamOptions {
  readonly record: StreamRecord;
  readonly source: ChangeSource;
  readonly pool: Pool;
  readonly queue: QueueConnection;
  readonly progress: Progress;
  readonly limits: StreamLimits;
  readonly epoch: bigint;
  /** A halted stream looks again after this, and when its offset was changed. */
  readonly recheckMs: number;
  readonly logger: Logger;
  readonly metrics: ReaderMetrics;
  readonly signal: AbortSignal;
}

/** While writers are busy a batch may wait this long to become full. */
const busyLingerMs = 100;
const busyFlights = 2;
/** A stop gives up what the queue does not take in this time; it is read again later. */
const stopGraceMs = 5_000;
const settledMs = 60_000;
const waitingMessage =
  'MaxScale has no file of this table yet: it had no row event, or avrorouter does not convert it.';
const searchingMessage =
  'The source has sent all that it has, and the last applied event was not among it. The stream goes on when that event comes, as while MaxScale converts its binlogs anew, and halts when a newer one comes first.';
/** How often a halted stream looks whether its offset was set anew. */
const offsetLookMs = 1_000;

/**
 * Reads one table's stream into its queue until `signal` aborts, through every kind of trouble. Resolves when what
 * was read is in the queue and everything is closed.
 */
export async function readStream(options: StreamOptions): Promise<void> {
  await new StreamReader(options).run();
}

class StreamReader {
  readonly #options: StreamOptions;
  readonly #labels: StreamLabels;
  #queue: BatchQueue;
  readonly #report: StateReport;
  readonly #backoff = createBackoff({ minMs: 200, maxMs: 30_000 });
  readonly #giveUp = new AbortController();
  #sender: BatchSender;
  #point: ReadPoint = { resume: null, ordinal: 0n };
  #seen = 0n;
  /** Ends the feed of this moment, to start again from the offset. */
  #interrupt: ((reason: FeedError) => void) | undefined;
  #restart = true;
  /** After an idle check the stream is opened anew without telling the world. */
  #quietly = false;
  #feedState: FeedState = 'connecting';

  constructor(options: StreamOptions) {
    const { record, queue, pool, logger, epoch } = options;
    this.#options = options;
    this.#labels = { source: record.source, database: record.database, table: record.table };
    this.#queue = openBatchQueue(queue, record.id, 0);
    this.#report = new StateReport(
      pool,
      { streamId: record.id, epoch },
      createErrorLog(logger, 'cannot write the reader state'),
    );
    this.#sender = this.#createSender();
  }

  async run(): Promise<void> {
    const { signal, progress, record } = this.#options;
    const unwatch = progress.watch(record.id, {
      isActive: () => this.#sender.flights > 0,
      onOffset: (offset) => this.#onOffset(offset),
    });
    const startGrace = (): void => {
      setTimeout(() => this.#giveUp.abort(new Error('the reader stops')), stopGraceMs).unref();
    };
    signal.addEventListener('abort', startGrace, { once: true });
    while (!signal.aborted) {
      const startedAt = Date.now();
      try {
        if (this.#restart) await this.#startFromOffset();
        await this.#readFeed();
        this.#quietly = true;
      } catch (error) {
        if (signal.aborted) break;
        if (Date.now() - startedAt > settledMs) this.#backoff.reset();
        await this.#waitAfter(error);
      }
    }
    await this.#sender.drain().catch((error: unknown) => {
      this.#options.logger.warn(
        { code: describeTrouble(error).code },
        'stopped with a batch that the queue did not take',
      );
    });
    unwatch();
    this.#giveUp.abort(new Error('the reader stops'));
    this.#report.set('idle');
    await this.#report.close();
    await this.#queue.close().catch(() => undefined);
  }

  #createSender(): BatchSender {
    const { limits } = this.#options;
    return new BatchSender({
      queue: this.#queue,
      limits: { maxBatches: limits.maxQueuedBatches, maxBytes: limits.maxQueuedBytes },
      readOffset: () => this.#readOffset(),
      onQueue: (error) => this.#onQueue(error),
      signal: this.#giveUp.signal,
    });
  }

  async #readOffset(): Promise<Offset | undefined> {
    const { pool, record } = this.#options;
    return (await readOffsets(pool, [record.id])).get(record.id);
  }

  async #startFromOffset(): Promise<void> {
    const offset = await this.#readOffset();
    this.#point = { resume: toResumePoint(offset), ordinal: offset?.ordinal ?? 0n };
    this.#seen = this.#point.ordinal;
    // A queue that lost its jobs lost its settings too; opening it sets them again.
    await this.#queue.close().catch(() => undefined);
    this.#queue = openBatchQueue(this.#options.queue, this.#options.record.id, 0);
    this.#sender = this.#createSender();
    this.#restart = false;
  }

  async #readFeed(): Promise<void> {
    const { source, record, signal, limits, metrics } = this.#options;
    const attempt = new AbortController();
    const stop = (): void => attempt.abort(signal.reason);
    let interruption: FeedError | undefined;
    signal.addEventListener('abort', stop, { once: true });
    // It may have come while the offset was read; a listener would wait for ever then.
    if (signal.aborted) stop();
    this.#interrupt = (reason) => {
      interruption = reason;
      attempt.abort(reason);
    };
    metrics.connections.inc(this.#labels);
    const cutter = new BatchCutter(
      { maxEvents: limits.maxBatchEvents, maxBytes: limits.maxBatchBytes },
      basesOf(this.#point.resume?.position ?? new Map()),
    );
    const feed = source.open({
      database: record.database,
      table: record.table,
      after: this.#point.resume,
      signal: attempt.signal,
      onState: (state) => this.#onFeedState(state),
    });
    const changes = feed[Symbol.asyncIterator]();
    try {
      await this.#pump(changes, cutter, attempt.signal);
    } finally {
      signal.removeEventListener('abort', stop);
      this.#interrupt = undefined;
      attempt.abort();
      await changes.return?.();
    }
    if (interruption !== undefined) throw interruption as FeedError;
  }

  async #pump(changes: AsyncIterator<readonly Change[]>, cutter: BatchCutter, signal: AbortSignal): Promise<void> {
    let next = changes.next();
    let heldSince = 0;
    for (;;) {
      const got = await this.#awaitChanges(next, cutter, heldSince).catch(async (error: unknown) => {
        await this.#sendRest(cutter);
        throw error;
      });
      if (got === silence) {
        next.catch(() => undefined);
        await this.#sendAll(cutter.flush(), signal);
        continue;
      }
      if (got.done === true) return this.#sendRest(cutter);
      if (cutter.ready === 0) heldSince = performance.now();
      for (const change of got.value) {
        const cuts = cutter.push(change);
        if (cuts.length === 0) continue;
        await this.#sendAll(cuts, signal);
        heldSince = performance.now();
      }
      next = changes.next();
    }
  }

  /** At the end of a feed, also a bad one: what is complete was read right. It needs no room, being one batch at most. */
  async #sendRest(cutter: BatchCutter): Promise<void> {
    if (!this.#restart) await this.#sendAll(cutter.flush(), null);
  }

  /** Silence = what is held has lingered long enough. */
  async #awaitChanges(
    next: Promise<IteratorResult<readonly Change[], unknown>>,
    cutter: BatchCutter,
    heldSince: number,
  ): Promise<IteratorResult<readonly Change[], unknown> | typeof silence> {
    const { lingerMs } = this.#options.limits;
    while (cutter.ready > 0) {
      const limit = this.#sender.flights >= busyFlights ? Math.max(lingerMs, busyLingerMs) : lingerMs;
      const left = heldSince + limit - performance.now();
      const got = await nextWithin(next, Math.min(Math.max(left, 0), lingerMs));
      if (got !== silence || left <= 0) return got;
    }
    return next;
  }

  async #sendAll(cuts: readonly CutBatch[], signal: AbortSignal | null): Promise<void> {
    for (const cut of cuts) await this.#send(cut, signal);
  }

  async #send(cut: CutBatch, signal: AbortSignal | null): Promise<void> {
    const { record, epoch, metrics, progress } = this.#options;
    const stream = { id: record.id, source: record.source, database: record.database, table: record.table };
    const { batch, end } = sealBatch(this.#point, cut, { stream, epoch, now: Date.now() });
    await this.#sender.send(batch, cut.bytes, signal);
    this.#point = end;
    this.#backoff.reset();
    progress.wake();
    metrics.events.inc(this.#labels, batch.count);
    metrics.batches.inc(this.#labels);
    metrics.bytes.inc(this.#labels, cut.bytes);
    metrics.lag.set(this.#labels, Math.max(0, batch.enqueuedAt / 1000 - batch.lastTimestamp));
    this.#showFlights();
  }

  #onOffset(offset: Offset): boolean {
    if (offset.ordinal < this.#seen) {
      this.#interruptWith('the offset was set back; reading again from there');
      return true;
    }
    this.#seen = offset.ordinal;
    const news = this.#sender.onOffset(offset);
    if (news) this.#showFlights();
    else void this.#checkQueue();
    return news;
  }

  async #checkQueue(): Promise<void> {
    const sender = this.#sender;
    const lost = await sender.hasLostJobs().catch(() => false);
    if (lost && sender === this.#sender)
      this.#interruptWith('the queue no longer has batches that are not applied yet');
  }

  #interruptWith(message: string): void {
    if (this.#restart) return;
    this.#restart = true;
    this.#interrupt?.(new FeedError('QUEUE_LOST_JOBS', message));
  }

  #onFeedState(state: FeedState): void {
    this.#feedState = state;
    // A stream in trouble stays so until it flows again.
    const known = this.#report.state;
    if (state === 'connecting' && (this.#quietly || known === 'retrying' || known === 'halted')) return;
    this.#quietly = false;
    const changed = this.#showFeedState();
    if (changed) this.#options.logger.info({ state }, `stream is ${state}`);
  }

  #showFeedState(): boolean {
    switch (this.#feedState) {
      case 'connecting':
      case 'streaming':
        return this.#report.set(this.#feedState);
      case 'searching':
        return this.#report.set('connecting', 'SEARCHING_POSITION', searchingMessage);
      case 'waiting':
        return this.#report.set('waiting', 'NO_SUCH_FILE', waitingMessage);
    }
  }

  #onQueue(error: unknown): void {
    if (error === null) this.#showFeedState();
    else {
      const { message, advice } = new FeedError('QUEUE_UNAVAILABLE', describeTrouble(error).message);
      if (this.#report.set('retrying', 'QUEUE_UNAVAILABLE', `${message}. ${advice}`)) {
        this.#options.logger.warn({ code: 'QUEUE_UNAVAILABLE' }, message);
      }
    }
  }

  async #waitAfter(error: unknown): Promise<void> {
    const { logger, metrics, signal } = this.#options;
    const { code, message } = describeTrouble(error);
    metrics.errors.inc({ ...this.#labels, code });
    this.#quietly = false;
    if (code === 'LOST_POSITION' || code === 'SOURCE_RESET') {
      if (this.#report.set('halted', code, message)) logger.error({ code }, message);
      await this.#waitForRecheck();
      return;
    }
    const pauseMs = this.#backoff.next();
    this.#report.set('retrying', code, message);
    logTrouble(logger, error, this.#backoff.attempts, pauseMs);
    await sleep(pauseMs, signal);
  }

  /** Waits until the offset is another one than was lost, or for the time between two looks at the source. */
  async #waitForRecheck(): Promise<void> {
    const { signal, recheckMs } = this.#options;
    const lost = formatPosition(this.#point.resume?.position ?? new Map());
    const until = Date.now() + recheckMs;
    while (Date.now() < until && (await sleep(Math.min(offsetLookMs, recheckMs), signal))) {
      const offset = await this.#readOffset().catch(() => undefined);
      if (offset !== undefined && offset.position !== lost) break;
    }
    this.#restart = true;
  }

  #showFlights(): void {
    this.#options.metrics.flightBatches.set(this.#labels, this.#sender.flights);
    this.#options.metrics.flightBytes.set(this.#labels, this.#sender.bytes);
  }
}

function toResumePoint(offset: Offset | undefined): ResumePoint | null {
  if (offset === undefined || offset.position === '') return null;
  const position = parsePosition(offset.position);
  const [event] = position.values();
  // Without a checkpoint any domain's last event serves as the one to look for.
  const gtid = offset.checkpointGtid ?? (event === undefined ? '' : formatGtid(event));
  const sourceTime = offset.sourceTime === null ? {} : { sourceTime: offset.sourceTime.getTime() / 1000 };
  return { position, gtid, fileVersion: offset.fileVersion ?? 1, ...sourceTime };
}
