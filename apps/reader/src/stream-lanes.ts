import {
  type Batch,
  formatGtid,
  isWholeTransaction,
  parsePosition,
  type StreamIdentity,
} from '@afterimage/change-events';
import type { QueueConnection } from '@afterimage/queue';
import type { Offset, StreamOffsets } from '@afterimage/replica';
import type { Change, ResumePoint } from './change-source.js';
import { Lane } from './lane.js';
import { type Cut, type ReadPoint, StreamDivider } from './stream-divider.js';

export interface StreamLimits {
  readonly maxBatchEvents: number;
  readonly maxBatchBytes: number;
  readonly lingerMs: number;
  readonly maxQueuedBatches: number;
  readonly maxQueuedBytes: number;
}

export interface StreamLanesOptions {
  readonly stream: StreamIdentity;
  readonly epoch: bigint;
  readonly offsets: StreamOffsets;
  readonly queue: QueueConnection;
  readonly limits: StreamLimits;
  /** The offsets as PostgreSQL has them now. */
  readonly readOffsets: () => Promise<StreamOffsets | undefined>;
  readonly onQueue: (error: unknown) => void;
  /** Marks, too, which hold no events. */
  readonly onSent: (batch: Batch, bytes: number) => void;
  /** Gives up what is not in the queue yet. */
  readonly signal: AbortSignal;
}

/** While writers are busy a batch may wait this long to become full. */
export const busyLingerMs = 100;
const busyFlights = 2;
/** A partition without events is told this often how far the stream has come: a restart reads from the one furthest behind. */
const markMs = 1_000;
/** Each partition may have so many batches on their way, however many partitions there are, where the stream may. */
const leastQueuedBatches = 8;

/**
 * The way of one stream from its feed into the queues of its partitions. It begins at the offsets, the lowest one first,
 * and is good until the queue loses something or the offsets are set anew.
 */
export class StreamLanes {
  readonly #options: StreamLanesOptions;
  readonly #lanes: readonly Lane[];
  readonly #divider: StreamDivider;
  #isBroken = false;
  readonly #closed = new AbortController();

