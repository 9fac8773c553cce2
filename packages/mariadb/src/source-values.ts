import { quoteSource } from './quoting.js';
import { findScale, findTarget, type PostgresTarget } from './postgres-target.js';
import { bitDigits, byteText, doubleText, momentText, plainText, trimZeros, truthText } from './value-expressions.js';
import type { ColumnKnowledge, ColumnType } from './table-knowledge.js';

/** What decides about values that PostgreSQL cannot hold; as the stream's mapping has it. */
export interface SourceValueSettings {
  /** What 0000-00-00, 2024-05-00, 2023-02-30 and dates of the year 0 become. */
  readonly zeroDates: 'null' | '-infinity';
  /** What becomes of NUL characters in text; `replace` puts U+FFFD. */
  readonly nulCharacters: 'remove' | 'replace';
}

/**
 * How one column of MariaDB is read, and how its values are compared with the mirror's without moving them. All three are
 * SQL; those for MariaDB want a session in UTC with utf8mb4 (`openSourceDatabase`), that for PostgreSQL wants the settings
 * of `fixTextForms`.
 */
export interface SourceValue {
  /**
   * For MariaDB: the text that `COPY` and `::type` of the mirror's column take, or NULL. Where the stream is exact it gives
   * the very value that the stream gives; where the stream loses or bends a value, the true one.
   *
   * Fails (error 1690) for a blob that is too long to be written as hex within `max_allowed_packet`.
   */
  readonly read: string;
  /**
   * For MariaDB and, from a column reference, for PostgreSQL: texts that differ when the values differ, and mostly are equal
   * when the values are. Each is NULL for NULL.
   */
  readonly sourceForm: string;
  readonly mirrorForm: (reference: string) => string;
  /** Whether the forms may be any text, so that what stands beside them in one text must be told apart by length. */
  readonly isOpen: boolean;
  /** Whether equal values always have equal forms. Where not (jsonb, for one), `read` and PostgreSQL decide. */
  readonly isCanonical: boolean;
}

interface Context {
  readonly column: ColumnKnowledge;
  /** The column's name, quoted. */
  readonly name: string;
  readonly postgresType: string;
  readonly target: PostgresTarget;
  readonly settings: SourceValueSettings;
}

const asText = (reference: string): string => `${reference}::text`;
const closed = { mirrorForm: asText, isOpen: false, isCanonical: true };
const open = { ...closed, isOpen: true };

/** The one definition of a column's value, for copies, comparisons and repairs. `postgresType` is the mirror column's. */
export function sourceValue(column: ColumnKnowledge, postgresType: string, settings: SourceValueSettings): SourceValue {
  const name = quoteSource(column.name);
  const target = findTarget(postgresType);
  const value = describeValue({ column, name, postgresType, target, settings });
  if (target === 'uuid') return { ...value, ...compareAsUuid(value.read) };
  if (target === 'jsonb') return { ...value, ...compareAsJson(value.read) };
  return isUsual(column.type, target) ? value : { ...value, isCanonical: false };
}

function describeValue(context: Context): SourceValue {
  const { column, name, target, settings } = context;
  const { type } = column;
  switch (type.kind) {
    case 'integer':
      return readNumber(context, type.isZerofill ? `(${name} + 0)` : name, 0);
    case 'year':
      return readNumber(context, `(${name} + 0)`, 0);
    case 'decimal':
      return readNumber(context, column.definition.includes('zerofill') ? `(${name} + 0)` : name, type.scale);
    case 'float':
      return readFloat(context);
    case 'bit':
      return readBits(context, type.length);
    case 'date':
    case 'datetime':
    case 'timestamp':
      return readMoment(context);
    case 'time':
      return form(trimZeros(`CAST(${name} AS CHAR)`, type.decimals), closed);
    case 'enum':
    case 'set':
      if (target === 'integer' || target === 'numeric') return form(`CAST(CAST(${name} AS UNSIGNED) AS CHAR)`, closed);
      return form(plainText(name, settings.nulCharacters), open);
    case 'text':
      return readText(context, type.name);
    case 'binary':
      return readBytes(context, type.name);
    case 'uuid':
      return form(`CAST(${name} AS CHAR)`, closed);
    case 'inet4':
    case 'inet6':
      return readAddress(context, type.kind === 'inet4' ? 32 : 128);
    case 'geometry':
      return form(`ST_AsText(${name})`, open);
    case 'other':
      return form(plainText(`CAST(${name} AS CHAR)`, settings.nulCharacters), open);
  }
}

function form(read: string, rest: Omit<SourceValue, 'read' | 'sourceForm'>): SourceValue {
  return { read, sourceForm: read, ...rest };
}

function readNumber({ target, postgresType }: Context, number: string, scale: number): SourceValue {
  if (target === 'boolean') return form(truthText(number), closed);
  if (target === 'integer') return form(`CAST(${scale === 0 ? number : `ROUND(${number})`} AS CHAR)`, closed);
  const text = `CAST(${number} AS CHAR)`;
  if (target !== 'numeric') return form(text, closed);
  if (findScale(postgresType) === scale) return form(text, closed);
  // Another scale: the number without the zeros that only the scale asks for.
  return { read: text, ...closed, sourceForm: trimZeros(text, scale), mirrorForm: (ref) => `trim_scale(${ref})::text` };
}

