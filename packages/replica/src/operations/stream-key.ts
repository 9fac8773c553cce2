import type { Queryable } from '@afterimage/mariadb';
import type { Pool } from 'pg';
import { readAndRecord } from '../apply/source.js';
import { keyOfKnowledge } from '../schema/knowledge.js';
import { loadVersion } from '../schema/versions.js';
import type { RenamePolicy } from '../settings.js';
import { withConnection } from '../transaction.js';
import { columnsNow } from './columns-now.js';

export interface StreamKeyOptions {
  readonly source: string;
  readonly database: string;
  readonly table: string;
  readonly rename: RenamePolicy;
}

interface StreamRow {
  readonly id: string;
  readonly partitionKey: string[] | null;
  readonly version: number;
}

/**
 * The key that MariaDB gives a table, by the names that its stream has for the columns: a column that was renamed keeps
 * its former name there. While it cannot be told which they are, the names by which the stream is divided already. Null
 * where MariaDB has no such table, or gives it no key that the stream tells apart. Rejects with SourceUnavailable.
 */
export async function readStreamKey(
  pool: Pool,
  mariadb: Queryable,
  { rename, ...names }: StreamKeyOptions,
): Promise<string[] | null> {
  const now = await readAndRecord(pool, mariadb, names);
  const key = now === null ? null : keyOfKnowledge(now.table);
  if (now === null || key === null) return null;
  const { rows } = await pool.query<StreamRow>(
    `SELECT s.id, s.partition_key AS "partitionKey", max(o.schema_version) AS version
     FROM afterimage.streams s JOIN afterimage.offsets o ON o.stream_id = s.id
     WHERE s.source = $1 AND s.database_name = $2 AND s.table_name = $3 GROUP BY s.id`,
    [names.source, names.database, names.table],
  );
  const [stream] = rows;
  if (stream === undefined || stream.version === 0) return key;
  const version = await withConnection(pool, (client) => loadVersion(client, stream.id, stream.version));
  if (version === null) return key;
  const columns = await columnsNow(pool, stream, { version, settings: { rename } }, now);
  const fields = version.fields.map(({ name }) => name);
  const parts = key.map((name) => fields[columns.findIndex((column) => column?.streamName === name)]);
  if (parts.every((name) => name !== undefined)) return parts;
  const isDivided = stream.partitionKey?.every((name) => fields.includes(name)) === true;
  return isDivided ? stream.partitionKey : key;
}
