import pg, { type ClientBase } from 'pg';
import { sqlState } from '../errors.js';
import { quoteName, quoteTable } from '../names.js';
import type { StreamContext } from './context.js';

/**
 * A row of before its column became NOT NULL at the source may come when that is known here already: the row is right, so
 * the mirror's NOT NULL goes. It comes back with the next schema version, when no such row is left.
 */
export async function relaxNotNull(
  client: ClientBase,
  { last, names }: StreamContext,
  error: unknown,
): Promise<boolean> {
  if (last === null || sqlState(error) !== '23502' || !(error instanceof pg.DatabaseError)) return false;
  const { schema, table, column: refused } = error;
  if (JSON.stringify([schema, table]) !== JSON.stringify([names.mirror.schema, names.mirror.table])) return false;
  const column = last.target.columns.find(({ mirror, known }) => mirror === refused && known !== null);
  if (column === undefined || last.version.key?.includes(column.mirror) === true) return false;
  await client.query(`ALTER TABLE ${quoteTable(names.mirror)} ALTER COLUMN ${quoteName(column.mirror)} DROP NOT NULL`);
  return true;
}
