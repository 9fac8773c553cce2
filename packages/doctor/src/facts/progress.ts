import {
  listSchemaVersions,
  listStreamRecords,
  type Presence,
  readOffsets,
  readPendingMigrations,
  readPresence,
  readStatus,
  type StreamStatus,
} from '@afterimage/replica';
import type { Pool } from 'pg';

/** What the control tables say of the streams, and PostgreSQL of the processes. */
export interface ProgressFacts {
  readonly migrations: { readonly pending: readonly string[]; readonly ahead: boolean };
  /** Empty as long as the control tables are not as this version needs them. */
  readonly streams: readonly StreamProgress[];
  readonly presence: Presence;
  readonly writerConnections: number;
}

export interface StreamProgress extends StreamStatus {
  readonly layout: number;
  /** Column names of the stream as it was last; null before its first event. */
  readonly columns: readonly string[] | null;
}

/** Rejects with PostgreSQL's error. */
export async function readProgressFacts(pool: Pool, sources: readonly string[]): Promise<ProgressFacts> {
  const migrations = await readPendingMigrations(pool);
  const presence = await readPresence(pool, sources);
  const { rows } = await pool.query<{ count: number }>(
    `SELECT count(*)::int AS count FROM pg_stat_activity
     WHERE datname = current_database() AND application_name = 'afterimage-writer'`,
  );
  const writerConnections = rows[0]?.count ?? 0;
  if (migrations.pending.length > 0) return { migrations, streams: [], presence, writerConnections };
  const records = await listStreamRecords(pool);
  const offsets = await readOffsets(
    pool,
    records.map(({ id }) => id),
  );
  const streams: StreamProgress[] = [];
  for (const status of await readStatus(pool)) {
    const versions = status.schemaVersion === 0 ? [] : await listSchemaVersions(pool, status.id);
    streams.push({
      ...status,
      layout: offsets.get(status.id)?.layout.number ?? 1,
      columns: versions.at(-1)?.columns.map(({ name }) => name) ?? null,
    });
  }
  return { migrations, streams, presence, writerConnections };
}
