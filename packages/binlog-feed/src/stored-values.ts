import type { ColumnFormat } from './binlog-events.js';
import type { ByteReader } from './byte-reader.js';
import { readDecimal } from './decimal-values.js';
import { formatDate, formatDatetime, formatTime, formatTimestamp, formatYear } from './temporal-values.js';

/** A column's value as avrorouter hands it to its Avro record. */
export type StoredValue =
  | { readonly kind: 'null' }
  | { readonly kind: 'integer'; readonly value: number | bigint }
  | { readonly kind: 'float' | 'double'; readonly value: number }
  /** Dates, times, and the hexadecimal of ENUM and SET. */
  | { readonly kind: 'text'; readonly value: string }
  /** CHAR, VARCHAR, BINARY, VARBINARY, and what MariaDB stores like them (UUID, INET6). */
  | { readonly kind: 'string'; readonly bytes: Buffer }
  | { readonly kind: 'blob'; readonly bytes: Buffer };

export interface ValueContext {
  readonly isUnsigned: boolean;
  /** MaxScale's own time zone, in which it prints TIMESTAMP: `UTC`, `America/New_York`, … */
  readonly timeZone: string;
}

type ValueReader = (reader: ByteReader, format: ColumnFormat, context: ValueContext) => StoredValue;

/** A column type at which MaxScale 24.02 ends with SIGABRT: geometry, VARCHAR COMPRESSED. */
export class FatalColumnType extends Error {
  constructor(type: number) {
    super(`MaxScale aborts at a value of column type ${type}`);
    this.name = 'FatalColumnType';
  }
}

/** Reads one value that is not NULL. Throws FatalColumnType. */
export function readStoredValue(reader: ByteReader, format: ColumnFormat, context: ValueContext): StoredValue {
  const read = readers[format.type];
  if (read === undefined) throw new FatalColumnType(format.type);
  return read(reader, format, context);
}

function integerReader(size: number): ValueReader {
  const half = 2 ** (size * 8 - 1);
  return (reader, _format, { isUnsigned }) => {
    const value = reader.uint(size);
    return { kind: 'integer', value: isUnsigned || value < half ? value : value - 2 * half };
  };
}

function text(format: (reader: ByteReader, decimals: number, timeZone: string) => string): ValueReader {
  return (reader, { metadata }, { timeZone }) => ({ kind: 'text', value: format(reader, metadata[0], timeZone) });
}

const readBlob: ValueReader = (reader, { metadata }) => ({
  kind: 'blob',
  bytes: reader.take(reader.uint(metadata[0])),
});

/** A length in one byte, or in two where the column can be longer than 255 bytes. */
function readString(reader: ByteReader, maxBytes: number): StoredValue {
  return { kind: 'string', bytes: reader.take(reader.uint(maxBytes > 255 ? 2 : 1)) };
}

const enumType = 247;
const setType = 248;

/** Type 254 stands for CHAR, BINARY, ENUM and SET; its first metadata byte tells which, mixed with the length. */
const readFixedString: ValueReader = (reader, { metadata: [realType, length] }) => {
  if (realType === enumType || realType === setType) {
    return { kind: 'text', value: reader.take(length).toString('hex').toUpperCase() };
  }
  const highBits = (((realType << 8) >> 4) & 0x300) ^ 0x300;
  return readString(reader, length + highBits);
};

/** `TEXT COMPRESSED` arrives as NULL, and its bytes are skipped. */
const skipCompressed: ValueReader = (reader, { metadata }) => {
  reader.skip(reader.uint(metadata[0]));
  return { kind: 'null' };
};

/** https://mariadb.com/kb/en/rows_event_v1v2-rows_compressed_event_v1/#column-data-formats */
const readers: Readonly<Record<number, ValueReader>> = {
  1: integerReader(1),
  2: integerReader(2),
  3: integerReader(4),
  4: (reader) => ({ kind: 'float', value: reader.float() }),
  5: (reader) => ({ kind: 'double', value: reader.double() }),
  8: (reader) => ({ kind: 'integer', value: reader.uint64() }),
  9: integerReader(3),
  10: text((reader) => formatDate(reader.uint(3))),
  13: text((reader) => formatYear(reader.uint(1))),
  15: (reader, { metadata: [low, high] }) => readString(reader, low | (high << 8)),
  // Of BIT the bytes are skipped: avrorouter has no use for them.
  16: (reader, { metadata: [bits, bytes] }) => {
    reader.skip(bytes + (bits > 0 ? 1 : 0));
    return { kind: 'integer', value: 0 };
  },
  17: text(formatTimestamp),
  18: text(formatDatetime),
  19: text(formatTime),
  140: skipCompressed,
  246: (reader, { metadata: [precision, scale] }) => ({ kind: 'double', value: readDecimal(reader, precision, scale) }),
  249: readBlob,
  250: readBlob,
  251: readBlob,
  252: readBlob,
  254: readFixedString,
};
