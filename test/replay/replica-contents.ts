import { type Pool, escapeIdentifier } from 'pg';
import type { OracleField } from '../oracle/recorded-stream.js';
import type { ReplayedStream } from './replay-run.js';

export interface StoredVersion {
  readonly fields: readonly OracleField[];
  readonly columns: readonly { readonly name: string; readonly mirror: string; readonly history: string }[];
  readonly firstOrdinal: string;
  readonly segment: string;
  readonly recreated: boolean;
}

export type TextRow = Readonly<Record<string, string | null>>;

/** The schema versions of a stream as they were recorded, oldest first. */
export async function readVersions(pool: Pool, { source, recording }: ReplayedStream): Promise<StoredVersion[]> {
  const { rows } = await pool.query<StoredVersion>(
    `SELECT v.fields, v.columns, v.first_ordinal::text AS "firstOrdinal", v.segment, v.recreated
     FROM afterimage.schema_versions v JOIN afterimage.streams s ON s.id = v.stream_id
     WHERE s.source = $1 AND s.database_name = $2 AND s.table_name = $3 ORDER BY v.version`,
    [source, recording.expected.database, recording.expected.table],
  );
  return rows;
}

const eventColumns = [
  'stream_ordinal::text AS ordinal',
  'domain::text',
  'server_id::text',
  'sequence::text',
  'event_number::text',
  'extract(epoch FROM "timestamp")::bigint::text AS "timestamp"',
  'event_type::text',
];

/**
 * The history rows of one schema version in stream order, values as text under their source names prefixed with `:`.
 * Versions may share a segment, so `next` tells where this one ends.
 */
export async function readHistory(pool: Pool, version: StoredVersion, next?: StoredVersion): Promise<TextRow[]> {
  const values = version.columns.map(
    ({ name, history }) => `${escapeIdentifier(history)}::text AS ${escapeIdentifier(`:${name}`)}`,
  );
  const { rows } = await pool.query<TextRow>(
    `SELECT ${[...eventColumns, ...values].join(', ')} FROM ${version.segment}
     WHERE stream_ordinal >= $1 AND stream_ordinal < coalesce($2, 9223372036854775807) AND event_type <> 'truncate'
     ORDER BY stream_ordinal`,
    [version.firstOrdinal, next?.firstOrdinal ?? null],
  );
  return rows;
}

/** The mirror's rows, values as text under their source names. */
export async function readMirror(pool: Pool, stream: ReplayedStream, version: StoredVersion): Promise<TextRow[]> {
  const values = version.columns.map(
    ({ name, mirror }) => `${escapeIdentifier(mirror)}::text AS ${escapeIdentifier(name)}`,
  );
  const { rows } = await pool.query<TextRow>(`SELECT ${values.join(', ')} FROM ${mirrorTable(stream)}`);
  return rows;
}

/** How many rows differ between the mirror and the table as the history says it is now. */
export async function countDifferences(pool: Pool, stream: ReplayedStream): Promise<number> {
  const { mirrorSchema, recording } = stream;
  const asOf = `${escapeIdentifier(`${mirrorSchema}_history`)}.${escapeIdentifier(`${recording.expected.table}_as_of`)}`;
  // A function that returns one column gives values, not rows; the inner SELECT makes rows of them.
  const rowsOf = (from: string) => `SELECT to_jsonb(r)::text AS row FROM (SELECT * FROM ${from}) AS r`;
  const mirror = rowsOf(mirrorTable(stream));
  const history = rowsOf(`${asOf}('infinity')`);
  const { rows } = await pool.query<{ count: number }>(
    `SELECT count(*)::int AS count FROM
       ((${mirror} EXCEPT ALL ${history}) UNION ALL (${history} EXCEPT ALL ${mirror})) AS different`,
  );
  return rows[0]?.count ?? -1;
}

function mirrorTable({ mirrorSchema, recording }: ReplayedStream): string {
  return `${escapeIdentifier(mirrorSchema)}.${escapeIdentifier(recording.expected.table)}`;
}
