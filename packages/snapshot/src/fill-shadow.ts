import { readTableKnowledge, type TableKnowledge } from '@afterimage/mariadb';
import {
  columnsNow,
  createShadow,
  finishReadHistory,
  indexShadow,
  recordProgress,
  recordStart,
  type Shadow,
  type SnapshotPlace,
  withConnection,
} from '@afterimage/replica';
import type { Pool as SourcePool } from 'mariadb';
import type { Pool } from 'pg';
import { type ConsistentView, openView } from './consistent-view.js';
import { copyRanges, type CopyCount } from './copy-rows.js';
import { type CopiedColumn, selectLines } from './copy-select.js';
import { noSuchTable, SnapshotError } from './errors.js';
import { divideByKey, findKeyIndex, sourceTable } from './key-ranges.js';
import { createPace } from './pace.js';
import type { SnapshotOptions, SnapshotPhase } from './snapshot-table.js';
import { streamFields } from './stream-fields.js';

/** A shadow with all rows of the table as they were at a place. */
export interface FilledShadow {
  readonly shadow: Shadow;
  readonly place: SnapshotPlace;
  readonly count: CopyCount;
}

const noteMs = 1_000;

/** Copies a table, from the beginning, into a new shadow with its key and, where it is to become the mirror, its history. */
export async function fillShadow(options: SnapshotOptions, attempt: number): Promise<FilledShadow> {
  const { source, stream, pool, signal, parallel = 2, onNotice } = options;
  const known = await requireTable(options);
  const view = await openView({ source, knowledge: known, readers: parallel });
  try {
    signal.throwIfAborted();
    if (view.notice !== null) onNotice?.(view.notice);
    const knowledge = await readInView(view, options);
    const shadow = await createShadow(pool, {
      stream,
      settingsOf: options.settingsOf,
      fields: streamFields(knowledge),
      knowledge,
      place: view.place,
    });
    const estimatedRows = await estimateRows(source, knowledge);
    await recordStart(pool, { streamId: stream.id, attempt, estimatedRows });
    const count = { rows: 0, bytes: 0 };
    const stopNoting = noteProgress(options, { count, estimatedRows, gtid: view.place.gtids });
    try {
      await copyAll(options, { view, shadow, knowledge, estimatedRows, count });
      await view.close();
      stopNoting('indexing');
      await finish(pool, shadow);
      return { shadow, place: view.place, count };
    } finally {
      stopNoting('indexing');
    }
  } finally {
    await view.close();
  }
}

async function requireTable({ source, stream }: SnapshotOptions): Promise<TableKnowledge> {
  const name = `${stream.database}.${stream.table}`;
  const knowledge = await readTableKnowledge(source, stream.database, stream.table);
  if (knowledge === null) throw noSuchTable(name);
  if (knowledge.isSystemVersioned) {
    throw new SnapshotError(
      'NOT_STREAMED',
      `${name} is WITH SYSTEM VERSIONING: MaxScale never sends its rows, so a copy would not be kept up to date; take it out of the configuration`,
    );
  }
  return knowledge;
}

/** From the first look on, the view's transactions keep the table as it is: ALTER TABLE waits for them. */
async function readInView({ connections }: ConsistentView, { stream }: SnapshotOptions): Promise<TableKnowledge> {
  const [first] = connections;
  if (first === undefined) throw new RangeError('a view without connections');
  await Promise.all(connections.map((connection) => connection.query(`SELECT 1 FROM ${sourceTable(stream)} LIMIT 1`)));
  const knowledge = await readTableKnowledge(first, stream.database, stream.table);
  if (knowledge === null) throw noSuchTable(`${stream.database}.${stream.table}`);
  return knowledge;
}

async function estimateRows(source: SourcePool, { database, table }: TableKnowledge): Promise<bigint> {
  const rows = await source.query<{ estimate: bigint | number | null }[]>(
    'SELECT TABLE_ROWS AS estimate FROM information_schema.TABLES WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ?',
    [database, table],
  );
  return BigInt(rows[0]?.estimate ?? 0);
}

