import type { ByteReader } from './byte-reader.js';

const digitsPerGroup = 9;
/** Bytes for 0 to 9 digits. */
const groupBytes = [0, 1, 1, 2, 2, 3, 3, 4, 4, 4];

/**
 * A DECIMAL as avrorouter makes a double of it: right as long as each side of the point fits one group of nine
 * digits. It takes MariaDB's groups for base 2^32 instead of 10^9, keeps the last 8 bytes of the integer part, and
 * loses a fraction of more than 8 bytes.
 */
export function readDecimal(reader: ByteReader, precision: number, scale: number): number {
  const integerBytes = countBytes(precision - scale);
  const fractionBytes = countBytes(scale);
  const bytes = Buffer.from(reader.take(integerBytes + fractionBytes));
  const isNegative = ((bytes[0] ?? 0) & 0x80) === 0;
  bytes[0] = (bytes[0] ?? 0) ^ 0x80;
  if (isNegative) bytes.forEach((byte, index) => bytes.writeUInt8(byte ^ 0xff, index));
  const integer = toInteger(bytes.subarray(Math.max(0, integerBytes - 8), integerBytes));
  const fraction = fractionBytes > 8 ? 0n : toInteger(bytes.subarray(integerBytes));
  const sign = isNegative ? -1n : 1n;
  return Number(sign * integer) + Number(sign * fraction) / 10 ** scale;
}

function countBytes(digits: number): number {
  return Math.floor(digits / digitsPerGroup) * 4 + (groupBytes[digits % digitsPerGroup] ?? 0);
}

function toInteger(bytes: Buffer): bigint {
  return bytes.reduce((value, byte) => (value << 8n) | BigInt(byte), 0n);
}
