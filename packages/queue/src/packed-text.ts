import { deflateRawSync, inflateRawSync } from 'node:zlib';

/** A text, deflated, as ASCII that JSON needs not escape. */
export interface PackedText {
  readonly form: 'deflate';
  /** Of the text in UTF-8. */
  readonly bytes: number;
  readonly base64: string;
}

/** Something that says it is packed and cannot be unpacked. */
class PackedTextError extends Error {
  override readonly name = 'PackedTextError';
}

/** Shorter texts gain nothing that counts beside the rest of a job. */
const leastLength = 2_048;
/**
 * Longer texts, which only single events have, are left as they are: packing keeps a process from everything else, for
 * 3 ms per MiB of ordinary rows and up to 20 of random ones. It is also what a text may unpack to at most, however little
 * of it there is.
 */
const mostBytes = 4 * 1024 * 1024;
/** In percent of the text; above, sparing the store costs more than it is worth. */
const worthwhile = 60;
const surrogate = /\p{Surrogate}/u;
const sampleLength = 8_192;
/** The fastest; others gain 1 % of size for 20 % more time with event lines. */
const level = 1;

/** Undefined when the text is better left as it is: short, very long, random, or not Unicode. */
export function packText(text: string): PackedText | undefined {
  if (text.length < leastLength || text.length > mostBytes) return undefined;
  // UTF-8 has no half surrogate pairs.
  if (surrogate.test(text) || !seemsWorthwhile(text)) return undefined;
  const plain = Buffer.from(text);
  if (plain.length > mostBytes) return undefined;
  const base64 = deflateRawSync(plain, { level }).toString('base64');
  return base64.length * 100 > plain.length * worthwhile ? undefined : { form: 'deflate', bytes: plain.length, base64 };
}

/** Random text takes six times as long to deflate as rows: a piece from the middle tells. */
function seemsWorthwhile(text: string): boolean {
  if (text.length < 4 * sampleLength) return true;
  const start = Math.floor((text.length - sampleLength) / 2);
  const sample = Buffer.from(text.slice(start, start + sampleLength));
  // A short piece deflates a little worse than the whole.
  return deflateRawSync(sample, { level }).length * (4 / 3) * 100 <= sample.length * (worthwhile + 10);
}

export function isPacked(value: unknown): value is PackedText {
  if (typeof value !== 'object' || value === null) return false;
  const { form, bytes, base64 } = value as Partial<PackedText>;
  return form === 'deflate' && typeof bytes === 'number' && typeof base64 === 'string';
}

/** Throws PackedTextError unless it is exactly what `packText` gave. Never takes more memory than that may. */
export function unpackText({ bytes, base64 }: PackedText): string {
  if (!Number.isSafeInteger(bytes) || bytes < 1 || bytes > mostBytes) {
    throw new PackedTextError(`a packed text of ${bytes} bytes, which must be 1 to ${mostBytes}`);
  }
  let plain: Buffer;
  try {
    plain = inflateRawSync(Buffer.from(base64, 'base64'), { maxOutputLength: bytes });
  } catch (cause) {
    throw new PackedTextError('a packed text that cannot be unpacked', { cause });
  }
  if (plain.length !== bytes) throw new PackedTextError(`a packed text of ${plain.length} bytes that says ${bytes}`);
  return plain.toString();
}
