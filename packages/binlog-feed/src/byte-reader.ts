/** Reads a buffer from its start to its end: integers little-endian unless the name says otherwise. */
export class ByteReader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get atEnd(): boolean {
    return this.#at >= this.#bytes.length;
  }

  skip(count: number): void {
    this.#at += count;
  }

  /** An unsigned integer of 1 to 6 bytes. */
  uint(size: number): number {
    const value = this.#bytes.readUIntLE(this.#at, size);
    this.#at += size;
    return value;
  }

  uint64(): bigint {
    const value = this.#bytes.readBigUInt64LE(this.#at);
    this.#at += 8;
    return value;
  }

  /** An unsigned integer of 0 to 6 bytes, most significant first. */
  uintBE(size: number): number {
    if (size === 0) return 0;
    const value = this.#bytes.readUIntBE(this.#at, size);
    this.#at += size;
    return value;
  }

  float(): number {
    const value = this.#bytes.readFloatLE(this.#at);
    this.#at += 4;
    return value;
  }

  double(): number {
    const value = this.#bytes.readDoubleLE(this.#at);
    this.#at += 8;
    return value;
  }

  /** A view, not a copy. Throws RangeError when there are fewer. */
  take(count: number): Buffer {
    if (this.#at + count > this.#bytes.length) throw new RangeError('the packet ends too early');
    const start = this.#at;
    this.#at += count;
    return this.#bytes.subarray(start, this.#at);
  }

  rest(): Buffer {
    return this.take(this.#bytes.length - this.#at);
  }

  /** Bytes up to a NUL, which is read as well. */
  untilNul(): Buffer {
    const end = this.#bytes.indexOf(0, this.#at);
    const bytes = this.take((end === -1 ? this.#bytes.length : end) - this.#at);
    this.skip(1);
    return bytes;
  }

  /** A length-encoded integer: https://mariadb.com/kb/en/protocol-data-types/#length-encoded-integers. */
  lengthEncoded(): number {
    const first = this.uint(1);
    if (first < 0xfb) return first;
    if (first === 0xfc) return this.uint(2);
    if (first === 0xfd) return this.uint(3);
    return Number(this.uint64());
  }
}
