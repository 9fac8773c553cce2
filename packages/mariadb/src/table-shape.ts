import { createHash } from 'node:crypto';
import type { TableKnowledge } from './table-knowledge.js';

/** Names a table's columns in their order: the same number as `selectShape` gives, of 60 bits of MD5 sums. */
export function tableShape({ columns }: Pick<TableKnowledge, 'columns'>): string {
  const hashes = columns.map(({ name }, i) =>
    BigInt(
      `0x${createHash('md5')
        .update(`${i + 1}:${name}`)
        .digest('hex')
        .slice(0, 15)}`,
    ),
  );
  return hashes.reduce((all, hash) => all ^ hash, 0n).toString();
}

/**
 * SQL of a scalar with the database's and the table's name as parameters: the table's shape. In a statement that reads the
 * table, too, it is the shape under which its rows are read: the statement's metadata lock keeps every ALTER TABLE out.
 */
export const selectShape =
  `(SELECT CAST(BIT_XOR(CAST(CONV(LEFT(MD5(CONCAT(ORDINAL_POSITION, ':', COLUMN_NAME)), 15), 16, 10) AS UNSIGNED)) AS CHAR) ` +
  'FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ?)';
