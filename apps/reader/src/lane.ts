import type { Batch } from '@afterimage/change-events';
import { type BatchQueue, openBatchQueue, type QueueConnection } from '@afterimage/queue';
import type { Offset } from '@afterimage/replica';
import type { BatchContext, CutBatch } from './batch-cutter.js';
import { BatchSender } from './batch-sender.js';
import { type EnvelopeOptions, sealBatch, sealMark } from './envelope.js';
import type { WindowLimits } from './flight-window.js';
import type { ReadPoint } from './stream-divider.js';

export interface LaneOptions {
  readonly queue: QueueConnection;
  readonly limits: WindowLimits;
  /** Where its first batch begins. */
  readonly start: ReadPoint;
  /** Of this partition, as PostgreSQL has it now. */
  readonly readOffset: () => Promise<Offset | undefined>;
  /** The queue takes no batches, or takes them again. */
  readonly onQueue: (error: unknown) => void;
  /** Gives up what is not in the queue yet. */
  readonly signal: AbortSignal;
  readonly envelope: Omit<EnvelopeOptions, 'now'>;
}

/** One partition's way into its queue: each batch follows the one before it. */
export class Lane {
  readonly #envelope: Omit<EnvelopeOptions, 'now'>;
  readonly #queue: BatchQueue;
  readonly #sender: BatchSender;
  #point: ReadPoint;
  #seen: bigint;
  /** When it last sent something, and since when it holds something: milliseconds of performance.now(). */
  sentAt = performance.now();
  heldSince = 0;

  constructor({ queue, limits, start, readOffset, onQueue, signal, envelope }: LaneOptions) {
    this.#envelope = envelope;
    this.#point = start;
    this.#seen = BigInt(start.ordinal);
    this.#queue = openBatchQueue(queue, envelope.stream.id, envelope.partition);
    this.#sender = new BatchSender({ queue: this.#queue, limits, readOffset, onQueue, signal });
  }

  get partition(): number {
    return this.#envelope.partition;
  }

  /** Of the last event that was sent. */
  get ordinal(): number {
    return this.#point.ordinal;
  }

  get flights(): number {
    return this.#sender.flights;
  }

  get bytes(): number {
    return this.#sender.bytes;
  }

  /** Resolves when the batch has its place in the queue's window; null waits for none. */
  async send(cut: CutBatch, signal: AbortSignal | null): Promise<Batch> {
    const { batch, end } = sealBatch(this.#point, cut, { ...this.#envelope, now: Date.now() });
    await this.#sender.send(batch, cut.bytes, signal);
    this.#moveTo(end);
    return batch;
  }

  /** Says that there is nothing up to `point`. It is small enough to need no room. */
  async sendMark(point: ReadPoint, context: BatchContext): Promise<Batch> {
    const mark = sealMark(this.#point, point, context, { ...this.#envelope, now: Date.now() });
    await this.#sender.send(mark, 0, null);
    this.#moveTo(point);
    return mark;
  }

  #moveTo(point: ReadPoint): void {
    this.#point = point;
    this.sentAt = performance.now();
    this.heldSince = this.sentAt;
  }

  /** Takes what PostgreSQL has applied. */
  onOffset(offset: Offset): 'set-back' | 'news' | 'same' {
    if (offset.ordinal < this.#seen) return 'set-back';
    this.#seen = offset.ordinal;
    return this.#sender.onOffset(offset) ? 'news' : 'same';
  }

  hasLostJobs(): Promise<boolean> {
    return this.#sender.hasLostJobs();
  }

  drain(): Promise<void> {
    return this.#sender.drain();
  }

  async close(): Promise<void> {
    await this.#queue.close().catch(() => undefined);
  }
}
