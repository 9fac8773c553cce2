import {
  advance,
  type Batch,
  type EventId,
  formatGtid,
  formatPosition,
  type Position,
  type StreamIdentity,
} from '@afterimage/change-events';
import type { CutBatch } from './batch-cutter.js';
import type { ChangeEvent, ResumePoint, StreamSchema } from './change-source.js';
import { FeedError } from './feed-error.js';

/** How far a stream has been read: where its next batch begins. */
export interface ReadPoint {
  readonly resume: ResumePoint | null;
  /** Of the last event; 0 before the first. */
  readonly ordinal: bigint;
}

export interface EnvelopeOptions {
  readonly stream: StreamIdentity;
  readonly epoch: bigint;
  /** Unix milliseconds. */
  readonly now: number;
}

export interface SealedBatch {
  readonly batch: Batch;
  /** Where the batch after it begins. */
  readonly end: ReadPoint;
}

/** Puts a cut batch into its envelope. Throws FeedError COLUMNS_MISMATCH when its first row does not fit its schema. */
export function sealBatch(start: ReadPoint, cut: CutBatch, options: EnvelopeOptions): SealedBatch {
  const { events, schema } = cut;
  const first = events[0];
  const last = events.at(-1);
  if (first === undefined || last === undefined) throw new RangeError('a batch without events');
  checkColumns(schema, first.raw);
  const before: Position = start.resume?.position ?? new Map();
  const after = moveOn(before, cut);
  const gtid = formatGtid(identify(last, cut.bases));
  const fileVersion = schema.version;
  const batch: Batch = {
    v: 1,
    stream: options.stream,
    partition: 0,
    epoch: String(options.epoch),
    previous: formatPosition(before),
    last: formatPosition(after),
    checkpoint: { gtid, fileVersion },
    firstOrdinal: String(start.ordinal + 1n),
    sequenceBases: Object.fromEntries([...cut.bases].map(([domain, base]) => [String(domain), String(base)])),
    schema: { fingerprint: schema.fingerprint, fields: [...schema.fields], version: schema.version, gtid: schema.gtid },
    count: events.length,
    firstTimestamp: first.timestamp,
    lastTimestamp: last.timestamp,
    enqueuedAt: options.now,
    events: events.map((event) => event.raw).join('\n'),
  };
  const sourceTime = Math.max(start.resume?.sourceTime ?? 0, last.timestamp);
  const resume = { position: after, gtid, fileVersion, sourceTime };
  const end = { resume, ordinal: start.ordinal + BigInt(events.length) };
  return { batch, end };
}

function identify(event: ChangeEvent, bases: ReadonlyMap<number, bigint>): EventId {
  return {
    domain: BigInt(event.domain),
    serverId: BigInt(event.serverId),
    sequence: BigInt(event.sequence) + (bases.get(event.domain) ?? 0n),
    eventNumber: BigInt(event.eventNumber),
  };
}

function moveOn(position: Position, { events, bases }: CutBatch): Position {
  const lastOfDomain = new Map<number, ChangeEvent>();
  for (const [index, event] of events.entries()) {
    // Only the end of each run of events of one domain can be its last.
    if (events[index + 1]?.domain !== event.domain) lastOfDomain.set(event.domain, event);
  }
  let moved = position;
  for (const event of lastOfDomain.values()) moved = advance(moved, identify(event, bases));
  return moved;
}

const prefixKeys = ['domain', 'server_id', 'sequence', 'event_number', 'timestamp', 'event_type'];

/**
 * Compares the names of a row's columns with those of its schema: avrorouter can send rows under an outdated
 * schema line. Every row of a version has the same ones, so one row per batch is enough.
 */
export function checkColumns(schema: StreamSchema, raw: string): void {
  const row: unknown = JSON.parse(raw);
  const keys = new Set(typeof row === 'object' && row !== null ? Object.keys(row) : []);
  const expected = new Set([...prefixKeys, ...schema.fields.map((field) => field.name)]);
  const missing = [...expected].filter((name) => !keys.has(name));
  const unknown = [...keys].filter((name) => !expected.has(name));
  if (missing.length === 0 && unknown.length === 0) return;
  const describe = (names: string[]): string =>
    names
      .slice(0, 5)
      .map((name) => JSON.stringify(name))
      .join(', ');
  throw new FeedError(
    'COLUMNS_MISMATCH',
    `a row of file version ${schema.version} does not have the announced columns` +
      (missing.length > 0 ? `; missing: ${describe(missing)}` : '') +
      (unknown.length > 0 ? `; not announced: ${describe(unknown)}` : ''),
  );
}
