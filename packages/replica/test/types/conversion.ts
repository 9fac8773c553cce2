import type { Pool } from 'pg';
import type { ColumnMapping, TypeSettings } from '../../src/types/index.js';
import { prepareEvents } from '../../src/types/index.js';

export const settings: TypeSettings = { timeZone: 'UTC', zeroDates: 'null', nulCharacters: 'remove' };

export interface Converted {
  readonly text: string | null;
  /** '1' when counted as lost or bent. */
  readonly lost: '0' | '1';
}

/** What PostgreSQL makes of column `v` of raw event lines, as text, in their order. */
export async function convertLines(pool: Pool, mapping: ColumnMapping, lines: readonly string[]): Promise<Converted[]> {
  const { json, nul } = prepareEvents(lines);
  const lost = mapping.lost('"v"') ?? 'false';
  const client = await pool.connect();
  try {
    await client.query(`SET TimeZone = 'UTC'`);
    const { rows } = await client.query<Converted>({
      text: `SELECT s.value AS text, coalesce(s.lost, false)::int AS lost
       FROM (SELECT o, ${mapping.value('"v"', nul === null ? null : '$2::text')} AS value, ${lost} AS lost
         FROM ROWS FROM (json_to_recordset($1::json) AS ("v" ${mapping.jsonType})) WITH ORDINALITY AS r("v", o)) s
       WHERE pg_typeof(s.value) = '${mapping.postgresType.replaceAll("'", "''")}'::regtype ORDER BY o`,
      values: nul === null ? [json] : [json, nul],
      types: { getTypeParser: () => (text: string) => text },
    });
    return rows;
  } finally {
    client.release();
  }
}