interface CopyTask {
  readonly view: ConsistentView;
  readonly shadow: Shadow;
  readonly knowledge: TableKnowledge;
  readonly estimatedRows: bigint;
  readonly count: CopyCount;
}

async function copyAll(options: SnapshotOptions, task: CopyTask): Promise<void> {
  const { pool, signal, rate = null, rangeRows = 50_000 } = options;
  const { view, shadow, knowledge, estimatedRows, count } = task;
  const ranges = await divideByKey({ connection: options.source, knowledge, estimatedRows, rangeRows });
  const failure = new AbortController();
  const copy = {
    pool,
    source: options.source,
    shadow,
    select: selectLines(await findColumns(pool, shadow), shadow.settings.types),
    table: sourceTable(knowledge),
    index: findKeyIndex(knowledge)?.name ?? null,
    ranges,
    count,
    pace: createPace(rate, () => performance.now()),
    signal: AbortSignal.any([signal, failure.signal]),
  };
  const readers = view.connections.map(async (connection) => {
    try {
      await copyRanges(connection, copy);
    } catch (error) {
      failure.abort(error);
      throw error;
    }
  });
  await Promise.allSettled(readers);
  // Of several failures the first is the cause of the others.
  if (failure.signal.aborted) throw failure.signal.reason as Error;
  signal.throwIfAborted();
}

/**
 * The source's column behind each column of the shadow. One that is gone, of which the stream has not told yet, is NULL until
 * it does.
 */
async function findColumns(pool: Pool, shadow: Shadow): Promise<CopiedColumn[]> {
  const { columns, target, stream, current, knowledge } = shadow;
  const found = current === null ? knowledge.table.columns : await columnsNow(pool, stream, current, knowledge);
  return columns.map(({ name, mirror, postgresType }, place) => {
    const source = found[place];
    if (source === undefined || (source === null && target.key?.includes(mirror) === true)) {
      const why =
        source === null
          ? `${stream.database}.${stream.table} has no key column ${JSON.stringify(name)} any more`
          : `columns of ${stream.database}.${stream.table} were renamed or moved, and it cannot be told which is ${JSON.stringify(name)}`;
      throw new SnapshotError(
        'TABLE_CHANGES',
        `${why}, and the stream has not said so yet: it does with the next row that changes; copy the table then`,
      );
    }
    return { source, postgresType };
  });
}

/** Tells once a second how far it is. The returned function ends that, once. */
function noteProgress(
  { stream, pool, onProgress }: SnapshotOptions,
  { count, estimatedRows, gtid }: { count: CopyCount; estimatedRows: bigint; gtid: string },
): (phase: SnapshotPhase) => void {
  let isOver = false;
  const tell = (phase: SnapshotPhase): void => {
    onProgress?.({ phase, ...count, estimatedRows: Number(estimatedRows) });
    const progress = { streamId: stream.id, state: 'copying' as const, gtid, ...count };
    // Only for who looks: the copy does not depend on it.
    recordProgress(pool, progress).catch(() => undefined);
  };
  tell('copying');
  const timer = setInterval(() => tell('copying'), noteMs);
  return (phase) => {
    if (isOver) return;
    isOver = true;
    clearInterval(timer);
    tell(phase);
  };
}

/** The indexes come when all rows are there, all at once. */
async function finish(pool: Pool, shadow: Shadow): Promise<void> {
  const mirror = withConnection(pool, (client) => indexShadow(client, shadow));
  if (shadow.version !== 0) return mirror;
  const history = withConnection(pool, (client) => finishReadHistory(client, shadow)).then((statements) =>
    settleAll(
      statements.map((statement) => withConnection(pool, async (client) => void (await client.query(statement)))),
    ),
  );
  await settleAll([mirror, history]);
}

/** Waits for all, then throws the first failure: nothing is still at work on the shadow when it is thrown. */
async function settleAll(work: readonly Promise<void>[]): Promise<void> {
  const results = await Promise.allSettled(work);
  const failed = results.find((result) => result.status === 'rejected');
  if (failed !== undefined) throw failed.reason;
}
