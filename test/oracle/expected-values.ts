import type { Json } from './lossless-json.js';
import type { OracleField } from './recorded-stream.js';

/** A value as one text, the same whichever way it was read: null, or text in the canonical form of its kind. */
export type CanonicalValue = string | null;

/** Kinds of column whose content the oracle knows. */
export type ValueKind =
  | 'smallint'
  | 'integer'
  | 'bigint'
  | 'numeric'
  | 'float'
  | 'text'
  | 'datetime'
  | 'instant'
  | 'enum';

const kindOfType: Readonly<Record<string, ValueKind>> = {
  tinyint: 'smallint',
  smallint: 'smallint',
  mediumint: 'integer',
  int: 'integer',
  integer: 'integer',
  bigint: 'bigint',
  decimal: 'numeric',
  double: 'float',
  char: 'text',
  varchar: 'text',
  text: 'text',
  longtext: 'text',
  datetime: 'datetime',
  timestamp_: 'instant',
  enum: 'enum',
};

export function kindOf(field: OracleField): ValueKind {
  const kind = kindOfType[field.realType.toLowerCase()];
  if (kind === undefined) throw new Error(`the oracle knows no ${field.realType}`);
  // An unsigned int reaches beyond PostgreSQL's integer, an unsigned bigint beyond its bigint.
  if (field.unsigned && kind === 'integer') return 'bigint';
  if (field.unsigned && kind === 'bigint') return 'numeric';
  return kind;
}

/** What a value of the stream means, in canonical form. MaxScale is taken to run in UTC. */
export function expectedValue(field: OracleField, value: Json | undefined): CanonicalValue {
  if (value === undefined) throw new Error(`no value for column ${field.name}`);
  switch (value.kind) {
    case 'null':
      return null;
    case 'number':
      return field.avroType === 'double' ? fromDouble(kindOf(field), value.text) : wholeNumber(field, value.text);
    case 'string':
      return fromText(kindOf(field), value.value);
    case 'boolean':
    case 'array':
    case 'object':
      throw new Error(`a ${value.kind} in column ${field.name}`);
  }
}

function wholeNumber(field: OracleField, text: string): string {
  const number = BigInt(text);
  if (!field.unsigned || number >= 0n) return number.toString();
  return (number + 2n ** (field.avroType === 'long' ? 64n : 32n)).toString();
}

/** A decimal comes as the double nearest to it: 15 digits are what a double surely keeps. */
function fromDouble(kind: ValueKind, text: string): string {
  return kind === 'numeric' ? trimZeros(Number(text).toPrecision(15)) : String(Number(text));
}

function fromText(kind: ValueKind, text: string): CanonicalValue {
  switch (kind) {
    case 'datetime':
      return text.startsWith('0-00-00') ? null : text;
    case 'instant':
      return text.startsWith('0-00-00') ? null : `${text}+00`;
    case 'enum':
      return littleEndian(text).toString();
    case 'text':
      return text.replaceAll('\0', '');
    case 'smallint':
    case 'integer':
    case 'bigint':
    case 'numeric':
    case 'float':
      throw new Error(`text ${JSON.stringify(text)} where a number was expected`);
  }
}

/** `2C01` → 300: the bytes of the index, lowest first. */
function littleEndian(hex: string): number {
  return Buffer.from(hex, 'hex').reduceRight((sum, byte) => sum * 256 + byte, 0);
}

/** What PostgreSQL shows as text for a column of this kind (session time zone UTC), in canonical form. */
export function canonicalFromPostgres(kind: ValueKind, text: string | null): CanonicalValue {
  if (text === null) return null;
  if (kind === 'float') return String(Number(text));
  return kind === 'numeric' ? trimZeros(text) : text;
}

function trimZeros(text: string): string {
  if (text.includes('e')) throw new Error(`${text} is beyond the oracle`);
  return text.includes('.') ? text.replace(/0+$/, '').replace(/\.$/, '') : text;
}
