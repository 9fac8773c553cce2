import { covers, coversAll, isWholeTransaction, parsePosition } from '@afterimage/change-events';
import { type ColumnKnowledge as SourceColumn, isSubsequence } from '@afterimage/mariadb';
import type { ClientBase, Pool } from 'pg';
import { isSince } from '../apply/source.js';
import { type Followed, findOrigins, followRecords, type Origin, originsOf } from '../schema/origins.js';
import type { KnowledgeRecord, SchemaVersion } from '../schema/versions.js';
import type { TableSettings } from '../settings.js';
import type { StreamRecord } from '../control/streams.js';

type Queries = Pick<ClientBase, 'query'>;

/**
 * The column that each field of the version in force is in a recorded reading of the table: null where there is none any
 * more; undefined where it cannot be told, since columns were renamed or moved. What was not certain before goes by its name
 * where all names are there in their order.
 */
export async function columnsNow(
  pool: Pool,
  stream: Pick<StreamRecord, 'id'>,
  { version, settings }: Pick<NowOptions, 'version' | 'settings'>,
  now: KnowledgeRecord,
): Promise<(SourceColumn | null | undefined)[]> {
  const { rows: offsets } = await pool.query<AppliedOffset>(
    'SELECT position, source_time AS "sourceTime" FROM afterimage.offsets WHERE stream_id = $1',
    [stream.id],
  );
  const origins = await findOriginsNow(pool, { version, offsets, knowledge: now, settings });
  if (origins !== null) return origins.map(({ column }) => column);
  const { columns } = now.table;
  const { knowledge } = version;
  const followed: Followed = knowledge === null ? new Map() : await followRecords(pool, knowledge.id, now.id);
  const names = version.fields.map(({ name }) => name);
  const streamNames = columns.map(({ streamName }) => streamName);
  const isInOrder = isSubsequence(names, streamNames);
  return originsOf(version).map(({ column, isCertain }, i): SourceColumn | null | undefined => {
    if (column !== null && !isCertain && !isInOrder) return undefined;
    if (column === null || !isCertain) return columns[streamNames.indexOf(names[i] ?? '')] ?? null;
    return followed.get(column.name) ?? (columns.some((one) => one.name === column.name) ? undefined : null);
  });
}

interface AppliedOffset {
  readonly position: string;
  /** Of the newest event. */
  readonly sourceTime: Date | null;
}

export interface NowOptions {
  readonly version: SchemaVersion;
  readonly offsets: readonly AppliedOffset[];
  readonly knowledge: KnowledgeRecord;
  readonly settings: Pick<TableSettings, 'rename'>;
}

/**
 * What the fields of a version are in a later reading of the table, to which the mirror can be brought then. Null where it
 * cannot be told of each field which column it is now, or where MariaDB has more or fewer columns.
 */
export async function findOriginsNow(
  client: Queries,
  { version, offsets, knowledge, settings }: NowOptions,
): Promise<Origin[] | null> {
  const { fields } = version;
  const { id, table } = knowledge;
  if (table.columns.length !== fields.length) return null;
  const origins = findOrigins(fields, {
    table,
    isOfRows: await isOfLastRow(client, id, offsets),
    // Otherwise what its columns have become since says more than equal names.
    isNear: version.knowledge === null,
    before: version,
    followed: version.knowledge === null ? new Map() : await followRecords(client, version.knowledge.id, id),
  });
  if (origins.every(({ isCertain }) => isCertain)) return origins;
  return settings.rename === 'infer' ? inferRenamed(version, knowledge) : null;
}

/** Whether the table was so when a row that was applied last was written: then the stream's fields are its columns. */
async function isOfLastRow(client: Queries, id: string, offsets: NowOptions['offsets']): Promise<boolean> {
  const { rows } = await client.query<{ first: string; last: string; definedAt: Date | null }>(
    `SELECT first_position AS first, last_position AS last, defined_at AS "definedAt" FROM afterimage.table_knowledge
     WHERE id = $1 AND first_position IS NOT NULL AND last_position IS NOT NULL`,
    [id],
  );
  const [seen] = rows;
  if (seen === undefined) return false;
  const [first, last] = [parsePosition(seen.first), parsePosition(seen.last)];
  return offsets.some(({ position, sourceTime }) => {
    const applied = parsePosition(position);
    const events = [...applied.values()].filter((event) => !isWholeTransaction(event));
    // The time is that of one event, in whatever domain.
    const isLater = events.length > 0 && isSince(seen.definedAt, (sourceTime?.getTime() ?? 0) / 1000);
    if (isLater && coversAll(last, applied)) return true;
    return events.some((event) => !covers(first, event) && covers(last, event));
  });
}

/**
 * A name that is not there any more gave way to one that was not there, at the same place and of the same kind; all others
 * are at their places. Null for anything else: columns that exchange names look like columns that exchange places.
 */
function inferRenamed(version: SchemaVersion, { table }: KnowledgeRecord): Origin[] | null {
  const former = originsOf(version).map(({ column }, i) => ({
    name: column?.streamName ?? version.fields[i]?.name ?? '',
    kind: column?.type.kind,
  }));
  const names = new Set(table.columns.map(({ streamName }) => streamName));
  const formerNames = new Set(former.map(({ name }) => name));
  const isKept = former.every(({ name, kind }, i) => {
    const { streamName = '', type } = table.columns[i] ?? {};
    if (name === streamName) return true;
    return !names.has(name) && !formerNames.has(streamName) && (kind === undefined || kind === type?.kind);
  });
  return isKept ? table.columns.map((column) => ({ column, isCertain: true })) : null;
}
