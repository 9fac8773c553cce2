import type { Batch } from '@afterimage/change-events';
import type { QueueConnection } from '@afterimage/queue';
import { type Division, readOffsets, type StreamOffsets, type StreamRecord } from '@afterimage/replica';
import { createBackoff, type Logger, sleep } from '@afterimage/service';
import type { Pool } from 'pg';
import type { Change, ChangeSource, FeedState } from './change-source.js';
import { settleDivision } from './division.js';
import { FeedError } from './feed-error.js';
import type { ReaderMetrics, StreamLabels } from './metrics.js';
import type { Progress } from './progress.js';
import { nextWithin, silence } from './waiting.js';
import { StateReport } from './state-report.js';
import { busyLingerMs, StreamLanes, type StreamLimits } from './stream-lanes.js';
import { createErrorLog, describeTrouble, logTrouble } from './trouble.js';

export interface StreamOptions {
  readonly record: StreamRecord;
  /** How its events are to be divided. */
  readonly division: Division;
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

/** A stop gives up what the queue does not take in this time; it is read again later. */
const stopGraceMs = 5_000;
const settledMs = 60_000;
const waitingMessage =
  'MaxScale has no file of this table yet: it had no row event, or avrorouter does not convert it.';
const searchingMessage =
  'The source has sent all that it has, and the last applied event was not among it. The stream goes on when that event comes, as while MaxScale converts its binlogs anew, and halts when a newer one comes first.';
/** A stream in trouble is well again when it has sent something, or has gone on for so long. */
const steadyMs = 1_000;
/** How often a halted stream looks whether its offset was set anew. */
const offsetLookMs = 1_000;
const landingLookMs = 50;
/** While a batch waits for others to land. */
const landingPollMs = 2;

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
  readonly #report: StateReport;
  readonly #backoff = createBackoff({ minMs: 200, maxMs: 30_000 });
  readonly #giveUp = new AbortController();
  #lanes: StreamLanes | undefined;
  /** Where to stop, to divide the stream anew. */
  #until: number | null = null;
  /** Ends the feed of this moment, to start again from the offsets. */
  #interrupt: ((reason: FeedError) => void) | undefined;
  #restart = true;
  /** The source has nothing more at this moment. */
  #isIdle = false;
  /** After an idle check the stream is opened anew without telling the world. */
  #quietly = false;
  #feedState: FeedState = 'connecting';
  /** Runs while it has its place again after trouble. */
  #recovery: NodeJS.Timeout | undefined;

