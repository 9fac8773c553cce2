import { isUtf8 } from 'node:buffer';
import { type Column, avroTypeOf } from '@afterimage/cdc-protocol/testing';
import type { StoredValue } from './stored-values.js';

/** A value in an Avro record: what the JSON line is made of, and how many bytes it takes in the file. */
export interface AvroValue {
  readonly value: string | number | bigint | null;
  readonly bytes: number;
}

/**
 * Puts a value into a column's Avro field. A field does not take a value of another type (a number into a string, as
 * with `int8`; text into a string where the DDL said `json`): it then keeps its empty value.
 */
export function toAvroValue(column: Column, stored: StoredValue): AvroValue {
  const field = fields[avroTypeOf(column)];
  const content = stored.kind === 'null' || field === undefined ? undefined : field.put(stored);
  if (stored.kind === 'null') return { value: null, bytes: 1 };
  return content === undefined ? { value: field?.empty ?? '', bytes: 2 } : { ...content, bytes: content.bytes + 1 };
}

interface Field {
  readonly empty: string | number;
  put(stored: StoredValue): AvroValue | undefined;
}

const integerField: Field = {
  empty: 0,
  put: (stored) =>
    stored.kind === 'integer' ? { value: stored.value, bytes: countVarintBytes(BigInt(stored.value)) } : undefined,
};

function realField(kind: 'float' | 'double', bytes: number): Field {
  return { empty: 0, put: (stored) => (stored.kind === kind ? { value: stored.value, bytes } : undefined) };
}

/** Ends at the first NUL, as C's strings do. */
const stringField: Field = {
  empty: '',
  put: (stored) => {
    if (stored.kind === 'text') return withLength(Buffer.from(stored.value));
    if (stored.kind !== 'string') return undefined;
    const nul = stored.bytes.indexOf(0);
    return withLength(nul === -1 ? stored.bytes : stored.bytes.subarray(0, nul));
  },
};

/** Keeps its NULs; an empty TEXT or BLOB becomes one. */
const bytesField: Field = {
  empty: '',
  put: (stored) => (stored.kind === 'blob' || stored.kind === 'string' ? withLength(stored.bytes) : undefined),
};

const fields: Readonly<Record<string, Field>> = {
  int: integerField,
  long: integerField,
  float: realField('float', 4),
  double: realField('double', 8),
  bytes: bytesField,
  string: stringField,
};

/** Text where the bytes are UTF-8, else their hexadecimal. */
function withLength(bytes: Buffer): AvroValue {
  return {
    value: isUtf8(bytes) ? bytes.toString('utf8') : bytes.toString('hex'),
    bytes: bytes.length + countVarintBytes(BigInt(bytes.length)),
  };
}

/** Bytes of Avro's zigzag variable-length integers. */
export function countVarintBytes(value: bigint): number {
  let zigzag = value < 0n ? -2n * value - 1n : 2n * value;
  let bytes = 1;
  for (; zigzag >= 128n; zigzag >>= 7n) bytes++;
  return bytes;
}
