import type { ClientBase, QueryResult } from 'pg';
import {
  type Batch,
  type Position,
  advance,
  formatPosition,
  parsePosition,
  startPosition,
} from '@afterimage/change-events';
import type { HaltCode } from '../errors.js';
import type { Refusal } from './isolate.js';
import { parseEventId } from './event-prefix.js';

export interface LockedOffset {
  readonly partition: number;
  readonly layout: number;
  readonly position: string;
  readonly ordinal: bigint;
  readonly schemaVersion: number;
  readonly state: 'active' | 'degraded' | 'halted';
  /** Why it is halted or degraded. */
  readonly stateCode: string | null;
  /** The partition that halted the stream, where it is halted and that is known. */
  readonly statePartition: number | null;
  /** Source time of the newest applied event. */
  readonly sourceTime: Date | null;
  /** Of the stream: source names of the columns that choose the partition; null with one partition. */
  readonly partitionKey: readonly string[] | null;
  /** Of the stream: the knowledge that holds for what is applied next. */
  readonly knowledgeId: string | null;
}

/** What a partition has of its own. */
type OwnPart = Omit<LockedOffset, keyof StreamPart | 'ordinal'> & { readonly ordinal: string };

/** What it has of its stream. */
type StreamPart = Pick<LockedOffset, 'state' | 'stateCode' | 'statePartition' | 'partitionKey' | 'knowledgeId'>;

const selectOffsets = `
  SELECT partition, layout, position, ordinal::text, schema_version AS "schemaVersion", source_time AS "sourceTime"
  FROM afterimage.offsets WHERE stream_id = $1`;

const selectStream = {
  name: 'stream_of_offset',
  text: `SELECT state, state_code AS "stateCode", state_partition AS "statePartition", partition_key AS "partitionKey", knowledge_id::text AS "knowledgeId"
         FROM afterimage.streams WHERE id = $1`,
};

const readStream = (client: ClientBase, streamId: string): Promise<QueryResult<StreamPart>> =>
  client.query<StreamPart>({ ...selectStream, values: [streamId] });

const join = (offsets: readonly OwnPart[], streams: readonly StreamPart[]): LockedOffset[] =>
  streams.flatMap((stream) => offsets.map((own) => ({ ...own, ...stream, ordinal: BigInt(own.ordinal) })));

/**
 * Locks the offset row of a partition until the transaction ends; undefined when there is no such partition (any more).
 *
 * Its stream is read by a statement of its own: one that has waited for a lock gives the newest row of what it locks, and of
 * all else what it was before (PostgreSQL manual, 13.2.1). Sent together they are one round trip.
 */
export async function lockOffset(
  client: ClientBase,
  streamId: string,
  partition: number,
): Promise<LockedOffset | undefined> {
  const text = `${selectOffsets} AND partition = $2 FOR UPDATE`;
  const [offsets, streams] = await Promise.all([
    client.query<OwnPart>({ name: 'lock_offset', text, values: [streamId, partition] }),
    readStream(client, streamId),
  ]);
  return join(offsets.rows, streams.rows)[0];
}

/** Locks the offset rows of all partitions, always in the same order, so that two who do so cannot wait for each other. */
export async function lockAllOffsets(client: ClientBase, streamId: string): Promise<LockedOffset[]> {
  const offsets = await client.query<OwnPart>(`${selectOffsets} ORDER BY partition FOR UPDATE`, [streamId]);
  return join(offsets.rows, (await readStream(client, streamId)).rows);
}

export interface OffsetCommit {
  readonly batch: Batch;
  /** The offset before the batch. */
  readonly position: Position;
  readonly lost: ReadonlyMap<string, number>;
}

/** How many parameters `moveOffset` takes. */
export const offsetParameters = 7;

/** SQL that moves an offset; its parameters, of which `first` is the number of the first, are those of `offsetValues`. */
export function moveOffset(first: number): string {
  const $ = (n: number) => `$${first + n}`;
  return `UPDATE afterimage.offsets
    SET position = ${$(2)}::text, checkpoint_gtid = ${$(3)}::text, file_version = ${$(4)}::int, ordinal = ${$(5)}::bigint, batches = batches + 1,
        source_time = greatest(source_time, to_timestamp(${$(6)}::float8)), applied_at = clock_timestamp()
    WHERE stream_id = ${$(0)}::uuid AND partition = ${$(1)}::int`;
}

export function offsetValues(batch: Batch, position: Position): (string | number)[] {
  const next = [...parsePosition(batch.last).values()].reduce(advance, position);
  return [
    batch.stream.id,
    batch.partition,
    formatPosition(next),
    batch.checkpoint.gtid,
    batch.checkpoint.fileVersion,
    batch.lastOrdinal,
    batch.lastTimestamp,
  ];
}

