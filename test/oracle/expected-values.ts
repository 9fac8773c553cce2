import { decodeBytes, littleEndian, showAddress, showUuid } from './expected-bytes.js';
import { completeDate, completeMoment, microsecondsOf, timeInMicroseconds } from './expected-times.js';
import type { Json } from './lossless-json.js';
import type { OracleField } from './recorded-stream.js';

/**
 * A value as one text, the same whichever way it was read: null, or text in the canonical form of its kind.
 * `undefined` = the stream does not tell, and the oracle does not guess.
 */
export type CanonicalValue = string | null | undefined;

/** Kinds of column, by what their values look like in PostgreSQL. */
export type ValueKind =
  | 'smallint'
  | 'integer'
  | 'bigint'
  | 'numeric'
  | 'real'
  | 'double'
  | 'text'
  | 'bytes'
  | 'date'
  | 'datetime'
  | 'instant'
  | 'time'
  | 'year'
  | 'enum'
  | 'set'
  | 'uuid'
  | 'inet6'
  | 'inet4'
  | 'lost';

const wordsOfKind: Readonly<Partial<Record<ValueKind, string>>> = {
  smallint: 'tinyint boolean smallint',
  integer: 'mediumint int integer',
  bigint: 'bigint',
  numeric: 'decimal numeric dec fixed',
  real: 'float',
  double: 'double real',
  text: 'char varchar national character tinytext text mediumtext longtext varchar2',
  bytes: 'tinyblob blob mediumblob longblob binary varbinary',
  date: 'date',
  datetime: 'datetime',
  instant: 'timestamp_',
  time: 'time',
  year: 'year',
  enum: 'enum',
  set: 'set',
  uuid: 'uuid',
  inet6: 'inet6',
  inet4: 'inet4',
  // MaxScale sends "" for every value of these.
  lost: 'bit json long int1 int2 int3 int4 int8 middleint',
};

const kindOfWord = new Map(
  Object.entries(wordsOfKind).flatMap(([kind, words]) => words.split(' ').map((word) => [word, kind as ValueKind])),
);

export function kindOf(field: OracleField): ValueKind {
  const kind = kindOfWord.get(field.realType.toLowerCase());
  if (kind === undefined) throw new Error(`the oracle knows no ${field.realType}`);
  if (!field.unsigned) return kind;
  // An unsigned int reaches beyond PostgreSQL's integer, an unsigned bigint beyond its bigint.
  if (field.realType.toLowerCase().startsWith('int')) return 'bigint';
  return kind === 'bigint' ? 'numeric' : kind;
}

/** What a value of the stream means, in canonical form. MaxScale is taken to run in UTC. */
export function expectedValue(field: OracleField, value: Json | undefined): CanonicalValue {
  const kind = kindOf(field);
  switch (value?.kind) {
    case 'null':
      return null;
    case 'number':
      return field.avroType === 'int' || field.avroType === 'long'
        ? wholeNumber(field, value.text)
        : fractionalNumber(kind, value.text);
    case 'string':
      return fromText(kind, value.value);
    case 'boolean':
    case 'array':
    case 'object':
    case undefined:
      throw new Error(`a strange value in column ${field.name}`);
  }
}

function wholeNumber(field: OracleField, text: string): string {
  const number = BigInt(text);
  if (!field.unsigned || number >= 0n) return number.toString();
  return (number + 2n ** (field.avroType === 'long' ? 64n : 32n)).toString();
}

function fractionalNumber(kind: ValueKind, text: string): CanonicalValue {
  if (kind === 'real') return String(Math.fround(Number(text)));
  return kind === 'numeric' ? decimalNumber(Number(text)) : String(Number(text));
}

/**
 * A decimal comes as a double that is right below 10^9 (15 digits are what a double surely keeps). From there its
 * groups of nine digits were put together on base 2^32; for a whole number of two groups that can be undone.
 */
function decimalNumber(number: number): CanonicalValue {
  if (Math.abs(number) < 1e9) return trimZeros(plainText(number));
  if (!Number.isSafeInteger(number)) return undefined;
  const upper = Math.floor(Math.abs(number) / 2 ** 32);
  const lower = Math.abs(number) % 2 ** 32;
  if (upper >= 1e9 || lower >= 1e9) return undefined;
  return `${number < 0 ? '-' : ''}${BigInt(upper) * 1_000_000_000n + BigInt(lower)}`;
}

function plainText(number: number): string {
  const rounded = Number(number.toPrecision(15));
  const digits = 14 - Math.floor(Math.log10(Math.abs(rounded) || 1));
  return rounded.toFixed(Math.min(Math.max(digits, 0), 100));
}

function fromText(kind: ValueKind, text: string): CanonicalValue {
  const convert = textConverters[kind];
  if (convert === undefined) throw new Error(`text ${JSON.stringify(text)} where ${kind} was expected`);
  return convert(text);
}

const textConverters: Readonly<Partial<Record<ValueKind, (text: string) => CanonicalValue>>> = {
  text: (text) => text.replaceAll('\0', ''),
  bytes: (text) => decodeBytes(text).toString('hex'),
  date: completeDate,
  datetime: completeMoment,
  instant: completeMoment,
  time: timeInMicroseconds,
  year: (text) => (text === '1900' ? '0' : text),
  enum: (text) => littleEndian(text).toString(),
  set: (text) => littleEndian(text).toString(),
  uuid: showUuid,
  inet6: (text) => showAddress(text, 16),
  inet4: (text) => showAddress(text, 4),
  lost: () => null,
};

/** What PostgreSQL shows as text for a column of this kind (session time zone UTC), in canonical form. */
export function canonicalFromPostgres(kind: ValueKind, text: string | null): CanonicalValue {
  if (text === null) return null;
  switch (kind) {
    case 'double':
      return String(Number(text));
    case 'real':
      return String(Math.fround(Number(text)));
    case 'numeric':
      return trimZeros(text);
    case 'bytes':
      return text.replace(/^\\x/, '');
    case 'instant':
      return text.replace(/\+00$/, '');
    case 'time':
      return microsecondsOf(text);
    case 'inet4':
    case 'inet6':
      return text.replace(/\/\d+$/, '');
    default:
      return text;
  }
}

function trimZeros(text: string): string {
  const trimmed = text.includes('.') ? text.replace(/0+$/, '').replace(/\.$/, '') : text;
  return trimmed === '-0' ? '0' : trimmed;
}
