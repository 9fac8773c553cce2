import {
  createPartitioner,
  type EventId,
  formatGtid,
  formatPosition,
  type Layout,
  type Position,
} from '@afterimage/change-events';
import { BatchCutter, type BatchContext, type BatchLimits, type CutBatch, type Unit } from './batch-cutter.js';
import type { Change, ChangeEvent, ResumePoint, StreamSchema } from './change-source.js';
import { FeedError } from './feed-error.js';
import { basesOf } from './position-tracker.js';

/** How far a stream, or one partition of it, has been read. */
export interface ReadPoint {
  readonly resume: ResumePoint | null;
  /** Of the last event; 0 before the first. */
  readonly ordinal: number;
}

/** What the divider has for whoever sends. */
export type Cut =
  | { readonly kind: 'batch'; readonly partition: number; readonly batch: CutBatch }
  /** Every partition must be told that the stream has come to `point`, before anything that follows is sent. */
  | { readonly kind: 'barrier'; readonly point: ReadPoint; readonly context: BatchContext };

export interface DividerOptions {
  readonly layout: Layout;
  readonly limits: BatchLimits;
  readonly start: ReadPoint;
  /** Of each partition: events up to this one were applied before. */
  readonly applied: readonly Applied[];
}

export interface Applied {
  readonly ordinal: number;
  /** Canonical text of the stream's position there. */
  readonly position: string;
}

const nothing: readonly Cut[] = [];

/** The full id of an event: 32 bits of the sequence are on its line. */
function identify(event: ChangeEvent, bases: ReadonlyMap<number, bigint>): EventId {
  return {
    domain: BigInt(event.domain),
    serverId: BigInt(event.serverId),
    sequence: BigInt(event.sequence) + (bases.get(event.domain) ?? 0n),
    eventNumber: BigInt(event.eventNumber),
  };
}

/** The position of the stream at the end of a unit. */
function positionAfter({ events, others }: Unit, bases: ReadonlyMap<number, bigint>): Position {
  const last = events.at(-1);
  if (last === undefined) return others;
  const id = identify(last, bases);
  return new Map(others).set(id.domain, id);
}

/** How far the stream has been read at the end of a unit. `sourceTime`: of the youngest event up to here, Unix seconds. */
export function pointAfter(unit: Unit, { schema, bases }: BatchContext, sourceTime: number): ReadPoint {
  const ordinal = unit.ordinal + unit.events.length - 1;
  const last = unit.events.at(-1);
  if (last === undefined) throw new RangeError('a unit without events');
  const position = positionAfter(unit, bases);
  const gtid = formatGtid(identify(last, bases));
  return { resume: { position, gtid, fileVersion: schema.version, sourceTime }, ordinal };
}

/**
 * Numbers the events of a stream, divides them among its partitions and cuts them into batches. Both halves of an update
 * stay together, unless it changes the key so that each belongs to another partition: there the first is a delete.
 * Columns that change make a barrier. What a partition has applied before is counted, and left out.
 */
export class StreamDivider {
  readonly #partitionOf: (line: string) => number;
  readonly #applied: readonly number[];
  /** Where the stream must be what it was when partitions applied it, in order. */
  readonly #checks: Applied[];
  readonly #cutters: readonly BatchCutter[];
  /** Where it began, or where a sequence base changed. */
  #start: ReadPoint;
  #ordinal: number;
  #others: Position;
  #bases: ReadonlyMap<number, bigint>;
  /** The first half of an update whose second has not come. */
  #half: ChangeEvent | undefined;
  #last: Unit | undefined;
  #lastContext: BatchContext | undefined;
  #newest: number;
  #context: BatchContext | undefined;
  #nextSchema: StreamSchema | undefined;

  constructor({ layout, limits, start, applied }: DividerOptions) {
    this.#partitionOf = createPartitioner(layout);
    this.#applied = applied.map(({ ordinal }) => ordinal);
    this.#checks = applied.filter(({ ordinal }) => ordinal > start.ordinal).toSorted((a, b) => a.ordinal - b.ordinal);
    this.#cutters = applied.map(() => new BatchCutter({ ...limits, atTransactions: applied.length === 1 }));
    this.#start = start;
    this.#ordinal = start.ordinal;
    this.#others = start.resume?.position ?? new Map();
    this.#bases = new Map([...basesOf(this.#others)].filter(([, base]) => base !== 0n));
    this.#newest = start.resume?.sourceTime ?? 0;
  }

  /** Of the last complete unit. */
  get ordinal(): number {
    return this.#ordinal;
  }

