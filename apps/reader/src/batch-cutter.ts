import type { Position } from '@afterimage/change-events';
import type { ChangeEvent, StreamSchema } from './change-source.js';

export interface BatchLimits {
  readonly maxEvents: number;
  /** UTF-8 bytes of the lines. One line, or the two of an update, may exceed it. */
  readonly maxBytes: number;
}

export interface CutterOptions extends BatchLimits {
  /**
   * Whether a full batch ends where a transaction does, if one ends in its second half. Not worth a shorter batch to a divided
   * stream, whose transactions are spread over partitions anyway.
   */
  readonly atTransactions: boolean;
}

/** What must not be parted: one event, or both halves of an update. */
export interface Unit {
  readonly events: readonly ChangeEvent[];
  /** Ordinal of the first event; how many events a stream has never comes near 2^53. */
  readonly ordinal: number;
  /** How far the stream had come in the other domains. */
  readonly others: Position;
}

/** What holds for the events of one batch. */
export interface BatchContext {
  readonly schema: StreamSchema;
  /** Ordinal of the stream's first event under it. */
  readonly since: number;
  /** What to add to the sequences, per domain, where it is not 0. */
  readonly bases: ReadonlyMap<number, bigint>;
}

/** Events of one partition, in order, under one schema and one set of sequence bases. */
export interface CutBatch extends BatchContext {
  readonly units: readonly Unit[];
  readonly count: number;
  readonly bytes: number;
}

const nothing: readonly CutBatch[] = [];

/**
 * Cuts a partition's events into batches: when the next unit would exceed a limit, before the first one in another
 * context, and on `flush`.
 */
export class BatchCutter {
  readonly #options: CutterOptions;
  #units: Unit[] = [];
  #sizes: number[] = [];
  #count = 0;
  #bytes = 0;
  /** Index of the first unit of the newest transaction. */
  #boundary = 0;
  /** Of the units that are held. */
  #context: BatchContext | undefined;

  constructor(options: CutterOptions) {
    this.#options = options;
  }

  /** Whether a flush would cut anything. */
  get isEmpty(): boolean {
    return this.#units.length === 0;
  }

  /** Takes the next unit; returns the batches that were complete without it. */
  push(unit: Unit, context: BatchContext): readonly CutBatch[] {
    const size = sizeOf(unit);
    let cut = nothing;
    if (this.#context !== context) {
      cut = this.flush();
      this.#context = context;
    }
    while (this.#isFull(unit.events.length, size)) cut = [...cut, ...this.#cut(this.#chooseCut(unit))];
    const previous = this.#units.at(-1);
    if (previous !== undefined && !isSameTransaction(previous, unit)) this.#boundary = this.#units.length;
    this.#units.push(unit);
    this.#sizes.push(size);
    this.#count += unit.events.length;
    this.#bytes += size;
    return cut;
  }

  /** Cuts all that is held. */
  flush(): readonly CutBatch[] {
    return this.#cut(this.#units.length);
  }

  #isFull(nextCount: number, nextSize: number): boolean {
    if (this.#units.length === 0) return false;
    return this.#count + nextCount > this.#options.maxEvents || this.#bytes + nextSize > this.#options.maxBytes;
  }

  /** How many of the held units to cut, now that `next` has no room. */
  #chooseCut(next: Unit): number {
    const { length } = this.#units;
    const last = this.#units.at(-1);
    if (!this.#options.atTransactions || last === undefined || !isSameTransaction(last, next)) return length;
    return this.#boundary * 2 >= length ? this.#boundary : length;
  }

  #cut(length: number): readonly CutBatch[] {
    if (length === 0 || this.#context === undefined) return nothing;
    const units = this.#units.splice(0, length);
    const bytes = this.#sizes.splice(0, length).reduce((sum, size) => sum + size, 0);
    const count = units.reduce((sum, unit) => sum + unit.events.length, 0);
    this.#bytes -= bytes;
    this.#count -= count;
    this.#boundary = Math.max(0, this.#boundary - length);
    return [{ ...this.#context, units, count, bytes }];
  }
}

/** UTF-8 bytes with the newlines between. */
function sizeOf({ events }: Unit): number {
  return events.reduce((sum, event) => sum + Buffer.byteLength(event.raw) + 1, 0);
}

function isSameTransaction({ events: [a] }: Unit, { events: [b] }: Unit): boolean {
  return a?.sequence === b?.sequence && a?.domain === b?.domain && a?.serverId === b?.serverId;
}
