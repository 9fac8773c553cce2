import { setTimeout as sleep } from 'node:timers/promises';
import { coversAll, parsePosition, positionAfterGtids } from '@afterimage/change-events';
import {
  dropShadow,
  lockSnapshot,
  readOffsets,
  recordDone,
  recordFailure,
  type Settled,
  settleSnapshot,
  type StreamRecord,
  type TableSettingsProvider,
  unlockSnapshot,
  withConnection,
} from '@afterimage/replica';
import { createBackoff } from '@afterimage/service';
import type { Pool as SourcePool } from 'mariadb';
import type { Pool } from 'pg';
import { explainError, isWorthAnotherTry, SnapshotError } from './errors.js';
import { type FilledShadow, fillShadow } from './fill-shadow.js';

export type SnapshotPhase = 'copying' | 'indexing' | 'waiting' | 'settling';

export interface SnapshotProgress {
  readonly phase: SnapshotPhase;
  readonly rows: number;
  readonly bytes: number;
  /** As MariaDB estimates it, which may be far off. */
  readonly estimatedRows: number;
}

export interface SnapshotOptions {
  /** At least 2 · `parallel` + 3 connections, not in pipeline mode, in which pg has no COPY. */
  readonly pool: Pool;
  /** `openSourceDatabase`, with at least `parallel` + 2 connections. */
  readonly source: SourcePool;
  readonly stream: StreamRecord;
  readonly settingsOf: TableSettingsProvider;
  /** Connections that read, at most. Default 2. */
  readonly parallel?: number;
  /** Rows a second at most. */
  readonly rate?: number | null;
  /** About how many rows a reader takes at once. Default 50,000. */
  readonly rangeRows?: number;
  /** How often a copy that broke off is begun again. Default 10. */
  readonly attempts?: number;
  /** How long a stream that is behind the copy may stand still before it is passed over. Default 3 s. */
  readonly patienceMs?: number;
  readonly signal: AbortSignal;
  readonly onProgress?: (progress: SnapshotProgress) => void;
  /** What the operator should know, in one sentence: the copy goes on. */
  readonly onNotice?: (text: string) => void;
}

export interface SnapshotResult {
  /** The copy became the mirror, or a mirror that was there was made equal to it. */
  readonly kind: Settled['kind'];
  /** GTID position from which the stream goes on. */
  readonly gtids: string;
  readonly rows: number;
  readonly bytes: number;
  /** Of a mirror that was there: rows that were written and removed. */
  readonly written: number;
  readonly removed: number;
  readonly attempts: number;
}

const lookMs = 100;
/** How long partitions may stay apart. */
const apartMs = 60_000;

/**
 * Copies one table as it is at a place of MariaDB's binlog, and sets the stream to go on from there: nothing is missing and
 * nothing comes twice. Where the stream has no mirror yet the copy becomes it; a mirror that is streamed already is
 * corrected by the rows that differ, in one transaction, while its stream goes on.
 *
 * A copy that breaks off (a server that ends, DDL) begins again, from the beginning and at a new place. Until the last
 * transaction neither mirror, history nor offsets are touched. Throws SnapshotError; the signal's reason after an abort.
 */
export async function snapshotTable(options: SnapshotOptions): Promise<SnapshotResult> {
  const { pool, stream, signal } = options;
  try {
    return await tryUntilDone(options);
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    const failure = explainError(error, nameOf(options));
    if (failure.code !== 'ALREADY_RUNNING') {
      await recordFailure(pool, stream.id, failure.message).catch(() => undefined);
    }
    throw failure;
  }
}

const nameOf = ({ stream }: Pick<SnapshotOptions, 'stream'>): string => `${stream.database}.${stream.table}`;

/**
 * Makes the mirror of a table that is streamed equal to the source again, whatever the stream did not tell (TRUNCATE, a
 * partition exchange, a column that was filled). The same as `snapshotTable`, which sees what there is to do.
 */
export async function resyncTable(options: SnapshotOptions): Promise<SnapshotResult> {
  return snapshotTable(options);
}

