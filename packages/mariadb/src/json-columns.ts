import type { Queryable } from './queryable.js';
import { quoteSource } from './quoting.js';

const noSuchTable = 1146;

/**
 * Which of a table's columns were declared JSON. For MariaDB that is a longtext with `CHECK (json_valid(…))`. The view
 * CHECK_CONSTRAINTS does not show it to a user that may only SELECT; SHOW CREATE TABLE does.
 */
export async function findJsonColumns(
  connection: Queryable,
  database: string,
  table: string,
): Promise<ReadonlySet<string>> {
  try {
    const sql = `SHOW CREATE TABLE ${quoteSource(database)}.${quoteSource(table)}`;
    const [row] = await connection.query<Record<string, string>[]>(sql);
    return parseJsonColumns(row?.['Create Table'] ?? '');
  } catch (error) {
    // Dropped since it was listed.
    if ((error as { errno?: unknown }).errno === noSuchTable) return new Set();
    throw error;
  }
}

/** Each column stands on a line of its own, in double quotes where the session's sql_mode has ANSI_QUOTES. */
function parseJsonColumns(statement: string): Set<string> {
  const lines = statement.matchAll(/^ +([`"])(.+?)\1 longtext .*CHECK \(json_valid\(([`"])(.+?)\3\)\),?$/gm);
  const columns = [...lines].flatMap(([, , column = '', , checked]) => (column === checked ? [column] : []));
  return new Set(columns.map((column) => column.replaceAll('``', '`').replaceAll('""', '"')));
}
