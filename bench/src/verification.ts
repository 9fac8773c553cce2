import type { Pool } from 'pg';
import { database } from './source-messages.js';
import type { Expected } from './workload.js';

/**
 * Compares mirror and history with what the workload makes of them, and looks that history's ordinals have no gap. Throws
 * on any difference: a wrong run has no figure.
 */
export async function verifyReplica(pool: Pool, tables: readonly string[], expected: Expected): Promise<void> {
  for (const table of tables) {
    const { rows } = await pool.query<Record<string, string>>(
      `SELECT (SELECT count(*) FROM ${database}.${table}) AS rows,
              (SELECT coalesce(sum(id), 0) FROM ${database}.${table}) AS ids,
              (SELECT coalesce(sum(b), 0) FROM ${database}.${table}) AS values,
              (SELECT count(*) FROM ${database}_history.${table}) AS history,
              (SELECT max(stream_ordinal) FROM ${database}_history.${table}) AS "lastOrdinal",
              (SELECT count(*) FROM afterimage.dead_letters) AS "deadLetters"`,
    );
    const wanted = {
      rows: String(expected.rows),
      ids: expected.ids,
      values: expected.values,
      history: String(expected.history),
      lastOrdinal: String(expected.history),
      deadLetters: '0',
    };
    const found = JSON.stringify(rows[0]);
    if (found !== JSON.stringify(wanted)) {
      throw new Error(`${table} is wrong: found ${found}, expected ${JSON.stringify(wanted)}`);
    }
  }
}