async function tryUntilDone(options: SnapshotOptions): Promise<SnapshotResult> {
  const { signal, attempts = 10, onNotice } = options;
  const backoff = createBackoff({ minMs: 200, maxMs: 15_000 });
  for (let attempt = 1; ; attempt += 1) {
    const result = await tryOnce(options, attempt).catch((error: unknown) => {
      signal.throwIfAborted();
      if (attempt >= attempts || !mayTryAgain(error, attempt)) throw error;
      return explainError(error, nameOf(options));
    });
    if (result === 'stale' && attempt >= attempts) throw changesTooOften(options);
    if (result !== 'stale' && !(result instanceof SnapshotError)) return result;
    const why = result === 'stale' ? 'its columns changed while it was copied' : result.message;
    onNotice?.(`${why}; copying it again from the beginning`);
    await sleep(backoff.next(), undefined, { signal });
  }
}

/** A lock whose connection broke stays until PostgreSQL has noticed. */
function mayTryAgain(error: unknown, attempt: number): boolean {
  const isOwnLock = attempt > 1 && error instanceof SnapshotError && error.code === 'ALREADY_RUNNING';
  return isOwnLock || isWorthAnotherTry(error);
}

/** Under the lock of the stream's snapshots. */
async function tryOnce(options: SnapshotOptions, attempt: number): Promise<SnapshotResult | 'stale'> {
  const { pool, stream } = options;
  return withConnection(pool, async (client) => {
    if (!(await lockSnapshot(client, stream.id))) {
      throw new SnapshotError('ALREADY_RUNNING', `another process copies ${nameOf(options)} already: wait for it`);
    }
    try {
      const filled = await fillShadow(options, attempt);
      const settled = await settle(options, filled);
      return settled === 'stale' ? settled : describe(settled, filled, attempt);
    } finally {
      await dropShadow(pool, stream.id).catch(() => undefined);
      await unlockSnapshot(client, stream.id).catch(() => undefined);
    }
  });
}

function changesTooOften({ stream }: SnapshotOptions): SnapshotError {
  return new SnapshotError(
    'TABLE_CHANGES',
    `the columns or the key of ${stream.database}.${stream.table} are others in MariaDB than in its stream: copy it again when a row has changed since the last ALTER TABLE, which is when the stream tells of it`,
  );
}

function describe(
  { kind, written, removed }: Settled,
  { place, count }: FilledShadow,
  attempts: number,
): SnapshotResult {
  return { kind, gtids: place.gtids, ...count, written, removed, attempts };
}

async function settle(options: SnapshotOptions, filled: FilledShadow): Promise<Settled | 'stale'> {
  const { pool, stream, settingsOf, signal, onProgress } = options;
  const { shadow, place, count } = filled;
  const tell = (phase: SnapshotPhase): void => onProgress?.({ phase, ...count, estimatedRows: count.rows });
  if (shadow.version !== 0) {
    tell('waiting');
    await awaitStream(options, place.gtids);
  }
  tell('settling');
  const until = Date.now() + apartMs;
  for (;;) {
    const outcome = await settleSnapshot(pool, {
      settingsOf,
      shadow,
      place,
      onDone: (client, settled) => recordDone(client, stream.id, { ...settled, ...count, gtid: place.gtids }),
    });
    if (outcome.kind === 'stale') return 'stale';
    if (outcome.kind !== 'apart') return outcome;
    if (Date.now() > until) {
      throw new SnapshotError(
        'STREAM_APART',
        `the partitions of ${stream.database}.${stream.table} stay on both sides of the copy: see "afterimage status" for why some do not go on, then run it again`,
      );
    }
    await sleep(lookMs, undefined, { signal });
  }
}

/**
 * History should have the changes up to the copy as what they were. So a stream that comes closer is waited for; one that
 * has nothing of this table, or stands, is passed over.
 */
async function awaitStream(
  { pool, stream, signal, patienceMs = 3_000 }: SnapshotOptions,
  gtids: string,
): Promise<void> {
  const wanted = positionAfterGtids(gtids);
  let seen = '';
  let movedAt = Date.now();
  for (;;) {
    const offsets = (await readOffsets(pool, [stream.id])).get(stream.id);
    const positions = offsets?.partitions.map(({ position }) => position) ?? [];
    if (positions.every((position) => coversAll(parsePosition(position), wanted))) return;
    if (positions.join(' ') !== seen) {
      seen = positions.join(' ');
      movedAt = Date.now();
    } else if (Date.now() - movedAt > patienceMs) return;
    await sleep(lookMs, undefined, { signal });
  }
}