  /** How far the stream has been read: where a new feed goes on. */
  get point(): ReadPoint {
    return this.#last === undefined || this.#lastContext === undefined
      ? this.#start
      : pointAfter(this.#last, this.#lastContext, this.#newest);
  }

  /** What the newest event came under; undefined before the first. */
  get context(): BatchContext | undefined {
    return this.#context;
  }

  isEmpty(partition: number): boolean {
    return this.#cutters[partition]?.isEmpty ?? true;
  }

  /** A new feed begins at `point`: half an update, if there is one, comes again. */
  reopen(): void {
    this.#half = undefined;
    this.#nextSchema = undefined;
  }

  /** Takes the next change; returns what it completed, in the order in which it must be sent. */
  push(change: Change): readonly Cut[] {
    switch (change.kind) {
      case 'schema':
        this.#nextSchema = change.schema;
        return nothing;
      case 'base':
        return this.#setBase(change.domain, change.base);
      case 'event':
        return this.#pushEvent(change.event);
    }
  }

  /** Cuts all that a partition holds. */
  flush(partition: number): readonly Cut[] {
    return toCuts(partition, this.#cutters[partition]?.flush());
  }

  #flushAll(): readonly Cut[] {
    return this.#cutters.flatMap((_, partition) => this.flush(partition));
  }

  #pushEvent(event: ChangeEvent): readonly Cut[] {
    const half = this.#half;
    this.#half = undefined;
    if (half !== undefined && event.operation === 'update_after') return this.#placePair(half, event);
    const cuts = join(half === undefined ? nothing : this.#place([half]), this.#takeSchema());
    if (event.operation !== 'update_before') return join(cuts, this.#place([event]));
    this.#half = event;
    return cuts;
  }

  #placePair(before: ChangeEvent, after: ChangeEvent): readonly Cut[] {
    const isTogether = this.#cutters.length === 1 || this.#partitionOf(before.raw) === this.#partitionOf(after.raw);
    return isTogether ? this.#place([before, after]) : join(this.#place([before]), this.#place([after]));
  }

  #place(events: readonly ChangeEvent[]): readonly Cut[] {
    const [first] = events;
    const context = this.#context;
    if (first === undefined || context === undefined) throw new TypeError('an event before any schema');
    this.#noteDomain(first.domain);
    const unit: Unit = { events, ordinal: this.#ordinal + 1, others: this.#others };
    this.#ordinal += events.length;
    this.#last = unit;
    this.#lastContext = context;
    this.#newest = Math.max(this.#newest, first.timestamp);
    this.#checkNumbering(unit);
    const partition = this.#partitionOf(first.raw);
    if (this.#ordinal <= (this.#applied[partition] ?? 0)) return nothing;
    return toCuts(partition, this.#cutters[partition]?.push(unit, context));
  }

  /**
   * What other partitions have applied is told by its number alone. So where one of them stands, the stream must be at the same
   * position as then: between domains another file may have another order.
   */
  #checkNumbering(unit: Unit): void {
    for (let next = this.#checks[0]; next !== undefined && next.ordinal <= this.#ordinal; next = this.#checks[0]) {
      this.#checks.shift();
      if (next.ordinal < this.#ordinal || next.position === formatPosition(positionAfter(unit, this.#bases))) continue;
      throw new FeedError(
        'LOST_POSITION',
        `event ${next.ordinal} of the stream is not the one that was applied (up to ${next.position}): the source sends its domains in another order than before`,
      );
    }
  }

  /** Where the domain changes, the one before becomes one of the others. */
  #noteDomain(domain: number): void {
    const before = this.#last;
    if (before !== undefined && before.events[0]?.domain !== domain) {
      this.#others = positionAfter(before, this.#bases);
    }
  }

  /** A schema takes effect with the first event under it. Its number tells the file to resume in, so that matters, too. */
  #takeSchema(): readonly Cut[] {
    const schema = this.#nextSchema;
    if (schema === undefined) return nothing;
    this.#nextSchema = undefined;
    const before = this.#context;
    const isSame = before?.schema.fingerprint === schema.fingerprint;
    if (isSame && before.schema.version === schema.version && before.schema.gtid === schema.gtid) return nothing;
    const since = isSame ? before.since : this.#ordinal + 1;
    const cuts: readonly Cut[] =
      isSame || before === undefined
        ? nothing
        : [...this.#flushAll(), { kind: 'barrier', point: this.point, context: before }];
    this.#context = { schema, since, bases: this.#bases };
    return cuts;
  }

  #setBase(domain: number, base: bigint): readonly Cut[] {
    const half = this.#half;
    this.#half = undefined;
    const cuts = join(half === undefined ? nothing : this.#place([half]), this.#flushAll());
    // What was read before counts with the base it came under.
    this.#start = this.point;
    this.#others = this.#start.resume?.position ?? new Map();
    this.#last = undefined;
    this.#bases = new Map(this.#bases).set(domain, base);
    if (this.#context !== undefined) this.#context = { ...this.#context, bases: this.#bases };
    return cuts;
  }
}

function toCuts(partition: number, batches: readonly CutBatch[] = []): readonly Cut[] {
  return batches.length === 0 ? nothing : batches.map((batch) => ({ kind: 'batch', partition, batch }));
}

function join(a: readonly Cut[], b: readonly Cut[]): readonly Cut[] {
  if (a.length === 0) return b;
  return b.length === 0 ? a : [...a, ...b];
}
