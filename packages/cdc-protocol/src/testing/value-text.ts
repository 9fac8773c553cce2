import type { RowValue } from '../messages.js';

/** A column as a schema line describes it. Without `avroType` it follows from the real type. */
export interface Column {
  readonly name: string;
  /** The type word of the DDL: `int`, `varchar`, `timestamp_`, … */
  readonly realType: string;
  readonly avroType?: string;
  readonly unsigned?: boolean;
}

const realTypes: Readonly<Record<string, readonly string[]>> = {
  int: ['tinyint', 'smallint', 'mediumint', 'int', 'integer', 'boolean', 'bool'],
  long: ['bigint'],
  float: ['float'],
  double: ['double', 'real', 'decimal', 'numeric', 'dec', 'fixed'],
  bytes: ['tinytext', 'text', 'mediumtext', 'longtext', 'tinyblob', 'blob', 'mediumblob', 'longblob', 'binary'],
};
const avroTypes = new Map(
  Object.entries(realTypes).flatMap(([avroType, names]) => names.map((name) => [name, avroType])),
);

/** The Avro type that avrorouter gives a column: `string` unless the real type is numeric, text, blob or binary. */
export function avroTypeOf(column: Column): string {
  return column.avroType ?? avroTypes.get(column.realType.toLowerCase()) ?? 'string';
}

const shortEscapes: Readonly<Record<string, string>> = {
  '"': '\\"',
  '\\': '\\\\',
  '\b': '\\b',
  '\t': '\\t',
  '\n': '\\n',
  '\f': '\\f',
  '\r': '\\r',
};

// oxlint-disable-next-line no-control-regex -- control characters are what JSON must escape
const escapedCharacters = /["\\\u0000-\u001f]/g;

/**
 * JSON text as jansson prints it: short escapes where there are any, else `\u001F` in upper case; `/`, DEL and
 * all other characters raw.
 */
export function formatText(text: string): string {
  return `"${text.replace(escapedCharacters, (character) => shortEscapes[character] ?? hexEscape(character))}"`;
}

function hexEscape(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).toUpperCase().padStart(4, '0')}`;
}

/**
 * A real as jansson prints it: C's `%.17g`, with `.0` where neither a point nor an exponent shows that it is
 * one, and the exponent without plus sign and leading zeros.
 */
function formatReal(value: number): string {
  if (!Number.isFinite(value)) throw new RangeError('a JSON number must be finite');
  if (value === 0) return Object.is(value, -0) ? '-0.0' : '0.0';
  const [mantissa = '', exponentText = ''] = value.toExponential(16).split('e');
  const exponent = Number(exponentText);
  if (exponent < -4 || exponent >= 17) return `${stripZeros(mantissa)}e${exponent}`;
  const fixed = stripZeros(value.toFixed(Math.min(100, 16 - exponent)));
  return fixed.includes('.') ? fixed : `${fixed}.0`;
}

function stripZeros(decimal: string): string {
  return decimal.includes('.') ? decimal.replace(/\.?0+$/, '') : decimal;
}

/**
 * A column's value as MaxScale 24.02 puts it on the wire, its losses included: integers wrap at the width of
 * the Avro type, an empty TEXT or BLOB is one NUL, a VARCHAR ends at its first NUL.
 */
export function formatValue(column: Column, value: RowValue | undefined): string {
  if (value === null || value === undefined) return 'null';
  switch (avroTypeOf(column)) {
    case 'int':
      return String(typeof value === 'number' ? value | 0 : BigInt.asIntN(32, BigInt(value)));
    case 'long':
      return BigInt.asIntN(64, BigInt(value)).toString();
    case 'float':
      return formatReal(Math.fround(Number(value)));
    case 'double':
      return formatReal(Number(value));
    case 'bytes':
      return formatText(value === '' && column.realType.toLowerCase() !== 'binary' ? '\0' : String(value));
    default:
      return formatText(cutAtNul(String(value)));
  }
}

function cutAtNul(text: string): string {
  const nul = text.indexOf('\0');
  return nul === -1 ? text : text.slice(0, nul);
}
