import {
  coversAll,
  fingerprintOf,
  formatPosition,
  joinPositions,
  parsePosition,
  type Position,
  positionAfterGtids,
} from '@afterimage/change-events';
import type { ClientBase, Pool } from 'pg';
import { StreamContext } from '../apply/context.js';
import { drawLayoutNumber } from '../control/layout.js';
import { lockAllOffsets, type LockedOffset } from '../apply/offset.js';
import { type CurrentReplica, loadCurrent } from '../operations/current.js';
import { inRelaxingTransaction } from '../operations/relaxing.js';
import { listedLabels } from '../schema/labels.js';
import type { TableSettingsProvider } from '../settings.js';
import { fixTextForms } from '../transaction.js';
import { replaceRows } from './differences.js';
import { firstOrdinal, type Shadow, type SnapshotPlace, targetInForce } from './shadow.js';

export interface SettleOptions {
  readonly settingsOf: TableSettingsProvider;
  readonly shadow: Shadow;
  readonly place: SnapshotPlace;
  /** Written in the same transaction. */
  readonly onDone?: (client: ClientBase, settled: Settled) => Promise<void>;
}

/** How a snapshot became part of its stream. */
export interface Settled {
  /** The shadow became the mirror, or the mirror was made equal to it. */
  readonly kind: 'adopted' | 'compared';
  /** Rows of the mirror that were written and removed; of an adopted shadow none. */
  readonly written: number;
  readonly removed: number;
}

export type SettleOutcome =
  | Settled
  /** The stream's partitions are apart, some beyond the snapshot and some before it. Try again when they have moved. */
  | { readonly kind: 'apart' }
  /** The stream has other columns, another key or a first schema version now: the shadow must be made anew. */
  | { readonly kind: 'stale' };

/**
 * Makes a snapshot part of its stream, in one transaction with the stream's offsets locked.
 *
 * The mirror gets the state of the join of snapshot and offset: what the snapshot has, and on top of it the history events
 * that it does not cover. The offsets move to the same join, so every event at or below it is dropped when it comes (again),
 * and the next one above it is applied: nothing is missing, and nothing is there twice, however far the stream was.
 * The layout gets a new number, by which writers drop what was cut before, and the reader begins again at the offsets.
 *
 * History says so: rows that were read are `read`, rows that are no more are `delete`, with an ordinal above all that was
 * applied and below all that is to come; the ordinals of the partitions move on by their distance for that.
 */
export async function settleSnapshot(pool: Pool, options: SettleOptions): Promise<SettleOutcome> {
  const { shadow, settingsOf, place, onDone } = options;
  return inRelaxingTransaction(pool, { stream: shadow.stream, settingsOf }, async (client) => {
    await fixTextForms(client);
    const offsets = await lockAllOffsets(client, shadow.stream.id);
    const move = planMove(offsets, positionAfterGtids(place.gtids));
    if (move === 'apart') return { kind: 'apart' };
    const isFirst = offsets.every(({ schemaVersion }) => schemaVersion === 0);
    const settled = isFirst ? await adopt(client, options, { move, offsets }) : await compare(client, options, move);
    if (settled.kind === 'stale') return settled;
    await moveOffsets(client, shadow.stream.id, { moves: move.partitions, at: place.at });
    await onDone?.(client, settled);
    return settled;
  });
}

interface Move {
  /** Of the rows that are read: above all that was applied. */
  readonly ordinal: bigint;
  readonly partitions: readonly PartitionMove[];
  /** Of everything that was applied, whether the snapshot covers it. */
  readonly coversAll: boolean;
}

interface PartitionMove {
  readonly partition: number;
  readonly position: string;
  readonly ordinal: bigint;
}

/**
 * Positions and ordinals of one stream must go together in all its partitions: a reader counts from the one furthest behind.
 * So either all of them go to the snapshot's place, or all keep their distances.
 */
