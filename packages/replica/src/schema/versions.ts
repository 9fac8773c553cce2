import type { ClientBase } from 'pg';
import type { Field } from '@afterimage/change-events';
import type { StoredColumn } from '../control/tables.js';

/** A schema version in force. */
export interface SchemaVersion {
  readonly version: number;
  readonly fingerprint: string;
  readonly fields: readonly Field[];
  readonly columns: readonly StoredColumn[];
  readonly key: readonly string[] | null;
  /** Quoted, schema-qualified. */
  readonly segment: string;
}

/** The key of a version by source names; null = rows are matched whole. */
export function keyNames(version: SchemaVersion): string[] | null {
  return (
    version.key?.map((mirror) => version.columns.find((column) => column.mirror === mirror)?.name ?? mirror) ?? null
  );
}

const selectVersions = `
  SELECT version, fingerprint, fields, columns, key, segment
  FROM afterimage.schema_versions WHERE stream_id = $1`;

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
