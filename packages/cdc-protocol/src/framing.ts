import { isUtf8 } from 'node:buffer';
import { CdcError } from './errors.js';
import { PartialLine } from './partial-line.js';

const newline = 0x0a;

/** Receives whole lines: each ends with "\n", one call may carry many. */
export type LinesSink = (lines: string) => void;

/**
 * Bytes in, lines out. Lines end at the byte 0x0A only: U+2028 and friends occur raw inside rows. Whole lines
 * of a chunk are decoded together, as one string, because that costs a fraction of decoding each; a line that
 * spans chunks is decoded by itself, so no string is longer than a chunk or a line.
 */
export class LineFramer {
  readonly #maxLineBytes: number;
  readonly #partial = new PartialLine();

  constructor(maxLineBytes: number) {
    this.#maxLineBytes = maxLineBytes;
  }

  /** Bytes of the line that has begun and not ended. */
  get pendingBytes(): number {
    return this.#partial.length;
  }

  /**
   * Takes the next bytes of the stream and hands on the lines they complete. Throws CdcError LINE_TOO_LONG or
   * PROTOCOL_VIOLATION (invalid UTF-8) after handing on the lines before the bad one; unusable from then on.
   */
  push(chunk: Buffer, sink: LinesSink): void {
    let start = 0;
    if (this.#partial.length > 0) {
      const end = chunk.indexOf(newline);
      if (end === -1) return this.#keep(chunk);
      start = end + 1;
      this.#keep(chunk.subarray(0, end));
      this.#partial.append(chunk.subarray(end, start));
      this.#decode(this.#partial.take(), sink);
    }
    const end = chunk.lastIndexOf(newline) + 1;
    if (end > start) this.#decode(chunk.subarray(start, end), sink);
    if (Math.max(start, end) < chunk.length) this.#keep(chunk.subarray(Math.max(start, end)));
  }

  #keep(bytes: Buffer): void {
    if (this.#partial.length + bytes.length > this.#maxLineBytes) throw lineTooLong(this.#maxLineBytes);
    this.#partial.append(bytes);
  }

  #decode(lines: Buffer, sink: LinesSink): void {
    if (lines.length <= this.#maxLineBytes && isUtf8(lines)) sink(lines.toString('utf8'));
    else this.#decodeOneByOne(lines, sink);
  }

  #decodeOneByOne(lines: Buffer, sink: LinesSink): void {
    for (let start = 0; start < lines.length;) {
      const end = lines.indexOf(newline, start);
      if (end - start > this.#maxLineBytes) throw lineTooLong(this.#maxLineBytes);
      const line = lines.subarray(start, end + 1);
      if (!isUtf8(line)) throw new CdcError('PROTOCOL_VIOLATION', `a line of ${end - start} bytes is not valid UTF-8`);
      sink(line.toString('utf8'));
      start = end + 1;
    }
  }
}

function lineTooLong(limit: number): CdcError {
  return new CdcError('LINE_TOO_LONG', `the server sent a line of more than ${limit} bytes (maxLineBytes)`);
}
