import pg, { type ClientBase } from 'pg';
import { sqlState } from '../errors.js';
import { quoteName, quoteTable } from '../names.js';
import type { ReadySchema } from './context.js';

/**
 * The column whose NOT NULL refused a row that is right: one of before its column became NOT NULL at the source may come
 * when that is known here already. By its name in the mirror; null when the error is another.
 */
export function refusedNull({ target, version, names }: ReadySchema, error: unknown): string | null {
  if (sqlState(error) !== '23502' || !(error instanceof pg.DatabaseError)) return null;
  const { schema, table, column: refused } = error;
  if (JSON.stringify([schema, table]) !== JSON.stringify([names.mirror.schema, names.mirror.table])) return null;
  const column = target.columns.find(({ mirror, known }) => mirror === refused && known !== null);
  return column === undefined || version.key?.includes(column.mirror) === true ? null : column.mirror;
}

/**
 * The mirror's NOT NULL goes, and comes back with the next schema version when no such row is left. One that came with the
 * transaction that was refused has gone with it.
 */
export async function relaxNotNull(client: ClientBase, { names, isNew }: ReadySchema, column: string): Promise<void> {
  if (isNew) return;
  await client.query(`ALTER TABLE ${quoteTable(names.mirror)} ALTER COLUMN ${quoteName(column)} DROP NOT NULL`);
}
