import { type Batch, parseBatch } from '@afterimage/change-events';
import { type PackedText, isPacked, packText, unpackText } from './packed-text.js';

type Envelope = Omit<Batch, 'events'>;

/**
 * What a job carries, one of:
 *
 * - the batch with its events packed, when that makes it much smaller; the envelope stays readable for people;
 * - the batch as it is;
 * - for the rare text that a store would refuse (PostgreSQL's jsonb takes neither U+0000 nor half a surrogate pair), the
 *   batch's own JSON as one string, in which both are plain ASCII escapes.
 *
 * Whichever it is, every character comes out as it went in.
 */
export type JobPayload = Batch | (Envelope & { readonly packed: PackedText }) | { readonly json: string };

const unstorable = /[\0\p{Surrogate}]/u;

export function encodeJob(batch: Batch): JobPayload {
  const { events, ...envelope } = batch;
  // JSON writes an unstorable character as an escape, and nothing else but other control characters.
  if (JSON.stringify(envelope).includes('\\u')) return { json: JSON.stringify(batch) };
  const packed = packText(events);
  if (packed !== undefined) return { ...envelope, packed };
  return unstorable.test(events) ? { json: JSON.stringify(batch) } : batch;
}

/** Throws ZodError, SyntaxError or PackedTextError when `payload` holds no batch that this version knows. */
export function decodeJob(payload: unknown): Batch {
  if (typeof payload !== 'object' || payload === null) return parseBatch(payload);
  if ('json' in payload && typeof payload.json === 'string') return parseBatch(JSON.parse(payload.json));
  if (!('packed' in payload) || !isPacked(payload.packed)) return parseBatch(payload);
  const { packed, ...envelope } = payload;
  return parseBatch({ ...envelope, events: unpackText(packed) });
}
