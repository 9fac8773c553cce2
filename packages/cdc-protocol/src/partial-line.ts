const initialBytes = 4 * 1024;
const keptBytes = 256 * 1024;

/**
 * The beginning of a line whose end has not arrived. Bytes are copied into one buffer that doubles, so a line
 * costs O(its length) however many pieces it comes in, and no socket buffer is kept alive by a few bytes.
 */
export class PartialLine {
  #buffer: Buffer = Buffer.alloc(0);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  append(bytes: Buffer): void {
    const needed = this.#length + bytes.length;
    if (needed > this.#buffer.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(needed, this.#buffer.length * 2, initialBytes));
      this.#buffer.copy(grown, 0, 0, this.#length);
      this.#buffer = grown;
    }
    bytes.copy(this.#buffer, this.#length);
    this.#length = needed;
  }

  /** The bytes so far; valid until the next append. */
  take(): Buffer {
    const taken = this.#buffer.subarray(0, this.#length);
    this.#length = 0;
    if (this.#buffer.length > keptBytes) this.#buffer = Buffer.alloc(0);
    return taken;
  }
}
