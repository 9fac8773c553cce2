/**
 * The bytes of a BLOB, BINARY or VARBINARY: MaxScale sends them as text when they are valid UTF-8, otherwise as
 * lower-case hex. An empty BLOB comes as a single NUL.
 */
export function decodeBytes(text: string): Buffer {
  if (text === '\0') return Buffer.alloc(0);
  if (/^(?:[0-9a-f]{2})+$/.test(text)) {
    const bytes = Buffer.from(text, 'hex');
    if (!isUtf8(bytes)) return bytes;
  }
  return Buffer.from(text, 'utf8');
}

function isUtf8(bytes: Buffer): boolean {
  return Buffer.from(bytes.toString('utf8'), 'utf8').equals(bytes);
}

/** Hex with the lowest byte first, as ENUM indexes and SET bitmaps come: `2C01` → 300. */
export function littleEndian(hex: string): bigint {
  return Buffer.from(hex, 'hex').reduceRight((sum, byte) => sum * 256n + BigInt(byte), 0n);
}

/** A fixed number of bytes that were cut at the first 00: whole, or null when more than a last 00 is missing. */
function fixedBytes(text: string, length: number): Buffer | null {
  const bytes = decodeBytes(text);
  if (bytes.length === length) return bytes;
  return bytes.length === length - 1 ? Buffer.concat([bytes, Buffer.alloc(1)]) : null;
}

export function showUuid(text: string): string | null {
  const hex = fixedBytes(text, 16)?.toString('hex');
  return hex === undefined ? null : hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

export function showAddress(text: string, length: 4 | 16): string | null {
  const bytes = fixedBytes(text, length);
  if (bytes === null) return null;
  if (length === 4) return [...bytes].join('.');
  const groups = Array.from({ length: 8 }, (_, index) => bytes.readUInt16BE(index * 2).toString(16));
  return new URL(`http://[${groups.join(':')}]/`).hostname.slice(1, -1);
}
