import type { Change, ChangeEvent, StreamSchema } from './change-source.js';

export interface BatchLimits {
  readonly maxEvents: number;
  /** UTF-8 bytes of the lines. One line, or the two of an update, may exceed it. */
  readonly maxBytes: number;
}

/** Consecutive events under one schema and one set of sequence bases. */
export interface CutBatch {
  readonly events: readonly ChangeEvent[];
  readonly bytes: number;
  readonly schema: StreamSchema;
  /** What to add to the sequences, per domain, where it is not 0. */
  readonly bases: ReadonlyMap<number, bigint>;
}

const nothing: readonly CutBatch[] = [];

/**
 * Cuts a stream into batches: when the next event would exceed a limit, before the first event of another schema
 * version, when a sequence base changes, and on `flush`. The two halves of an update stay together. At a limit it
 * cuts between transactions when a boundary lies in the second half of the batch.
 */
export class BatchCutter {
  readonly #limits: BatchLimits;
  #events: ChangeEvent[] = [];
  #sizes: number[] = [];
  #bytes = 0;
  /** Index of the first event of the newest transaction. */
  #boundary = 0;
  /** Of the events that are held; the one that follows is `#next`. */
  #schema: StreamSchema | undefined;
  #next: StreamSchema | undefined;
  #bases: ReadonlyMap<number, bigint>;

  constructor(limits: BatchLimits, bases: ReadonlyMap<number, bigint>) {
    this.#limits = limits;
    this.#bases = new Map([...bases].filter(([, base]) => base !== 0n));
  }

  /** Events that a flush would cut. */
  get ready(): number {
    return this.#events.at(-1)?.operation === 'update_before' ? this.#events.length - 1 : this.#events.length;
  }

  /** Takes the next change; returns the batches that it completed. Throws TypeError for an event before any schema. */
  push(change: Change): readonly CutBatch[] {
    switch (change.kind) {
      case 'schema':
        this.#next = change.schema;
        return nothing;
      case 'base': {
        const cut = this.#cut(this.#events.length);
        this.#bases = new Map(this.#bases).set(change.domain, change.base);
        return cut;
      }
      case 'event':
        return this.#add(change.event);
    }
  }

  /** Cuts all that is held, except the first half of an update whose second has not come. */
  flush(): readonly CutBatch[] {
    return this.#cut(this.ready);
  }

  #add(event: ChangeEvent): readonly CutBatch[] {
    const size = Buffer.byteLength(event.raw);
    let cut = nothing;
    if (this.#next !== this.#schema) {
      if (this.#next === undefined) throw new TypeError('an event came before any schema');
      if (this.#schema === undefined || !isSameVersion(this.#schema, this.#next)) cut = this.#cut(this.#events.length);
      this.#schema = this.#next;
    }
    while (this.#isFull(size)) {
      const more = this.#cut(this.#chooseCut(event));
      if (more.length === 0) break;
      cut = [...cut, ...more];
    }
    const previous = this.#events.at(-1);
    if (previous !== undefined && !isSameTransaction(previous, event)) this.#boundary = this.#events.length;
    this.#events.push(event);
    this.#sizes.push(size);
    this.#bytes += size + 1;
    return cut;
  }

  #isFull(nextSize: number): boolean {
    const { length } = this.#events;
    return length > 0 && (length + 1 > this.#limits.maxEvents || this.#bytes + nextSize > this.#limits.maxBytes);
  }

  /** How many of the held events to cut, now that `next` has no room. */
  #chooseCut(next: ChangeEvent): number {
    const { length } = this.#events;
    const last = this.#events.at(-1);
    const isTransactionEnd = last === undefined || !isSameTransaction(last, next);
    if (isTransactionEnd && last?.operation !== 'update_before') return length;
    return this.#boundary * 2 >= length ? this.#boundary : this.ready;
  }

  #cut(count: number): readonly CutBatch[] {
    if (count === 0 || this.#schema === undefined) return nothing;
    const events = this.#events.slice(0, count);
    const bytes = this.#sizes.slice(0, count).reduce((sum, size) => sum + size + 1, 0);
    this.#events = this.#events.slice(count);
    this.#sizes = this.#sizes.slice(count);
    this.#bytes -= bytes;
    this.#boundary = Math.max(0, this.#boundary - count);
    return [{ events, bytes, schema: this.#schema, bases: this.#bases }];
  }
}

/** Also a version that only got another number ends a batch: its number is where the reader resumes. */
function isSameVersion(a: StreamSchema, b: StreamSchema): boolean {
  return a.fingerprint === b.fingerprint && a.version === b.version && a.gtid === b.gtid;
}

function isSameTransaction(a: ChangeEvent, b: ChangeEvent): boolean {
  return a.sequence === b.sequence && a.domain === b.domain && a.serverId === b.serverId;
}
