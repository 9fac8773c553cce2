import type { ClientBase } from 'pg';
import type { Field } from '@afterimage/change-events';
import type { TableKnowledge } from '@afterimage/mariadb';
import type { StoredColumn, StoredIndex } from '../control/tables.js';

/** A schema version in force. */
export interface SchemaVersion {
  readonly version: number;
  readonly fingerprint: string;
  readonly fields: readonly Field[];
  readonly columns: readonly StoredColumn[];
  readonly key: readonly string[] | null;
  /** Quoted, schema-qualified. */
  readonly segment: string;
  /** What MariaDB said of the table; null = nothing is known. */
  readonly knowledge: KnowledgeRecord | null;
  /** What the mirror was to have besides its key's. */
  readonly indexes: readonly StoredIndex[];
}

/** A row of afterimage.table_knowledge. */
export interface KnowledgeRecord {
  readonly id: string;
  readonly table: TableKnowledge;
}

/** The key of a version by source names; null = rows are matched whole. */
export function keyNames(version: {
  readonly key: readonly string[] | null;
  readonly columns: readonly Pick<StoredColumn, 'mirror' | 'name'>[];
}): string[] | null {
  return (
    version.key?.map((mirror) => version.columns.find((column) => column.mirror === mirror)?.name ?? mirror) ?? null
  );
}

const selectVersions = `
  SELECT v.version, v.fingerprint, v.fields, v.columns, v.key, v.segment, coalesce(v.indexes, '[]') AS indexes,
         CASE WHEN k.id IS NOT NULL THEN json_build_object('id', k.id::text, 'table', k.knowledge) END AS knowledge
  FROM afterimage.schema_versions v LEFT JOIN afterimage.table_knowledge k ON k.id = v.knowledge_id WHERE v.stream_id = $1`;

/** All versions of a stream, oldest first. */
export async function loadVersions(client: ClientBase, streamId: string): Promise<SchemaVersion[]> {
  const { rows } = await client.query<SchemaVersion>(`${selectVersions} ORDER BY version`, [streamId]);
  return rows;
}

/** One version, or null for version 0: the stream has had none yet. */
export async function loadVersion(
  client: ClientBase,
  streamId: string,
  version: number,
): Promise<SchemaVersion | null> {
  if (version === 0) return null;
  const { rows } = await client.query<SchemaVersion>(`${selectVersions} AND version = $2`, [streamId, version]);
  const [found] = rows;
  if (found === undefined)
    throw new Error(`schema version ${version} of stream ${streamId} is missing from afterimage.schema_versions`);
  return found;
}

/** What was known of a table under that id; null for none. */
export async function loadKnowledge(client: ClientBase, id: string | null): Promise<KnowledgeRecord | null> {
  if (id === null) return null;
  const { rows } = await client.query<KnowledgeRecord>(
    'SELECT id::text, knowledge AS "table" FROM afterimage.table_knowledge WHERE id = $1',
    [id],
  );
  return rows[0] ?? null;
}
