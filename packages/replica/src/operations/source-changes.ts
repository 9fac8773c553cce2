import { formatPosition, type Position } from '@afterimage/change-events';
import type { Pool } from 'pg';
import type { TableStorage } from '@afterimage/mariadb';
import { StreamContext } from '../apply/context.js';
import { lockAllOffsets, recordSchemaVersion } from '../apply/offset.js';
import type { StreamRecord } from '../control/streams.js';
import { hasUncertainOrigin } from '../schema/origins.js';
import { type KnowledgeRecord, loadKnowledge, loadVersion } from '../schema/versions.js';
import type { TableSettings } from '../settings.js';
import { findOriginsNow } from './columns-now.js';
import { fixTextForms, inTransaction, withConnection } from '../transaction.js';

/** How a table was in MariaDB when it was looked at last; `knowledge` is null while the table is not there. */
export interface SourceState {
  readonly knowledge: KnowledgeRecord | null;
  readonly storage: TableStorage | null;
}

export type ChangeKind = 'replaced' | 'gone' | 'filled' | 'modified' | 'renamed' | 'described';
export type ChangePolicy = 'adopt' | 'resync' | 'repair' | 'halt' | 'ignore';

export interface NewChange {
  readonly kind: ChangeKind;
  readonly detail: string;
  readonly policy: ChangePolicy;
}

export interface DetectedChange extends NewChange {
  readonly id: string;
  readonly state: 'open' | 'done';
  readonly outcome: string | null;
  readonly detectedAt: Date;
  readonly doneAt: Date | null;
}

/** Null when the table was never looked at. */
export async function loadSourceState(pool: Pool, streamId: string): Promise<SourceState | null> {
  return withConnection(pool, async (client) => {
    const { rows } = await client.query<{ knowledgeId: string | null; storage: TableStorage | null }>(
      `SELECT knowledge_id::text AS "knowledgeId", storage FROM afterimage.source_states WHERE stream_id = $1`,
      [streamId],
    );
    const [row] = rows;
    if (row === undefined) return null;
    return { storage: row.storage, knowledge: await loadKnowledge(client, row.knowledgeId) };
  });
}

export interface SeenSourceState {
  readonly knowledgeId: string | null;
  readonly storage: TableStorage | null;
  readonly changes: readonly NewChange[];
  /** All that MariaDB had written after it was seen so, where it has changed since the last look; null: it is as it was. */
  readonly position: Position | null;
}

/** Keeps how a table is now together with what changed since: neither is lost without the other. */
export async function saveSourceState(
  pool: Pool,
  streamId: string,
  { knowledgeId, storage, changes, position }: SeenSourceState,
): Promise<void> {
  await inTransaction(pool, async (client) => {
    await client.query(
      `INSERT INTO afterimage.source_states (stream_id, knowledge_id, storage, seen_at) VALUES ($1, $2, $3, now())
       ON CONFLICT (stream_id) DO UPDATE SET knowledge_id = excluded.knowledge_id, storage = excluded.storage, seen_at = excluded.seen_at`,
      [streamId, knowledgeId, JSON.stringify(storage)],
    );
    if (position !== null)
      await client.query(
        `UPDATE afterimage.source_states SET position = $2, position_at = clock_timestamp(), passed_at = NULL WHERE stream_id = $1`,
        [streamId, formatPosition(position)],
      );
    for (const { kind, detail, policy } of changes) {
      await client.query(
        `INSERT INTO afterimage.detected_changes (stream_id, kind, detail, policy, state, outcome, done_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)`,
        [
          streamId,
          kind,
          detail,
          policy,
          ...(policy === 'ignore' ? ['done', 'left as it is', new Date()] : ['open', null, null]),
        ],
      );
    }
  });
}

/** The changes of a stream that something is still to be done about, or all of them; the oldest first. */
export async function listDetectedChanges(
  pool: Pool,
  streamId: string,
  { all }: { readonly all: boolean },
): Promise<DetectedChange[]> {
  const { rows } = await pool.query<DetectedChange>(
    `SELECT id::text, kind, detail, policy, state, outcome, detected_at AS "detectedAt", done_at AS "doneAt"
     FROM afterimage.detected_changes WHERE stream_id = $1 AND ($2 OR state = 'open') ORDER BY id`,
    [streamId, all],
  );
  return rows;
}

