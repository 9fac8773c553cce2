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
 */
export const batchSchema = z.strictObject({
  /** Version of this envelope. A writer refuses a version it does not know. */
  v: z.literal(1),
  stream: z.strictObject({
    id: z.uuid(),
    source: z.string().min(1),
    database: z.string().min(1),
    table: z.string().min(1),
  }),
  partition: z.int().nonnegative(),
  /** The epoch of the reader that cut it; for diagnosis, correctness does not rest on it. */
  epoch: integerText,
  /** The position this batch follows. A writer whose offset does not cover it has a gap. */
  previous: positionText,
  /** The position after its last event. */
  last: positionText,
  /** Where a reader resumes after this batch: the GTID of its last event and the file version that held it. */
  checkpoint: z.strictObject({ gtid: z.string(), fileVersion: z.int().positive() }),
  /** Ordinal of its first event: events of a stream are numbered 1, 2, 3, … in stream order, without holes. */
  firstOrdinal: integerText,
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
  }),
  /** Number of event lines. */
  count: z.int().positive(),
  /** Unix seconds of the first and last event at the source. */
  firstTimestamp: z.int(),
  lastTimestamp: z.int(),
  /** When the reader queued it: Unix milliseconds. */
  enqueuedAt: z.int(),
  /** The raw event lines, joined by "\n" (a line never holds a newline). */
  events: z.string().min(1),
});

export type Batch = z.infer<typeof batchSchema>;
export type StreamIdentity = Batch['stream'];

/** Splits a batch's text into its raw lines. Throws RangeError when the count does not match the envelope's. */
export function eventLines(batch: Pick<Batch, 'events' | 'count'>): string[] {
  const lines = batch.events.split('\n');
  if (lines.length !== batch.count) {
    throw new RangeError(`batch says ${batch.count} events but holds ${lines.length} lines`);
  }
  return lines;
}

/** Validates what came out of a queue. Throws ZodError naming each wrong field. */
export function parseBatch(value: unknown): Batch {
  return batchSchema.parse(value);
}

/** The queue that carries one partition of a stream: `stream-<id>-<partition>`, safe for BullMQ (no colon). */
export function queueName(streamId: string, partition: number): string {
  return `stream-${streamId}-${partition}`;
}
