import { type Batch, formatPosition, type Layout, type Position, type StreamIdentity } from '@afterimage/change-events';
import type { BatchContext, CutBatch, Unit } from './batch-cutter.js';
import type { ChangeEvent, StreamSchema } from './change-source.js';
import { FeedError } from './feed-error.js';
import { pointAfter, type ReadPoint } from './stream-divider.js';

export interface EnvelopeOptions {
  readonly stream: StreamIdentity;
  readonly layout: Layout;
  readonly partition: number;
  readonly epoch: bigint;
  /** Unix milliseconds. */
  readonly now: number;
}

export interface SealedBatch {
  readonly batch: Batch;
  /** Where the batch after it begins. */
  readonly end: ReadPoint;
}

/** Puts a cut batch into its envelope. Throws FeedError COLUMNS_MISMATCH when its first or last row does not fit its schema. */
export function sealBatch(start: ReadPoint, cut: CutBatch, options: EnvelopeOptions): SealedBatch {
  const { first, last, firstEvent, lastEvent } = endsOf(cut);
  for (const { raw } of new Set([firstEvent, lastEvent])) checkColumns(cut.schema, raw);
  const end = pointAfter(last, cut, Math.max(start.resume?.sourceTime ?? 0, lastEvent.timestamp));
  const { units } = cut;
  const distances = units.flatMap(({ ordinal, events }) => events.map((_, i) => ordinal + i - first.ordinal));
  const hasHoles = distances.at(-1) !== cut.count - 1;
  const batch: Batch = {
    ...envelope(start, end, cut, options),
    firstOrdinal: String(first.ordinal),
    ...(hasHoles ? { ordinals: distances } : {}),
    count: cut.count,
    firstTimestamp: firstEvent.timestamp,
    lastTimestamp: lastEvent.timestamp,
    events: units.flatMap(({ events }) => events.map((event) => event.raw)).join('\n'),
  };
  return { batch, end };
}

function endsOf({ units }: CutBatch): { first: Unit; last: Unit; firstEvent: ChangeEvent; lastEvent: ChangeEvent } {
  const first = units[0];
  const last = units.at(-1);
  const firstEvent = first?.events[0];
  const lastEvent = last?.events.at(-1);
  if (first === undefined || last === undefined || firstEvent === undefined || lastEvent === undefined) {
    throw new RangeError('a batch without events');
  }
  return { first, last, firstEvent, lastEvent };
}

/** A batch without events: the partition has none between `start` and `end`. */
export function sealMark(start: ReadPoint, end: ReadPoint, context: BatchContext, options: EnvelopeOptions): Batch {
  const timestamp = end.resume?.sourceTime ?? 0;
  return {
    ...envelope(start, end, context, options),
    firstOrdinal: String(end.ordinal),
    count: 0,
    firstTimestamp: timestamp,
    lastTimestamp: timestamp,
    events: '',
  };
}

type Envelope = Omit<Batch, 'firstOrdinal' | 'count' | 'firstTimestamp' | 'lastTimestamp' | 'events'>;

function envelope(start: ReadPoint, end: ReadPoint, context: BatchContext, options: EnvelopeOptions): Envelope {
  const { schema, since, bases } = context;
  const none: Position = new Map();
  return {
    v: 2,
    stream: options.stream,
    partition: options.partition,
    layout: options.layout.number,
    epoch: String(options.epoch),
    previous: formatPosition(start.resume?.position ?? none),
    last: formatPosition(end.resume?.position ?? none),
    lastOrdinal: String(end.ordinal),
    checkpoint: { gtid: end.resume?.gtid ?? '', fileVersion: end.resume?.fileVersion ?? 1 },
    sequenceBases: Object.fromEntries([...bases].map(([domain, base]) => [String(domain), String(base)])),
    schema: {
      fingerprint: schema.fingerprint,
      fields: [...schema.fields],
      version: schema.version,
      gtid: schema.gtid,
      since: String(since),
    },
    enqueuedAt: options.now,
  };
}

function readKeys(raw: string): Set<string> | undefined {
  try {
    return new Set(Object.keys(Object(JSON.parse(raw)) as object));
  } catch {
    return undefined;
  }
}

const prefixKeys = ['domain', 'server_id', 'sequence', 'event_number', 'timestamp', 'event_type'];

/**
 * Compares the names of a row's columns with those of its schema: avrorouter can send rows under an outdated
 * schema line. Every row of a version has the same ones, so two rows per batch are enough. A row that is not JSON
 * passes: the writer makes a dead letter of it.
 */
export function checkColumns(schema: StreamSchema, raw: string): void {
  const keys = readKeys(raw);
  if (keys === undefined) return;
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
