import type { Pool } from 'pg';
import type { TableKnowledge } from '@afterimage/mariadb';
import type { SchemaStep, StoredColumn } from '../control/tables.js';
import { explainKeyless, type LeftOutKey } from './left-out-key.js';

/** All that PostgreSQL knows about one stream's progress. */
export interface StreamStatus {
  readonly id: string;
  readonly source: string;
  readonly database: string;
  readonly table: string;
  readonly partitions: number;
  readonly state: 'active' | 'degraded' | 'halted';
  readonly stateCode: string | null;
  readonly stateMessage: string | null;
  readonly stateSince: Date;
  readonly readerState: string;
  readonly readerCode: string | null;
  readonly readerMessage: string | null;
  readonly readerSince: Date;
  readonly position: string;
  /** Events applied since the start, dead letters included. */
  readonly ordinal: string;
  readonly schemaVersion: number;
  readonly batches: string;
  /** Source time of the newest applied event. */
  readonly sourceTime: Date | null;
  readonly appliedAt: Date | null;
  /** Seconds between that event at the source and its application. */
  readonly applyDelay: number | null;
  readonly deadLetters: number;
  /** Whether MariaDB said what the stream does not tell: keys, exact types, labels. */
  readonly isKnown: boolean;
  /** The key that MariaDB has, where the mirror does without it. */
  readonly leftOutKey: LeftOutKey | null;
  /** Changes at the source without an event that are not dealt with yet, in words. */
  readonly sourceChanges: readonly string[];
  /** Constraints of MariaDB that the mirror was relieved of, because its rows do not keep them, in words. */
  readonly relaxed: readonly string[];
  readonly unreliable: readonly { readonly column: string; readonly reason: string; readonly values: number }[];
}

/** The state of every stream, by source and table. A stream with several partitions shows its slowest one. */
export async function readStatus(pool: Pool): Promise<StreamStatus[]> {
  const { rows } = await pool.query<StatusRow>(`
    SELECT s.id, s.source, s.database_name AS database, s.table_name AS "table", s.partitions,
           s.state, s.state_code AS "stateCode", s.state_message AS "stateMessage", s.state_since AS "stateSince",
           s.reader_state AS "readerState", s.reader_code AS "readerCode", s.reader_message AS "readerMessage", s.reader_since AS "readerSince",
           coalesce(o.position, '') AS position, coalesce(o.ordinal, 0)::text AS ordinal, coalesce(o.schema_version, 0) AS "schemaVersion",
           coalesce(o.batches, 0)::text AS batches, o.source_time AS "sourceTime", o.applied_at AS "appliedAt",
           extract(epoch FROM o.applied_at - o.source_time)::float8 AS "applyDelay",
           (SELECT count(*) FROM afterimage.dead_letters d WHERE d.stream_id = s.id AND d.state = 'pending')::int AS "deadLetters",
           s.knowledge_id IS NOT NULL AS "isKnown", k.knowledge AS "keyKnowledge",
           ARRAY(SELECT c ->> 'name' FROM jsonb_array_elements(CASE WHEN k.id IS NOT NULL THEN v.columns ELSE '[]' END) AS c) AS columns,
           ARRAY(SELECT d.detail || coalesce(' (' || d.outcome || ')', '') FROM afterimage.detected_changes d
                 WHERE d.stream_id = s.id AND d.state = 'open' ORDER BY d.id) AS "sourceChanges",
           ARRAY(SELECT t.step ->> 'detail' FROM afterimage.schema_versions v, jsonb_array_elements(v.steps) WITH ORDINALITY AS t(step, place)
                 WHERE v.stream_id = s.id AND v.version = o.schema_version AND t.step ->> 'kind' = 'relax' ORDER BY t.place) AS relaxed,
           (SELECT coalesce(json_agg(json_build_object('column', u.column_name, 'reason', u.reason, 'values', u.values) ORDER BY u.column_name), '[]')
            FROM afterimage.unreliable_columns u WHERE u.stream_id = s.id) AS unreliable
    FROM afterimage.streams s
    LEFT JOIN LATERAL (SELECT * FROM afterimage.offsets o WHERE o.stream_id = s.id ORDER BY o.ordinal LIMIT 1) AS o ON true
    LEFT JOIN afterimage.schema_versions v ON v.stream_id = s.id AND v.version = o.schema_version
    LEFT JOIN afterimage.table_knowledge k ON k.id = v.knowledge_id AND coalesce(v.key, 'null') = 'null' AND k.knowledge -> 'key' <> 'null'
    ORDER BY s.source, s.database_name, s.table_name`);
  return rows.map(({ keyKnowledge, columns, ...status }) => ({
    ...status,
    leftOutKey: explainKeyless(keyKnowledge, columns),
  }));
}

/** `keyKnowledge`: of a mirror without a key whose table has one. */
interface StatusRow extends Omit<StreamStatus, 'leftOutKey'> {
  readonly keyKnowledge: TableKnowledge | null;
  readonly columns: readonly string[];
}

/** The key in force of each stream that has a schema version, by stream id; null = rows are matched whole. */
export async function readKeysInForce(pool: Pool): Promise<Map<string, readonly string[] | null>> {
  const { rows } = await pool.query<{ id: string; key: string[] | null }>(
    `SELECT DISTINCT ON (stream_id) stream_id AS id, key FROM afterimage.schema_versions ORDER BY stream_id, version DESC`,
  );
  return new Map(rows.map(({ id, key }) => [id, key]));
}

export interface SchemaVersionRecord {
  readonly version: number;
  readonly fingerprint: string;
  readonly columns: readonly StoredColumn[];
  readonly key: readonly string[] | null;
  readonly firstOrdinal: string;
  readonly sourceGtid: string;
  readonly fileVersion: number;
  readonly segment: string;
  readonly steps: readonly SchemaStep[];
  readonly recreated: boolean;
  readonly appliedAt: Date;
}

/** The schema versions of a stream, the oldest first. */
export async function listSchemaVersions(pool: Pool, streamId: string): Promise<SchemaVersionRecord[]> {
  const { rows } = await pool.query<SchemaVersionRecord>(
    `SELECT version, fingerprint, columns, key, first_ordinal::text AS "firstOrdinal", source_gtid AS "sourceGtid", file_version AS "fileVersion",
            segment, steps, recreated, applied_at AS "appliedAt"
     FROM afterimage.schema_versions WHERE stream_id = $1 ORDER BY version`,
    [streamId],
  );
  return rows;
}