/** FLOAT by way of DOUBLE: MariaDB prints six digits of a FLOAT, all of a DOUBLE. */
function readFloat({ name, target, column }: Context): SourceValue {
  const isSingle = column.type.kind === 'float' && column.type.name === 'float';
  const double = isSingle ? `CAST(${name} AS DOUBLE)` : name;
  if (target === 'boolean') return form(truthText(name), closed);
  if (target === 'integer') return form(`CAST(CAST(ROUND(${name}) AS DECIMAL(65,0)) AS CHAR)`, closed);
  const single = { ...closed, mirrorForm: (ref: string) => `${ref}::float8::text` };
  return form(doubleText(double), target === 'real' ? single : closed);
}

function readBits({ name, target }: Context, length: number): SourceValue {
  if (target === 'boolean') return form(truthText(`(${name} + 0)`), closed);
  if (target === 'integer' || target === 'numeric') return form(`CAST(${name} + 0 AS CHAR)`, closed);
  return form(bitDigits(name, length), closed);
}

/** Of a text column too, a TIMESTAMP is a moment in UTC, as a cast of `timestamptz` to text shows it. */
function readMoment({ name, column, target, settings }: Context): SourceValue {
  const { kind } = column.type;
  const decimals = column.type.kind === 'datetime' || column.type.kind === 'timestamp' ? column.type.decimals : 0;
  const source = target === 'date' && kind !== 'date' ? `DATE(${name})` : name;
  const text = trimZeros(`CAST(${source} AS CHAR)`, target === 'date' ? 0 : decimals);
  const zoned = target === 'timestamptz' || (kind === 'timestamp' && target !== 'timestamp' && target !== 'date');
  const whole = zoned ? `CONCAT(${text}, '+00')` : text;
  return form(momentText(name, whole, { zeroDates: settings.zeroDates, isNullable: column.isNullable }), closed);
}

/** Above this many bytes, a text's or blob's hash stands for it: forms of several columns make one text. */
const longTexts = new Set(['mediumtext', 'longtext', 'mediumblob', 'longblob']);

function readText({ name, target, settings }: Context, typeName: string): SourceValue {
  const read = plainText(name, settings.nulCharacters);
  if (target !== 'text' || !longTexts.has(typeName)) return form(read, open);
  return { read, ...closed, sourceForm: `MD5(${read})`, mirrorForm: (ref) => `md5(${ref}::text)` };
}

function readBytes({ name, target, settings }: Context, typeName: string): SourceValue {
  if (target === 'uuid') return form(`HEX(${name})`, closed);
  if (target !== 'bytea') return form(plainText(name, settings.nulCharacters), open);
  const isLong = longTexts.has(typeName);
  const read = byteText(name, isLong);
  return isLong
    ? { read, ...closed, sourceForm: `MD5(${name})`, mirrorForm: (ref) => `md5(${ref})` }
    : { read, ...closed, sourceForm: `HEX(${name})`, mirrorForm: (ref) => `upper(encode(${ref}, 'hex'))` };
}

/** PostgreSQL's text of an address has a length of network, its `host` has none. */
function readAddress({ name, target }: Context, bits: number): SourceValue {
  const text = `CAST(${name} AS CHAR)`;
  if (target === 'text') return form(`CONCAT(${text}, '/${bits}')`, open);
  return form(text, target === 'inet' ? { ...closed, mirrorForm: (ref) => `host(${ref})` } : closed);
}

function compareAsUuid(read: string): Pick<SourceValue, 'sourceForm' | 'mirrorForm' | 'isOpen'> {
  return {
    sourceForm: `LOWER(REPLACE(${read}, '-', ''))`,
    mirrorForm: (ref) => `replace(${ref}::text, '-', '')`,
    isOpen: true,
  };
}

/** The stream's mapping makes NULL of an empty text. PostgreSQL also sorts the keys, so this form meets its own at times only. */
function compareAsJson(text: string): Pick<SourceValue, 'read' | 'sourceForm' | 'isOpen' | 'isCanonical'> {
  const read = `NULLIF(${text}, '')`;
  return { read, sourceForm: `IFNULL(JSON_LOOSE(${text}), ${read})`, isOpen: true, isCanonical: false };
}

const usualTargets: Readonly<Partial<Record<ColumnType['kind'], readonly PostgresTarget[]>>> = {
  integer: ['boolean', 'integer', 'numeric', 'text'],
  year: ['integer', 'numeric', 'text'],
  decimal: ['boolean', 'integer', 'numeric', 'text'],
  float: ['boolean', 'integer', 'real', 'double'],
  date: ['date', 'text'],
  datetime: ['date', 'timestamp', 'timestamptz', 'text'],
  timestamp: ['date', 'timestamp', 'timestamptz', 'text'],
  text: ['text'],
  binary: ['bytea', 'text', 'uuid'],
};

/** Types whose forms are canonical; another one, which the configuration may ask for, can round or rewrite what it takes. */
function isUsual(type: ColumnType, target: PostgresTarget): boolean {
  return usualTargets[type.kind]?.includes(target) ?? true;
}
