import { createHash } from 'node:crypto';
import { z } from 'zod';

/** One column as the stream's schema line describes it; nullability, keys, lengths and labels are not in it. */
export const fieldSchema = z.strictObject({
  name: z.string().min(1),
  /** The type word as written in the DDL, e.g. `int`, `INTEGER`, `timestamp_`, `decimal`. */
  realType: z.string(),
  /** The non-null branch of the Avro type: int, long, float, double, string, bytes. */
  avroType: z.string(),
  unsigned: z.boolean(),
});

export type Field = z.infer<typeof fieldSchema>;

/**
 * Names a schema by its content: equal field lists have equal fingerprints whatever file version or GTID they
 * came with. A schema version is its content, not its number: MaxScale bumps the number when a file merely
 * rotates, and two MaxScales number differently.
 */
export function fingerprintOf(fields: readonly Field[]): string {
  const content = fields.map((f) => [f.name, f.realType.toLowerCase(), f.avroType, f.unsigned]);
  return createHash('sha256').update(JSON.stringify(content)).digest('hex').slice(0, 32);
}
