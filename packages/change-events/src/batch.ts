import { z } from 'zod';
import { parsePosition } from './position.js';
import { fieldSchema } from './schema.js';

const positionText = z.string().refine((text) => {
  try {
    parsePosition(text);
    return true;
  } catch {
    return false;
  }
}, 'not a position');
const integerText = z.string().regex(/^\d{1,20}$/);

/**
 * A batch: consecutive change events of one partition of one stream, all under one schema, as the reader hands
 * them to a writer. 64-bit integers are text. The event lines are kept exactly as MaxScale sent them.
 *
 * Positions and ordinals are those of the whole stream: a batch says "of this partition, these are all events after
 * `previous` up to `last`". One without events says that there are none.
 */
export const batchSchema = z.strictObject({
  /** Version of this envelope. A writer refuses a version it does not know. */
  v: z.literal(2),
  stream: z.strictObject({
    id: z.uuid(),
    source: z.string().min(1),
    database: z.string().min(1),
    table: z.string().min(1),
  }),
  partition: z.int().nonnegative(),
  /** Which division into partitions it belongs to. A writer drops a batch of another one than is in force. */
  layout: z.int().positive(),
  /** The epoch of the reader that cut it; for diagnosis, correctness does not rest on it. */
  epoch: integerText,
  /** The position this batch follows. A writer whose offset does not cover it has a gap. */
  previous: positionText,
  /** The position it ends at: after its last event, or later where no event of this partition comes between. */
  last: positionText,
  /** Ordinal of the event at `last`. */
  lastOrdinal: integerText,
  /** Where a reader resumes after `last`: the GTID of the event there and the file version that held it. */
  checkpoint: z.strictObject({ gtid: z.string(), fileVersion: z.int().positive() }),
  /** Ordinal of its first event: events of a stream are numbered 1, 2, 3, … in stream order, without holes. */
  firstOrdinal: integerText,
  /** How far each event's ordinal lies after `firstOrdinal`; absent where the batch has no holes. */
  ordinals: z.array(z.int().nonnegative()).optional(),
  /**
   * What to add to the unsigned 32-bit sequence on a line to get the real one, per domain, where it is not 0
   * (MaxScale sends sequences modulo 2^32). Constant within a batch.
   */
  sequenceBases: z.record(z.string(), integerText),
  schema: z.strictObject({
    fingerprint: z.string().min(1),
    fields: z.array(fieldSchema).min(1),
    /** MaxScale's file version and the GTID of the DDL, as the schema line said. */
    version: z.int(),
    gtid: z.string(),
    /**
     * Ordinal of the stream's first event under it, as far as its reader knows: no event of any partition from there on
     * may be applied before all from before are.
     */
    since: integerText,
  }),
  /** Number of event lines. */
  count: z.int().nonnegative(),
  /** Unix seconds of the first event and of the one at `last` at the source. */
  firstTimestamp: z.int(),
  lastTimestamp: z.int(),
  /** When the reader queued it: Unix milliseconds. */
  enqueuedAt: z.int(),
  /** The raw event lines, joined by "\n" (a line never holds a newline). */
  events: z.string(),
});

export type Batch = z.infer<typeof batchSchema>;
export type StreamIdentity = Batch['stream'];

/** Splits a batch's text into its raw lines. Throws RangeError when the count does not match the envelope's. */
export function eventLines(batch: Pick<Batch, 'events' | 'count'>): string[] {
  const lines = batch.count === 0 && batch.events === '' ? [] : batch.events.split('\n');
  if (lines.length !== batch.count) {
    throw new RangeError(`batch says ${batch.count} events but holds ${lines.length} lines`);
  }
  return lines;
}

/** The ordinal of each event. Throws RangeError when the count does not match the envelope's. */
export function eventOrdinals(batch: Pick<Batch, 'firstOrdinal' | 'ordinals' | 'count'>): bigint[] {
  const first = BigInt(batch.firstOrdinal);
  const { ordinals = Array.from({ length: batch.count }, (_, i) => i) } = batch;
  if (ordinals.length !== batch.count) {
    throw new RangeError(`batch says ${batch.count} events but numbers ${ordinals.length}`);
  }
  return ordinals.map((distance) => first + BigInt(distance));
}

/** Validates what came out of a queue. Throws ZodError naming each wrong field. */
export function parseBatch(value: unknown): Batch {
  return batchSchema.parse(value);
}

/** The queue that carries one partition of a stream: `stream-<id>-<partition>`, safe for BullMQ (no colon). */
export function queueName(streamId: string, partition: number): string {
  return `stream-${streamId}-${partition}`;
}