  constructor(options: StreamLanesOptions) {
    const { offsets, limits } = options;
    const { layout, partitions } = offsets;
    this.#options = options;
    const count = partitions.length;
    const window = {
      maxBatches: Math.max(
        Math.ceil(limits.maxQueuedBatches / count),
        Math.min(limits.maxQueuedBatches, leastQueuedBatches),
      ),
      maxBytes: Math.ceil(limits.maxQueuedBytes / count),
    };
    this.#lanes = partitions.map(
      (offset, partition) =>
        new Lane({
          ...options,
          signal: AbortSignal.any([options.signal, this.#closed.signal]),
          limits: window,
          start: toReadPoint(offset),
          readOffset: async () => pickOffset(await options.readOffsets(), layout.number, partition),
          envelope: { stream: options.stream, layout, partition, epoch: options.epoch },
        }),
    );
    this.#divider = new StreamDivider({
      layout,
      limits: { maxEvents: limits.maxBatchEvents, maxBytes: limits.maxBatchBytes },
      start: startOf(offsets),
      applied: partitions.map(({ ordinal, position }) => ({ ordinal: Number(ordinal), position })),
    });
  }

  /** Something was cut and could not be sent: what follows must not be sent either, and all be read again. */
  get isBroken(): boolean {
    return this.#isBroken;
  }

  /** Where it began. */
  get offsets(): StreamOffsets {
    return this.#options.offsets;
  }

  /** Where a feed goes on. */
  get point(): ReadPoint {
    return this.#divider.point;
  }

  get flights(): number {
    return this.#lanes.reduce((sum, lane) => sum + lane.flights, 0);
  }

  get bytes(): number {
    return this.#lanes.reduce((sum, lane) => sum + lane.bytes, 0);
  }

  reopen(): void {
    this.#divider.reopen();
  }

  /** Takes the next change, sends what it completes. Rejects when `signal` aborts while there is no room. */
  async push(change: Change, signal: AbortSignal): Promise<void> {
    const cuts = this.#divider.push(change);
    if (cuts.length > 0) await this.#sendAll(cuts, signal);
  }

  /** To be called after each portion of the feed: notes since when each partition holds something. */
  noteHeld(now: number): void {
    for (const lane of this.#lanes) {
      if (this.#divider.isEmpty(lane.partition)) lane.heldSince = now;
    }
  }

  /** Whether a partition holds something back because enough of it is on its way. */
  get isWaiting(): boolean {
    return this.#lanes.some((lane) => lane.flights >= busyFlights && !this.#divider.isEmpty(lane.partition));
  }

  /** Milliseconds until `sendDue` has something to do; Infinity when nothing waits. */
  msUntilDue(now: number): number {
    let least = Infinity;
    for (const lane of this.#lanes) {
      if (!this.#divider.isEmpty(lane.partition)) least = Math.min(least, lane.heldSince + this.#linger(lane) - now);
      else if (lane.ordinal < this.#divider.ordinal) {
        const left = lane.sentAt + markMs - now;
        // What is on its way must arrive first, which nobody tells.
        least = Math.min(least, lane.flights === 0 ? left : Math.max(left, 2 * busyLingerMs));
      }
    }
    return Math.max(0, least);
  }

  /** Sends what has waited long enough for more; `patience` gives it more milliseconds. */
  async sendDue(now: number, signal: AbortSignal, patience = 0): Promise<void> {
    for (const lane of this.#lanes) {
      if (!this.#divider.isEmpty(lane.partition)) {
        if (lane.heldSince + this.#linger(lane) + patience <= now)
          await this.#sendAll(this.#divider.flush(lane.partition), signal);
      } else if (this.#isBehind(lane) && lane.sentAt + markMs <= now) await this.#sendMark(lane);
    }
  }

  /** At the end of a feed, also a bad one: what is complete was read right. It needs no room, being one batch each at most. */
  async sendRest(): Promise<void> {
    for (const lane of this.#lanes) await this.#sendAll(this.#divider.flush(lane.partition), null);
  }

  /** Sends all that was read and brings every partition to the same event. */
  async align(): Promise<void> {
    await this.sendRest();
    for (const lane of this.#lanes) if (lane.ordinal < this.#divider.ordinal) await this.#sendMark(lane);
  }

  /** Takes what PostgreSQL has applied. */
  onOffsets({ layout, partitions }: StreamOffsets): 'set-back' | 'news' | 'same' {
    if (layout.number !== this.#options.offsets.layout.number) return 'set-back';
    const seen = partitions.map((offset, partition) => this.#lanes[partition]?.onOffset(offset));
    if (seen.includes('set-back')) return 'set-back';
    return seen.includes('news') ? 'news' : 'same';
  }

  async hasLostJobs(): Promise<boolean> {
    const lost = await Promise.all(this.#lanes.map((lane) => lane.hasLostJobs()));
    return lost.includes(true);
  }

  /** Resolves when everything sent is in the queues. */
  async drain(): Promise<void> {
    await Promise.all(this.#lanes.map((lane) => lane.drain()));
  }

  async close(): Promise<void> {
    this.#closed.abort(new Error('the stream is opened anew'));
    await Promise.all(this.#lanes.map((lane) => lane.close()));
  }

  #linger(lane: Lane): number {
    const { lingerMs } = this.#options.limits;
    return lane.flights >= busyFlights ? Math.max(lingerMs, busyLingerMs) : lingerMs;
  }

  #isBehind(lane: Lane): boolean {
    return lane.ordinal < this.#divider.ordinal && lane.flights === 0;
  }

  async #sendMark(lane: Lane): Promise<void> {
    const { context, point } = this.#divider;
    if (context !== undefined && !this.#isBroken) this.#options.onSent(await lane.sendMark(point, context), 0);
  }

  async #sendAll(cuts: readonly Cut[], signal: AbortSignal | null): Promise<void> {
    try {
      for (const cut of cuts) if (!this.#isBroken) await this.#send(cut, signal);
    } catch (error) {
      this.#isBroken = true;
      throw error;
    }
  }

  async #send(cut: Cut, signal: AbortSignal | null): Promise<void> {
    if (cut.kind === 'barrier') {
      for (const lane of this.#lanes) {
        if (lane.ordinal >= cut.point.ordinal) continue;
        this.#options.onSent(await lane.sendMark(cut.point, cut.context), 0);
      }
      return;
    }
    const batch = await this.#lanes[cut.partition]?.send(cut.batch, signal);
    if (batch !== undefined) this.#options.onSent(batch, cut.batch.bytes);
  }
}

function pickOffset(offsets: StreamOffsets | undefined, layout: number, partition: number): Offset | undefined {
  return offsets?.layout.number === layout ? offsets.partitions[partition] : undefined;
}

/** The partition furthest behind says where to read from; what any has applied, how old the source's past is. */
function startOf({ partitions }: StreamOffsets): ReadPoint {
  const [first, ...others] = partitions.map(toReadPoint);
  if (first === undefined) return { resume: null, ordinal: 0 };
  const lowest = others.reduce((a, b) => (b.ordinal < a.ordinal ? b : a), first);
  const times = [first, ...others].flatMap(({ resume }) => resume?.sourceTime ?? []);
  if (lowest.resume === null || times.length === 0) return lowest;
  return { ...lowest, resume: { ...lowest.resume, sourceTime: Math.max(...times) } };
}

function toReadPoint(offset: Offset): ReadPoint {
  const ordinal = Number(offset.ordinal);
  if (offset.position === '') return { resume: null, ordinal };
  const position = parsePosition(offset.position);
  // Without a checkpoint any domain's last event serves as the one to look for.
  const event = [...position.values()].find((last) => !isWholeTransaction(last));
  const gtid = offset.checkpointGtid ?? (event === undefined ? null : formatGtid(event));
  const sourceTime = offset.sourceTime === null ? {} : { sourceTime: offset.sourceTime.getTime() / 1000 };
  const resume: ResumePoint = { position, gtid, fileVersion: offset.fileVersion ?? 1, ...sourceTime };
  return { resume, ordinal };
}