function planMove(offsets: readonly LockedOffset[], snapshot: Position): Move | 'apart' {
  const ordinals = offsets.map(({ ordinal }) => ordinal);
  const highest = ordinals.reduce((a, b) => (a > b ? a : b), 0n);
  const lowest = ordinals.reduce((a, b) => (a < b ? a : b), highest);
  const positions = offsets.map(({ position }) => parsePosition(position));
  const isBehind = positions.every((position) => coversAll(snapshot, position));
  const isAhead = positions.every((position) => coversAll(position, snapshot));
  const isAligned = offsets.every(({ position, ordinal }) => position === offsets[0]?.position && ordinal === highest);
  if (!isBehind && !isAhead && !isAligned) return 'apart';
  const ordinal = highest + 1n;
  const shift = ordinal - lowest;
  const partitions = offsets.map((offset, i) => ({
    partition: offset.partition,
    position: formatPosition(joinPositions(positions[i] ?? new Map(), snapshot)),
    ordinal: isBehind ? ordinal : offset.ordinal + shift,
  }));
  return { ordinal, partitions, coversAll: isBehind };
}

type Settling = Settled | Extract<SettleOutcome, { kind: 'stale' }>;

/** The stream's first schema version, with the shadow as its mirror. */
async function adopt(
  client: ClientBase,
  { shadow, place }: SettleOptions,
  { move: { ordinal }, offsets }: { move: Move; offsets: readonly LockedOffset[] },
): Promise<Settling> {
  const [offset] = offsets;
  if (shadow.version !== 0 || ordinal !== firstOrdinal || offset === undefined) return { kind: 'stale' };
  const { stream, fields, settings } = shadow;
  const [gtid = ''] = place.gtids.split(',');
  const source = {
    stream: { id: stream.id, source: stream.source, database: stream.database, table: stream.table },
    firstOrdinal: ordinal.toString(),
    firstTimestamp: Math.floor(place.at.getTime() / 1000),
    schema: { fingerprint: fingerprintOf(fields), fields: [...fields], version: 1, gtid, since: ordinal.toString() },
  };
  const learned = { knowledge: shadow.knowledge, prepared: shadow.schema };
  await new StreamContext(settings).change(client, source, offset, learned);
  await client.query('UPDATE afterimage.offsets SET schema_version = 1 WHERE stream_id = $1', [stream.id]);
  return { kind: 'adopted', written: 0, removed: 0 };
}

async function compare(
  client: ClientBase,
  { shadow, settingsOf, place }: SettleOptions,
  move: Move,
): Promise<Settling> {
  const current = await loadCurrent(client, { stream: shadow.stream, settingsOf, lock: false });
  const shape = ({ columns, key }: Pick<Shadow['target'], 'columns' | 'key'>) =>
    JSON.stringify([columns.map(({ name, mirror, mappedType }) => [name, mirror, mappedType]), key]);
  if (shape(targetInForce(current)) !== shape(shadow.target) || !hasSameTypes(shadow, current))
    return { kind: 'stale' };
  const counts = await replaceRows(client, { current, shadow, place, ordinal: move.ordinal, isBehind: move.coversAll });
  return { kind: 'compared', ...counts };
}

/** Where the shadow has enum types, as it was to become the mirror, later events must have no other labels. */
function hasSameTypes({ target }: Shadow, { version }: CurrentReplica): boolean {
  return target.columns.every((column, i) => {
    const labels = listedLabels(column);
    const { [i]: there } = version.columns;
    return labels === null || (there !== undefined && JSON.stringify(listedLabels(there)) === JSON.stringify(labels));
  });
}

async function moveOffsets(
  client: ClientBase,
  streamId: string,
  { moves, at }: { readonly moves: readonly PartitionMove[]; readonly at: Date },
): Promise<void> {
  const layout = drawLayoutNumber();
  for (const { partition, position, ordinal } of moves) {
    // Where the position stays, its event is still there to be found.
    await client.query(
      `UPDATE afterimage.offsets
       SET position = $3, ordinal = $4, layout = $6, applied_at = clock_timestamp(), source_time = greatest(source_time, $5),
           checkpoint_gtid = CASE WHEN position = $3 THEN checkpoint_gtid END
       WHERE stream_id = $1 AND partition = $2`,
      [streamId, partition, position, ordinal.toString(), at, layout],
    );
  }
}
