import type { Field } from '@afterimage/change-events';
import type { ColumnKnowledge, ColumnType, TableKnowledge } from '@afterimage/mariadb';

/**
 * The columns of a table as MaxScale's schema line has them when it reads the table with SHOW CREATE TABLE: what a stream
 * says that has not begun yet. Where the table's DDL was written in other words (INTEGER, NUMERIC) the stream says those;
 * the types in PostgreSQL are the same.
 */
export function streamFields({ columns }: Pick<TableKnowledge, 'columns'>): Field[] {
  return columns.map(describeField);
}

function describeField({ streamName, type, definition }: ColumnKnowledge): Field {
  const word = wordOf(type, definition);
  return {
    name: streamName,
    realType: word === 'timestamp' ? 'timestamp_' : word,
    avroType: avroTypeOf(word),
    unsigned: /\bunsigned\b/.test(definition),
  };
}

function wordOf(type: ColumnType, definition: string): string {
  if (type.kind === 'text' || type.kind === 'integer' || type.kind === 'float' || type.kind === 'binary')
    return type.name;
  return /^[a-z_0-9]+/i.exec(definition)?.[0].toLowerCase() ?? 'varchar';
}

const avroTypes: ReadonlyMap<string, string> = new Map([
  ...['tinyint', 'smallint', 'mediumint', 'int'].map((word) => [word, 'int'] as const),
  ['bigint', 'long'],
  ['float', 'float'],
  ['double', 'double'],
  ['decimal', 'double'],
  ...['tinyblob', 'blob', 'mediumblob', 'longblob', 'binary'].map((word) => [word, 'bytes'] as const),
  ...['tinytext', 'text', 'mediumtext', 'longtext'].map((word) => [word, 'bytes'] as const),
]);

function avroTypeOf(word: string): string {
  return avroTypes.get(word) ?? 'string';
}
