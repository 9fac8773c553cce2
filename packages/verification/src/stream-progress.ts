import { coversAll, parsePosition, type Position, positionAfterGtids } from '@afterimage/change-events';
import { readPresence, type StreamRecord } from '@afterimage/replica';
import type { Pool } from 'pg';
import type { SourceQueries } from './compared-table.js';

/** All that MariaDB has written to its binlog so far; empty when it writes none. */
export async function readSourcePosition(source: SourceQueries): Promise<Position> {
  const [row] = await source.query<{ gtids: string | null }[]>('SELECT @@GLOBAL.gtid_binlog_pos AS gtids');
  return positionAfterGtids(row?.gtids ?? '');
}

export interface StreamProgress {
  /** Changes whenever the stream applies something. */
  readonly mark: string;
  readonly positions: readonly Position[];
}

export async function readProgress(pool: Pool, streamId: string): Promise<StreamProgress> {
  const { rows } = await pool.query<{ position: string }>(
    'SELECT position FROM afterimage.offsets WHERE stream_id = $1 ORDER BY partition',
    [streamId],
  );
  const positions = rows.map(({ position }) => position);
  return { mark: positions.join('|'), positions: positions.map((text) => parsePosition(text)) };
}

/** Whether everything that MariaDB had written then has been applied. A stream of a quiet table never says so. */
export function hasCovered({ positions }: StreamProgress, source: Position): boolean {
  return source.size > 0 && positions.length > 0 && positions.every((position) => coversAll(position, source));
}

/** Whether what MariaDB writes arrives: a reader reads the stream, there is a writer, and nothing has halted it. */
export async function isStreamRunning(pool: Pool, { id, source }: StreamRecord): Promise<boolean> {
  const { rowCount } = await pool.query(
    `SELECT FROM afterimage.streams WHERE id = $1 AND state <> 'halted' AND reader_state IN ('streaming', 'waiting')`,
    [id],
  );
  const { readSources, hasWriters } = await readPresence(pool, [source]);
  return rowCount === 1 && hasWriters && readSources.has(source);
}
