import { type Batch, parseBatch } from '@afterimage/change-events';

/**
 * What a job carries: the batch as it is, or, for the rare text that a store would refuse (PostgreSQL's jsonb
 * takes neither U+0000 nor half a surrogate pair), the batch's own JSON as one string, in which both are plain
 * ASCII escapes. Either way every character comes out as it went in.
 */
export type JobPayload = Batch | { readonly json: string };

const unstorable = /[\0\p{Surrogate}]/u;

export function encodeJob(batch: Batch): JobPayload {
  if (!unstorable.test(batch.events)) {
    const { events: _events, ...envelope } = batch;
    // JSON writes an unstorable character as an escape, and nothing else but other control characters.
    if (!JSON.stringify(envelope).includes('\\u')) return batch;
  }
  return { json: JSON.stringify(batch) };
}

/** Throws ZodError or SyntaxError when `payload` holds no batch that this version knows. */
export function decodeJob(payload: unknown): Batch {
  if (typeof payload === 'object' && payload !== null && 'json' in payload && typeof payload.json === 'string') {
    return parseBatch(JSON.parse(payload.json));
  }
  return parseBatch(payload);
}
