import type { Batch } from '@afterimage/change-events';
import type { BatchQueue } from '@afterimage/queue';
import type { Offset } from '@afterimage/replica';
import { createBackoff, sleep } from '@afterimage/service';
import { type Flight, FlightWindow, type WindowLimits } from './flight-window.js';
import { nextWithin, silence, unlessAborted } from './waiting.js';

export interface SenderOptions {
  readonly queue: BatchQueue;
  readonly limits: WindowLimits;
  /** The partition's offset as PostgreSQL has it now. */
  readonly readOffset: () => Promise<Offset | undefined>;
  /** The queue takes no batches, or takes them again. */
  readonly onQueue: (error: unknown) => void;
  /** Gives up what is not in the queue yet. */
  readonly signal: AbortSignal;
}

const patienceMs = 5_000;
/** How long the oldest batch must be without progress before the queue is asked for it, and between two such looks. */
const suspicionMs = 1_000;
/** Looks that must not find it before it counts as lost. */
const looks = 2;

/**
 * The sending end of a partition: puts batches into the queue in order, at most as many as the window allows beyond
 * what is applied, and notices when the queue has lost some.
 */
export class BatchSender {
  readonly #options: SenderOptions;
  readonly #window: FlightWindow;
  #sending: Promise<void> = Promise.resolve();
  #applied = -1n;
  #checkedAt = Date.now();
  #misses = 0;

  constructor(options: SenderOptions) {
    this.#options = options;
    this.#window = new FlightWindow(options.limits);
  }

  get flights(): number {
    return this.#window.size;
  }

  get bytes(): number {
    return this.#window.bytes;
  }

  /**
   * Resolves when the batch has its place and the one before it is in the queue. Rejects when `signal` aborts
   * while it waits for room; null waits for none.
   */
  async send(batch: Batch, bytes: number, signal: AbortSignal | null): Promise<void> {
    if (signal !== null) await this.#window.waitForRoom(bytes, signal);
    await this.#sending;
    const flight: Flight = { jobId: null, lastOrdinal: BigInt(batch.lastOrdinal), bytes };
    this.#window.add(flight);
    this.#sending = this.#enqueue(batch, flight);
    // Whoever sends next, or drains, gets the rejection.
    this.#sending.catch(() => undefined);
  }

  /** Resolves when everything sent is in the queue. */
  async drain(): Promise<void> {
    await this.#sending;
  }

  /** Takes what PostgreSQL has applied. Returns whether it is news. */
  onOffset(offset: Offset): boolean {
    if (this.#window.land(offset.ordinal) === 0 && offset.ordinal === this.#applied) return false;
    this.#applied = offset.ordinal;
    this.#checkedAt = Date.now();
    this.#misses = 0;
    return true;
  }

  /** Whether the oldest batch on its way is neither applied nor in the queue any more. Cheap to ask often. */
  async hasLostJobs(): Promise<boolean> {
    const flight = this.#window.oldest;
    if (flight === undefined || flight.jobId === null || Date.now() - this.#checkedAt < suspicionMs) return false;
    this.#checkedAt = Date.now();
    if (await this.#options.queue.has(flight.jobId)) {
      this.#misses = 0;
      return false;
    }
    // A job leaves the queue after its batch was applied, so this look at the offset is not too early.
    const offset = await this.#options.readOffset();
    if (offset === undefined || offset.ordinal >= flight.lastOrdinal) return false;
    this.#misses += 1;
    return this.#misses >= looks;
  }

  async #enqueue(batch: Batch, flight: Flight): Promise<void> {
    const { queue, signal, onQueue } = this.#options;
    const backoff = createBackoff({ minMs: 100, maxMs: 5_000 });
    for (;;) {
      signal.throwIfAborted();
      try {
        flight.jobId = await this.#awaitAdd(queue.add(batch));
        if (backoff.attempts > 0) onQueue(null);
        return;
      } catch (error) {
        signal.throwIfAborted();
        onQueue(error);
        await sleep(backoff.next(), signal);
      }
    }
  }

  /** Tells when the queue takes its time, and stops waiting on abort: Redis commands wait until Redis is back. */
  async #awaitAdd(add: Promise<string>): Promise<string> {
    const { signal, onQueue } = this.#options;
    const added = unlessAborted(add, signal);
    let late = false;
    for (;;) {
      const jobId = await nextWithin(added, patienceMs);
      if (jobId !== silence) {
        if (late) onQueue(null);
        return jobId;
      }
      late = true;
      onQueue(new Error('the queue has not taken a batch for some seconds'));
    }
  }
}