  constructor(options: StreamOptions) {
    const { record, pool, logger, epoch } = options;
    this.#options = options;
    this.#labels = { source: record.source, database: record.database, table: record.table };
    this.#report = new StateReport(
      pool,
      { streamId: record.id, epoch },
      createErrorLog(logger, 'cannot write the reader state'),
    );
  }

  async run(): Promise<void> {
    const { signal, progress, record } = this.#options;
    const unwatch = progress.watch(record.id, {
      isActive: () => (this.#lanes?.flights ?? 0) > 0,
      isWaiting: () => this.#isIdle && this.#lanes?.isWaiting === true,
      onOffsets: (offsets) => this.#onOffsets(offsets),
    });
    const startGrace = (): void => {
      setTimeout(() => this.#giveUp.abort(new Error('the reader stops')), stopGraceMs).unref();
    };
    signal.addEventListener('abort', startGrace, { once: true });
    while (!signal.aborted) {
      const startedAt = Date.now();
      try {
        await this.#readFeed(await this.#openLanes());
        this.#quietly = true;
      } catch (error) {
        if (signal.aborted) break;
        if (Date.now() - startedAt > settledMs) this.#backoff.reset();
        await this.#waitAfter(error);
      }
    }
    await this.#lanes?.drain().catch((error: unknown) => {
      this.#options.logger.warn(
        { code: describeTrouble(error).code },
        'stopped with a batch that the queue did not take',
      );
    });
    unwatch();
    this.#giveUp.abort(new Error('the reader stops'));
    this.#report.set('idle');
    await this.#report.close();
    await this.#lanes?.close();
  }

  async #readOffsets(): Promise<StreamOffsets | undefined> {
    const { pool, record } = this.#options;
    return (await readOffsets(pool, [record.id])).get(record.id);
  }

  /** Those of the last feed where they can go on, else new ones that begin at the offsets. */
  async #openLanes(): Promise<StreamLanes> {
    const before = this.#lanes;
    if (before !== undefined && !this.#restart && !before.isBroken) return before;
    const { pool, queue, record, division, logger, epoch, limits } = this.#options;
    // A queue that lost its jobs lost its settings too; opening it sets them again.
    await before?.close();
    const { offsets, until } = await settleDivision({ pool, queue, streamId: record.id, wanted: division, logger });
    const lanes = new StreamLanes({
      stream: { id: record.id, source: record.source, database: record.database, table: record.table },
      epoch,
      offsets,
      queue,
      limits,
      readOffsets: () => this.#readOffsets(),
      onQueue: (error) => this.#onQueue(error),
      onSent: (batch, bytes) => this.#onSent(batch, bytes),
      signal: this.#giveUp.signal,
    });
    this.#lanes = lanes;
    this.#until = until;
    this.#restart = false;
    return lanes;
  }

  async #readFeed(lanes: StreamLanes): Promise<void> {
    const { source, record, signal, metrics } = this.#options;
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
    lanes.reopen();
    const feed = source.open({
      database: record.database,
      table: record.table,
      after: lanes.point.resume,
      signal: attempt.signal,
      onState: (state) => this.#onFeedState(state),
    });
    const changes = feed[Symbol.asyncIterator]();
    try {
      await this.#pump(changes, lanes, attempt.signal);
      this.#noteFlow();
    } finally {
      clearTimeout(this.#recovery);
      this.#recovery = undefined;
      signal.removeEventListener('abort', stop);
      this.#interrupt = undefined;
      attempt.abort();
      await changes.return?.();
    }
    if (interruption !== undefined) throw interruption as FeedError;
  }

  async #pump(changes: AsyncIterator<readonly Change[]>, lanes: StreamLanes, signal: AbortSignal): Promise<void> {
    let next = changes.next();
    for (;;) {
      const got = await this.#awaitChanges(next, lanes).catch(async (error: unknown) => {
        if (!this.#restart) await lanes.sendRest();
        throw error;
      });
      if (got === silence) {
        next.catch(() => undefined);
        await lanes.sendDue(performance.now(), signal);
        continue;
      }
      if (got.done === true) {
        if (!this.#restart) await lanes.sendRest();
        return;
      }
      lanes.noteHeld(performance.now());
      for (const change of got.value) {
        await lanes.push(change, signal);
        if (this.#until !== null && lanes.point.ordinal >= this.#until) return this.#alignPartitions(lanes, signal);
      }
      next = changes.next();
      next.catch(() => undefined);
      // Where more is always there already, a partition that gets little of it must not wait until it is full.
      await lanes.sendDue(performance.now(), signal, busyLingerMs);
    }
  }

  /** Silence = something that is held has waited long enough. */
  async #awaitChanges(
    next: Promise<IteratorResult<readonly Change[], unknown>>,
    lanes: StreamLanes,
  ): Promise<IteratorResult<readonly Change[], unknown> | typeof silence> {
    const { lingerMs } = this.#options.limits;
    let isHurried = false;
    for (;;) {
      const left = lanes.msUntilDue(performance.now());
      if (left === Infinity) return next;
      // How long a batch may wait depends on what is on its way, so look again soon.
      const got = await this.#whileIdle(
        nextWithin(next, left > busyLingerMs ? left : Math.min(left, lingerMs, landingPollMs)),
      );
      if (got !== silence || left === 0) return got;
      if (lanes.isWaiting && !isHurried) this.#options.progress.hurry();
      isHurried = true;
    }
  }

  async #whileIdle<T>(waiting: Promise<T>): Promise<T> {
    this.#isIdle = true;
    try {
      return await waiting;
    } finally {
      this.#isIdle = false;
    }
  }

  /** Before a stream can be divided anew, all its partitions must have been applied up to the same event. */
  async #alignPartitions(lanes: StreamLanes, signal: AbortSignal): Promise<void> {
    await lanes.align();
    this.#options.progress.wake();
    while (lanes.flights > 0 && !signal.aborted) await sleep(landingLookMs, signal);
    this.#restart = true;
  }

  #onSent(batch: Batch, bytes: number): void {
    const { metrics, progress } = this.#options;
    progress.wake();
    this.#showFlights();
    if (batch.count === 0) return;
    this.#backoff.reset();
    this.#noteFlow();
    metrics.events.inc(this.#labels, batch.count);
    metrics.batches.inc(this.#labels);
    metrics.bytes.inc(this.#labels, bytes);
    metrics.lag.set(this.#labels, Math.max(0, batch.enqueuedAt / 1000 - batch.lastTimestamp));
  }

  #onOffsets(offsets: StreamOffsets): boolean {
    switch (this.#lanes?.onOffsets(offsets)) {
      case 'set-back':
        this.#interruptWith('the offsets were set anew; reading again from there');
        return true;
      case 'news':
        this.#showFlights();
        void this.#checkQueue();
        return true;
      case 'same':
        void this.#checkQueue();
        return false;
      case undefined:
        return false;
    }
  }

  async #checkQueue(): Promise<void> {
    const lanes = this.#lanes;
    const lost = await lanes?.hasLostJobs().catch(() => false);
    if (lost === true && lanes === this.#lanes) {
      this.#interruptWith('the queue no longer has batches that are not applied yet');
    }
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
    const isTroubled = known === 'retrying' || known === 'halted';
    if (state === 'connecting' && (this.#quietly || isTroubled)) return;
    this.#quietly = false;
    clearTimeout(this.#recovery);
    // One that always breaks off at the same place has that each time before.
    if (state === 'streaming' && isTroubled) this.#recovery = setTimeout(() => this.#tellFeedState(), steadyMs);
    else this.#tellFeedState();
  }

  #noteFlow(): void {
    if (this.#recovery !== undefined) this.#tellFeedState();
  }

  #tellFeedState(): void {
    clearTimeout(this.#recovery);
    this.#recovery = undefined;
    const state = this.#feedState;
    if (this.#showFeedState()) this.#options.logger.info({ state }, `stream is ${state}`);
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

  /** Waits until the offsets are others than were lost, or for the time between two looks at the source. */
  async #waitForRecheck(): Promise<void> {
    const { signal, recheckMs } = this.#options;
    const lost = this.#lanes?.offsets;
    const until = Date.now() + recheckMs;
    while (Date.now() < until && (await sleep(Math.min(offsetLookMs, recheckMs), signal))) {
      const offsets = await this.#readOffsets().catch(() => undefined);
      if (offsets !== undefined && describePlaces(offsets) !== describePlaces(lost)) break;
    }
    this.#restart = true;
  }

  #showFlights(): void {
    this.#options.metrics.flightBatches.set(this.#labels, this.#lanes?.flights ?? 0);
    this.#options.metrics.flightBytes.set(this.#labels, this.#lanes?.bytes ?? 0);
  }
}

function describePlaces(offsets: StreamOffsets | undefined): string {
  return JSON.stringify(offsets?.partitions.map(({ position }) => position));
}
