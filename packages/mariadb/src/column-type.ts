import { parseLabels } from './quoted-text.js';
import type { ColumnType, IntegerName } from './table-knowledge.js';

/** The columns of information_schema.COLUMNS that say what type a column has. */
export interface TypeFacts {
  /** `decimal` */
  readonly dataType: string;
  /** `decimal(10,2) unsigned` */
  readonly columnType: string;
  readonly characterLength: number | null;
  readonly numericPrecision: number | null;
  readonly numericScale: number | null;
  readonly datetimePrecision: number | null;
  readonly charset: string | null;
  readonly collation: string | null;
  /** Whether a CHECK constraint of the column is `json_valid(…)`: MariaDB's JSON is a longtext with one. */
  readonly isJson: boolean;
}

const integers = new Set(['tinyint', 'smallint', 'mediumint', 'int', 'bigint']);
const texts = new Set(['char', 'varchar', 'tinytext', 'text', 'mediumtext', 'longtext']);
const binaries = new Set(['binary', 'varbinary', 'tinyblob', 'blob', 'mediumblob', 'longblob']);
const geometries = new Set(
  'geometry point linestring polygon multipoint multilinestring multipolygon geometrycollection'.split(' '),
);

export function readColumnType(facts: TypeFacts): ColumnType {
  const { dataType } = facts;
  if (integers.has(dataType)) return readInteger(facts);
  if (texts.has(dataType)) return readText(facts);
  if (binaries.has(dataType)) return readBinary(facts);
  if (geometries.has(dataType)) return { kind: 'geometry', name: dataType };
  switch (dataType) {
    case 'decimal':
      return { kind: 'decimal', precision: numberOf(facts.numericPrecision), ...scaleAndSign(facts) };
    case 'float':
    case 'double':
      return readFloat(facts, dataType);
    case 'bit':
      return { kind: 'bit', length: numberOf(facts.numericPrecision) };
    case 'date':
    case 'year':
    case 'uuid':
    case 'inet4':
    case 'inet6':
      return { kind: dataType };
    case 'time':
    case 'datetime':
    case 'timestamp':
      return { kind: dataType, decimals: numberOf(facts.datetimePrecision) };
    case 'enum':
    case 'set':
      return { kind: dataType, labels: parseLabels(facts.columnType), ...charsetOf(facts) };
    default:
      return { kind: 'other', name: dataType };
  }
}

function readInteger({ dataType, columnType }: TypeFacts): ColumnType {
  return {
    kind: 'integer',
    name: dataType as IntegerName,
    isUnsigned: columnType.includes(' unsigned'),
    isZerofill: columnType.includes(' zerofill'),
  };
}

function scaleAndSign({ numericScale, columnType }: TypeFacts): { scale: number; isUnsigned: boolean } {
  return { scale: numberOf(numericScale), isUnsigned: columnType.includes(' unsigned') };
}

/** Of FLOAT without digits, information_schema gives a precision all the same: the definition tells them apart. */
function readFloat({ columnType }: TypeFacts, name: 'float' | 'double'): ColumnType {
  const [, precision, scale] = /\((\d+),(\d+)\)/.exec(columnType) ?? [];
  return {
    kind: 'float',
    name,
    precision: precision === undefined ? null : Number(precision),
    scale: scale === undefined ? null : Number(scale),
    isUnsigned: columnType.includes(' unsigned'),
  };
}

function readText(facts: TypeFacts): ColumnType {
  const { dataType, columnType, characterLength, isJson } = facts;
  return {
    kind: 'text',
    name: dataType as Extract<ColumnType, { kind: 'text' }>['name'],
    length: numberOf(characterLength),
    ...charsetOf(facts),
    isJson,
    isCompressed: isCompressed(columnType),
  };
}

function readBinary({ dataType, columnType, characterLength }: TypeFacts): ColumnType {
  return {
    kind: 'binary',
    name: dataType as Extract<ColumnType, { kind: 'binary' }>['name'],
    length: numberOf(characterLength),
    isCompressed: isCompressed(columnType),
  };
}

function charsetOf({ charset, collation }: TypeFacts): { charset: string; collation: string } {
  return { charset: charset ?? 'binary', collation: collation ?? 'binary' };
}

function isCompressed(columnType: string): boolean {
  return /\bCOMPRESSED\b/.test(columnType);
}

function numberOf(value: number | null): number {
  return value ?? 0;
}
