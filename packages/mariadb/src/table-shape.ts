import { createHash } from 'node:crypto';
import type { TableKnowledge } from './table-knowledge.js';

/** Names a table's columns in their order, as far as the user may see them: the same text as `selectShape` gives. */
export function tableShape({ columns }: Pick<TableKnowledge, 'columns'>): string | null {
  if (columns.length === 0) return null;
  return createHash('md5')
    .update(columns.map(({ name }) => name).join('\0'))
    .digest('hex');
}

/**
 * SQL of a scalar with the database's and the table's name as parameters: the table's shape; NULL where there is none. In a
 * statement that reads the table, too, it is the shape under which its rows are read: the statement's metadata lock keeps
 * every ALTER TABLE out.
 */
export const selectShape =
  `(SELECT MD5(GROUP_CONCAT(COLUMN_NAME ORDER BY ORDINAL_POSITION SEPARATOR '\\0')) ` +
  'FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ?)';