/** Moves the offset to the end of the batch, in the transaction that applied it. */
export async function commitOffset(client: ClientBase, { batch, position, lost }: OffsetCommit): Promise<void> {
  await client.query({ name: 'commit_offset', text: moveOffset(1), values: offsetValues(batch, position) });
  if (lost.size === 0) return;
  await client.query(
    `UPDATE afterimage.unreliable_columns u SET values = u.values + l.count
     FROM unnest($2::text[], $3::bigint[]) AS l(name, count) WHERE u.stream_id = $1 AND u.column_name = l.name`,
    [batch.stream.id, [...lost.keys()], [...lost.values()]],
  );
}

/** Puts a schema version in force for all partitions of a stream, whose offset rows must be locked. */
export async function recordSchemaVersion(client: ClientBase, streamId: string, version: number): Promise<void> {
  await client.query('UPDATE afterimage.offsets SET schema_version = $2 WHERE stream_id = $1', [streamId, version]);
}

/** Keeps refused events, raw, with their cause. */
export async function recordRefusals(
  client: ClientBase,
  batch: Batch,
  schemaVersion: number,
  refusals: readonly Refusal[],
): Promise<void> {
  for (const refusal of refusals) {
    await client.query(
      `INSERT INTO afterimage.dead_letters
         (stream_id, partition, schema_version, ordinal, position, raw, sequence_bases, sqlstate, message)
       VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
      [
        batch.stream.id,
        batch.partition,
        schemaVersion,
        refusal.ordinal.toString(),
        positionText(refusal, batch),
        refusal.unit.lines.join('\n'),
        JSON.stringify(batch.sequenceBases),
        refusal.sqlstate,
        refusal.message,
      ],
    );
  }
}

/** '' for a line that is no event. */
function positionText({ unit }: Refusal, batch: Batch): string {
  try {
    return formatPosition(advance(startPosition, parseEventId(unit.lines[0] ?? '', batch.sequenceBases)));
  } catch {
    return '';
  }
}

type StreamState = Pick<LockedOffset, 'state' | 'partition' | 'statePartition'>;

/** Whether a batch of this partition that goes through ends the halt of its stream. */
export function isHaltedHere({ state, partition, statePartition }: StreamState): boolean {
  return state === 'halted' && (statePartition === null || statePartition === partition);
}

/** After a batch went through: a stream that its partition had halted goes on, one with refused rows is degraded. */
export async function recordState(
  client: ClientBase,
  streamId: string,
  { offset, refused }: { offset: StreamState; refused: number },
): Promise<void> {
  const isHalted = offset.state === 'halted';
  if (isHalted ? !isHaltedHere(offset) : refused === 0) return;
  await refreshState(client, streamId);
}

/** `degraded` while dead letters wait, else `active`. What waits for an operator's word stays, of a batch in flight, too. */
export async function refreshState(client: ClientBase, streamId: string): Promise<void> {
  await client.query(
    `UPDATE afterimage.streams s
     SET state = CASE WHEN pending.n > 0 THEN 'degraded' ELSE 'active' END,
         state_code = CASE WHEN pending.n > 0 THEN 'DEAD_LETTERS' END,
         state_message = CASE WHEN pending.n > 0 THEN pending.n || ' dead letters wait: see afterimage dead-letter list' END,
         state_partition = NULL, state_since = now()
     FROM (SELECT count(*) AS n FROM afterimage.dead_letters WHERE stream_id = $1 AND state = 'pending') AS pending
     WHERE s.id = $1 AND s.state_code IS DISTINCT FROM 'SOURCE_CHANGED'`,
    [streamId],
  );
}

/** Outside the failed transaction: tells why the stream stands. */
export async function recordHalt(
  client: ClientBase,
  { stream, partition }: Pick<Batch, 'stream' | 'partition'>,
  { code, message }: { code: HaltCode; message: string },
): Promise<void> {
  // The message may hold a name from the stream; PostgreSQL's text holds no NUL.
  const text = message.replaceAll('\0', '\\0');
  await client.query(
    `UPDATE afterimage.streams
     SET state = 'halted', state_code = $2, state_message = $3, state_partition = $4,
         state_since = CASE WHEN state = 'halted' AND state_code = $2 THEN state_since ELSE now() END
     WHERE id = $1 AND state_code IS DISTINCT FROM 'SOURCE_CHANGED'`,
    [stream.id, code, text, partition],
  );
}
