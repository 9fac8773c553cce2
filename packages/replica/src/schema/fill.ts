import type { ColumnKnowledge as SourceColumn } from '@afterimage/mariadb';
import type { TypeSettings } from '../types/index.js';

/**
 * What MariaDB puts into the rows that are there when a column is added, as text that PostgreSQL reads as the mapped type;
 * null = NULL, or not to be known (an expression such as uuid(), a column that is not known). A NOT NULL column without a default gets its
 * type's implicit one (MariaDB manual, "NULL and Default values"). No event tells of these values.
 */
export function fillOf(column: SourceColumn | null, settings: TypeSettings): string | null {
  if (column === null) return null;
  const { default: given, generated, isAutoIncrement, isNullable } = column;
  // A number of its own in each row.
  if (generated !== null || isAutoIncrement) return null;
  switch (given.kind) {
    case 'value':
      return storable(valueText(column, given.text, settings), settings);
    case 'bytes':
      return bytesText(column, given.hex);
    case 'expression':
      return bitText(column, given.sql);
    case 'null':
      return null;
    case 'none':
      return isNullable ? null : implicitText(column, settings);
  }
}

function valueText({ type }: SourceColumn, text: string, settings: TypeSettings): string | null {
  switch (type.kind) {
    case 'date':
    case 'datetime':
      return momentText(text, settings);
    // information_schema shows it in the session's zone, which is UTC.
    case 'timestamp': {
      const moment = momentText(text, settings);
      return moment === null || moment === '-infinity' ? moment : `${moment}+00`;
    }
    case 'binary':
    case 'geometry':
    case 'other':
      return null;
    default:
      return text;
  }
}

/** A BINARY(n) is filled up with zero bytes. */
function bytesText({ type }: SourceColumn, hex: string): string | null {
  if (type.kind !== 'binary') return null;
  return `\\x${hex.padEnd(type.name === 'binary' ? type.length * 2 : 0, '0')}`;
}

function momentText(text: string, { zeroDates }: TypeSettings): string | null {
  if (!/^0000-|-00/.test(text)) return text;
  return zeroDates === 'null' ? null : '-infinity';
}

/** `b'101'` of BIT(8) is 00000101. */
function bitText({ type }: SourceColumn, sql: string): string | null {
  const bits = /^b'([01]*)'$/.exec(sql)?.[1];
  return bits === undefined || type.kind !== 'bit' ? null : bits.padStart(type.length, '0');
}

function implicitText(column: SourceColumn, settings: TypeSettings): string | null {
  const { type } = column;
  switch (type.kind) {
    case 'integer':
    case 'decimal':
    case 'float':
    case 'year':
      return '0';
    case 'bit':
      return '0'.repeat(type.length);
    case 'enum':
      return type.labels[0] ?? null;
    case 'set':
      return '';
    case 'text':
      return type.isJson ? null : '';
    case 'binary':
      return bytesText(column, '');
    case 'date':
      return momentText('0000-00-00', settings);
    case 'datetime':
    case 'timestamp':
      return momentText('0000-00-00 00:00:00', settings);
    case 'time':
      return '00:00:00';
    case 'uuid':
      return '00000000-0000-0000-0000-000000000000';
    case 'inet4':
      return '0.0.0.0';
    case 'inet6':
      return '::';
    default:
      return null;
  }
}

function storable(text: string | null, { nulCharacters }: TypeSettings): string | null {
  return text?.replaceAll('\0', nulCharacters === 'replace' ? '\uFFFD' : '') ?? null;
}
