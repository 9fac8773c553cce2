import { randomInt } from 'node:crypto';
import type { Layout } from '@afterimage/change-events';
import { asc, eq, sql } from 'drizzle-orm';
import { drizzle } from 'drizzle-orm/node-postgres';
import type { ClientBase, Pool } from 'pg';
import { inTransaction } from '../transaction.js';
import { offsets, streams } from './tables.js';

/** How the events of a stream are to be divided: a layout without its number. */
export type Division = Pick<Layout, 'partitions' | 'key'>;

export const undivided: Division = { partitions: 1, key: null };

/** What the column of a layout's number holds; new streams have 1. */
const layoutNumbers = { from: 2, below: 2 ** 31 } as const;

/** How far a partition has been applied; the reader resumes after it. */
export interface Offset {
  /** Canonical text of a position; '' before the first event. */
  readonly position: string;
  readonly checkpointGtid: string | null;
  readonly fileVersion: number | null;
  /** Source time of the newest applied event. */
  readonly sourceTime: Date | null;
  /** Ordinal of the event at `position`, 0 before the first. */
  readonly ordinal: bigint;
  readonly schemaVersion: number;
}

/** How far a stream has been applied: the offset of each partition, by its number. */
export interface StreamOffsets {
  readonly layout: Layout;
  readonly partitions: readonly Offset[];
}

/** A reader asks many times a second, so the query is made once and PostgreSQL plans it once per connection. */
const offsetQueries = new WeakMap<Pool, ReturnType<typeof prepareOffsets>>();

function prepareOffsets(pool: Pool) {
  return drizzle(pool)
    .select({
      streamId: offsets.streamId,
      layout: offsets.layout,
      key: streams.partitionKey,
      position: offsets.position,
      checkpointGtid: offsets.checkpointGtid,
      fileVersion: offsets.fileVersion,
      sourceTime: offsets.sourceTime,
      ordinal: offsets.ordinal,
      schemaVersion: offsets.schemaVersion,
    })
    .from(offsets)
    .innerJoin(streams, eq(streams.id, offsets.streamId))
    .where(sql`${offsets.streamId} = ANY(${sql.placeholder('streamIds')}::uuid[])`)
    .orderBy(asc(offsets.streamId), asc(offsets.partition))
    .prepare('read_offsets');
}

/** The offsets of the streams as of one moment, in one query; a stream that is not registered is not in the map. */
export async function readOffsets(pool: Pool, streamIds: readonly string[]): Promise<Map<string, StreamOffsets>> {
  if (streamIds.length === 0) return new Map();
  const query = offsetQueries.get(pool) ?? prepareOffsets(pool);
  offsetQueries.set(pool, query);
  const rows = await query.execute({ streamIds });
  const found = new Map<string, { layout: Layout; partitions: Offset[] }>();
  for (const { streamId, layout, key, ...offset } of rows) {
    const known = found.get(streamId);
    const partitions = [...(known?.partitions ?? []), offset];
    found.set(streamId, { layout: { number: layout, partitions: partitions.length, key }, partitions });
  }
  return found;
}

/**
 * Divides a stream anew. Only where all its partitions have been applied up to the same event is that safe: returns false,
 * and changes nothing, where they have not. Batches of the layout before are dropped by the writers from then on.
 */
export async function changeLayout(pool: Pool, streamId: string, wanted: Division): Promise<boolean> {
  return inTransaction(pool, async (client) => {
    const { rows } = await client.query<{ position: string; ordinal: string }>(
      'SELECT position, ordinal FROM afterimage.offsets WHERE stream_id = $1 ORDER BY partition FOR UPDATE',
      [streamId],
    );
    const [first] = rows;
    if (first === undefined || rows.some((row) => row.ordinal !== first.ordinal || row.position !== first.position)) {
      return false;
    }
    await divide(client, streamId, wanted);
    return true;
  });
}

/**
 * The number of a new layout is drawn, not counted: a standby that is promoted late has lost the last changes, and the
 * queue can still hold batches of a layout that it knows nothing of. Counted on, another layout would have that number.
 */
export function drawLayoutNumber(): number {
  return randomInt(layoutNumbers.from, layoutNumbers.below);
}

async function divide(client: ClientBase, streamId: string, { partitions, key }: Division): Promise<void> {
  const layout = drawLayoutNumber();
  await client.query(
    'UPDATE afterimage.streams SET partitions = $2, partition_key = $3, state_partition = NULL WHERE id = $1',
    [streamId, partitions, key === null ? null : JSON.stringify(key)],
  );
  await client.query(
    `INSERT INTO afterimage.offsets (stream_id, partition, layout, position, checkpoint_gtid, file_version, ordinal, schema_version, source_time, applied_at)
     SELECT stream_id, p, layout, position, checkpoint_gtid, file_version, ordinal, schema_version, source_time, applied_at
     FROM afterimage.offsets, generate_series(1, $2::int - 1) AS p WHERE stream_id = $1 AND partition = 0
     ON CONFLICT DO NOTHING`,
    [streamId, partitions],
  );
  // What was counted in partitions that go is counted in the first one from here on.
  await client.query(
    `WITH gone AS (DELETE FROM afterimage.offsets WHERE stream_id = $1 AND partition >= $2 RETURNING batches)
     UPDATE afterimage.offsets
     SET layout = $3, batches = batches + CASE partition WHEN 0 THEN (SELECT coalesce(sum(batches), 0) FROM gone) ELSE 0 END
     WHERE stream_id = $1 AND partition < $2`,
    [streamId, partitions, layout],
  );
}