/** Says what was done about a change, or why it stays open. */
export async function noteChange(
  pool: Pool,
  id: string,
  { outcome, isDone }: { readonly outcome: string; readonly isDone: boolean },
): Promise<void> {
  await pool.query(`UPDATE afterimage.detected_changes SET outcome = $2, state = $3, done_at = $4 WHERE id = $1`, [
    id,
    outcome,
    isDone ? 'done' : 'open',
    isDone ? new Date() : null,
  ]);
}

export type Adoption =
  /** The mirror is as MariaDB says, with a new schema version. */
  | 'adopted'
  /** It was so already, or the stream has not begun. */
  | 'nothing'
  /** The stream does not have these columns (yet): it tells of them at the first row that changes after the DDL. */
  | 'other-columns';

/**
 * Brings a mirror to what MariaDB says of its table now, as a schema version of its own: names of columns, labels, comments,
 * NOT NULL, indexes. To be called when the stream has come to where that holds. Takes the stream's offset locks.
 */
export async function adoptKnowledge(
  pool: Pool,
  { stream, settings, knowledge }: { stream: StreamRecord; settings: TableSettings; knowledge: KnowledgeRecord },
): Promise<Adoption> {
  return inTransaction(pool, async (client) => {
    await fixTextForms(client);
    const offsets = await lockAllOffsets(client, stream.id);
    const [offset] = offsets;
    if (offset === undefined) return 'nothing';
    const version = await loadVersion(client, stream.id, offset.schemaVersion);
    if (version === null) return 'nothing';
    if (version.knowledge?.id === knowledge.id && !hasUncertainOrigin(version)) return 'nothing';
    const origins = await findOriginsNow(client, { version, offsets, knowledge, settings });
    if (origins === null) return 'other-columns';
    const ordinal = offsets.reduce((most, { ordinal: one }) => (one > most ? one : most), 0n) + 1n;
    const gtid = offset.position.split(',')[0]?.split(':')[0] ?? '0-0-0';
    const source = {
      stream: { id: stream.id, source: stream.source, database: stream.database, table: stream.table },
      firstOrdinal: ordinal.toString(),
      firstTimestamp: Math.floor(Date.now() / 1000),
      schema: {
        fingerprint: version.fingerprint,
        fields: [...version.fields],
        version: 1,
        gtid: gtid === '' ? '0-0-0' : gtid,
        since: ordinal.toString(),
      },
    };
    const context = new StreamContext(settings);
    const changed = await context.change(client, source, offset, { knowledge, isOfRows: true, origins });
    await recordSchemaVersion(client, stream.id, changed.version.version);
    return 'adopted';
  });
}

/** Stops a stream until somebody says that it may go on. */
export async function haltForSource(pool: Pool, streamId: string, message: string): Promise<void> {
  await pool.query(
    `UPDATE afterimage.streams SET state = 'halted', state_code = 'SOURCE_CHANGED', state_message = $2, state_partition = NULL, state_since = now()
     WHERE id = $1 AND state_code IS DISTINCT FROM 'SOURCE_CHANGED'`,
    [streamId, message],
  );
}

/** Lets a stream go on that `haltForSource` stopped, and closes the changes that it was stopped for. */
export async function resumeStream(pool: Pool, streamId: string): Promise<boolean> {
  return inTransaction(pool, async (client) => {
    const { rowCount } = await client.query(
      `UPDATE afterimage.streams SET state = 'active', state_code = NULL, state_message = NULL, state_since = now()
       WHERE id = $1 AND state_code = 'SOURCE_CHANGED'`,
      [streamId],
    );
    await client.query(
      `UPDATE afterimage.detected_changes SET state = 'done', outcome = 'resumed by hand', done_at = now()
       WHERE stream_id = $1 AND state = 'open' AND policy = 'halt'`,
      [streamId],
    );
    return rowCount === 1;
  });
}
