import type { ClientBase, Pool } from 'pg';
import {
  type Batch,
  type Position,
  covers,
  coversAll,
  eventLines,
  eventOrdinals,
  parsePosition,
  startPosition,
} from '@afterimage/change-events';
import { StreamHalted, describeError, isRowRefused, isTransient, sqlState } from '../errors.js';
import type { TableSettingsProvider } from '../settings.js';
import { rollBack, withConnection } from '../transaction.js';
import { isDividedByKey, type ReadySchema, StreamContext } from './context.js';
import { type IsolationResult, isolateRefused } from './isolate.js';
import {
  commitOffset,
  isHaltedHere,
  lockAllOffsets,
  type LockedOffset,
  lockOffset,
  offsetValues,
  recordHalt,
  recordRefusals,
  recordSchemaVersion,
  recordState,
} from './offset.js';
import { type Run, runEvents } from './run.js';
import { parseEventId } from './event-prefix.js';

/** A schema version that came into force with a batch. */
export interface NewSchema {
  readonly version: number;
  /** What the operator should know of a column: values the stream may lose, settings that do not fit. */
  readonly notices: readonly { readonly column: string; readonly text: string }[];
}

/** What became of a batch. */
export type Outcome =
  | {
      readonly kind: 'applied';
      readonly events: number;
      readonly refused: number;
      readonly missing: number;
      readonly lost: ReadonlyMap<string, number>;
      readonly newSchema: NewSchema | null;
    }
  /** All of it was applied before. */
  | { readonly kind: 'duplicate' }
  /** Its `previous` lies beyond the offset: an earlier batch is still to come. Try again later. */
  | { readonly kind: 'gap'; readonly offset: string }
  /** The stream stands until the operator acts. Try again later: it goes on by itself when it can. */
  | { readonly kind: 'halted'; readonly code: string; readonly message: string }
  /** The stream is not in the configuration. */
  | { readonly kind: 'unknown' }
  /** It was cut for a division into partitions that is no longer in force; its events come again. */
  | { readonly kind: 'stale' };

export interface Applier {
  /**
   * Applies one batch in one transaction. Any number of callers, in any processes, may apply any batches at once and
   * repeatedly: the offset row makes every event count once and in order. Throws only what trying again may cure
   * (see isTransient).
   */
  apply(batch: Batch): Promise<Outcome>;
}

export function createApplier(pool: Pool, settingsOf: TableSettingsProvider): Applier {
  const contexts = new Map<string, StreamContext>();

  function contextOf(batch: Batch): StreamContext | undefined {
    const known = contexts.get(batch.stream.id);
    if (known !== undefined) return known;
    const settings = settingsOf(batch.stream);
    if (settings === undefined) return undefined;
    const context = new StreamContext(settings);
    contexts.set(batch.stream.id, context);
    return context;
  }

  return {
    async apply(batch) {
      const context = contextOf(batch);
      if (context === undefined) return { kind: 'unknown' };
      let mode: Mode = { rows: 'whole', lock: 'partition' };
      for (;;) {
        const result = await attempt(pool, batch, context, mode);
        if (result.kind === 'refused') mode = { ...mode, rows: 'isolated' };
        else if (result.kind === 'barrier') mode = { ...mode, lock: 'stream' };
        else return result;
      }
    },
  };
}

/** How a batch is tried. */
interface Mode {
  /** `isolated`: PostgreSQL refused a row of it, which is to be found. */
  readonly rows: 'whole' | 'isolated';
  /** `stream`: it crosses a barrier, so all partitions of its stream are locked. */
  readonly lock: 'partition' | 'stream';
}

/** Why a batch must be tried in another mode. */
type Again = { readonly kind: 'refused' } | { readonly kind: 'barrier' };

async function attempt(pool: Pool, batch: Batch, context: StreamContext, mode: Mode): Promise<Outcome | Again> {
  return withConnection(pool, async (client) => {
    try {
      const { outcome, ready, isOver } = await applyLocked(client, batch, context, mode);
      if (isOver !== true) await client.query(outcome.kind === 'applied' ? 'COMMIT' : 'ROLLBACK');
      if (outcome.kind === 'applied' && ready !== null) context.remember(ready);
      return outcome;
    } catch (error) {
      await rollBack(client);
      return interpret(client, batch, error, mode);
    }
  });
}

async function interpret(client: ClientBase, batch: Batch, error: unknown, mode: Mode): Promise<Outcome | Again> {
  if (isTransient(error)) throw error;
  if (mode.rows === 'whole' && isRowRefused(error)) return { kind: 'refused' };
  const halt = asHalt(error);
  await recordHalt(client, batch, halt);
  return { kind: 'halted', code: halt.code, message: halt.message };
}

function asHalt(error: unknown): StreamHalted {
  if (error instanceof StreamHalted) return error;
  const why = describeError(error);
  switch (sqlState(error)) {
    case '42501':
      return new StreamHalted('PRIVILEGE_MISSING', `the writer's role lacks a privilege: ${why}`, error);
    case '42P01':
    case '42703':
    case '42P10':
    case '42804':
    case '3F000':
      return new StreamHalted(
        'MIRROR_CHANGED',
        `mirror or history is not as it was left: ${why}. Undo the change, or run "afterimage rebuild" for this table.`,
        error,
      );
    default:
      return new StreamHalted('BATCH_REFUSED', why, error);
  }
}

interface Applied {
  readonly outcome: Outcome | Again;
  readonly ready: ReadySchema | null;
  /** The transaction has ended. */
  readonly isOver?: boolean;
}

const without = (outcome: Outcome | Again): Applied => ({ outcome, ready: null });

async function applyLocked(client: ClientBase, batch: Batch, configured: StreamContext, mode: Mode): Promise<Applied> {
  // Sent together: a connection that takes queries in a row makes one round trip of both.
  const [, { own: offset, all }] = await Promise.all([begin(client, mode), lockFor(client, batch, mode)]);
  if (offset === undefined) return without({ kind: 'unknown' });
  const place = judgePlace(batch, offset);
  if (place.kind !== 'next') return without(place);

  const { position, run } = place;
  const context = await configured.underDivision(client, batch, offset);
  const hasEvents = run.lines.length > 0;
  const ready = hasEvents ? await context.prepare(client, batch, offset.schemaVersion) : null;
  const isNew = hasEvents && ready === null;
  const blocked = judgeBarrier(batch, { offset, all }, { isNew, lock: mode.lock });
  if (blocked !== undefined) return without(blocked);
  if (hasEvents) {
    const applied = await applyRun(client, { batch, context, offset, position, run, mode }, ready);
    return context === configured ? applied : { ...applied, ready: null };
  }
  await commitOffset(client, { batch, position, lost: new Map() });
  return without(nothingApplied);
}

/**
 * A schema change is a barrier: nothing from its first event on may be applied before every partition has applied what comes
 * before. Only under the lock of all partitions can that be told.
 */
function judgeBarrier(
  { schema }: Batch,
  { offset, all }: { offset: LockedOffset; all: readonly LockedOffset[] },
  { isNew, lock }: { isNew: boolean; lock: Mode['lock'] },
): Outcome | Again | undefined {
  const since = BigInt(schema.since);
  const isBarrier = isNew || since > offset.ordinal;
  if (isBarrier && offset.partitionKey !== null && lock === 'partition') return { kind: 'barrier' };
  if (all.some(({ ordinal }) => ordinal + 1n < since)) return { kind: 'gap', offset: offset.position };
  return undefined;
}

type Place =
  | Extract<Outcome, { kind: 'stale' | 'duplicate' | 'gap' }>
  | { readonly kind: 'next'; readonly position: Position; readonly run: Run };

/** What a batch is to the locked offset of its partition, by positions alone. */
function judgePlace(batch: Batch, offset: LockedOffset): Place {
  if (offset.layout !== batch.layout) return { kind: 'stale' };
  const position = parsePosition(offset.position);
  if (coversAll(position, parsePosition(batch.last))) return { kind: 'duplicate' };
  const previous = parsePosition(batch.previous);
  if (!coversAll(position, previous)) return { kind: 'gap', offset: offset.position };
  return { kind: 'next', position, run: cutDone(batch, coversAll(previous, position) ? startPosition : position) };
}

async function begin(client: ClientBase, { rows }: Mode): Promise<void> {
  const begun = client.query('BEGIN');
  // A deferred constraint, too, must name its row while there is a savepoint to go back to.
  const set = rows === 'isolated' ? client.query('SET CONSTRAINTS ALL IMMEDIATE') : undefined;
  await Promise.all([begun, set]);
}

async function lockFor(
  client: ClientBase,
  { stream, partition }: Batch,
  { lock }: Mode,
): Promise<{ own: LockedOffset | undefined; all: readonly LockedOffset[] }> {
  if (lock === 'partition') return { own: await lockOffset(client, stream.id, partition), all: [] };
  const all = await lockAllOffsets(client, stream.id);
  return { own: all.find((offset) => offset.partition === partition), all };
}

const nothingApplied: Outcome = {
  kind: 'applied',
  events: 0,
  refused: 0,
  missing: 0,
  lost: new Map(),
  newSchema: null,
};

interface LockedRun {
  readonly batch: Batch;
  readonly context: StreamContext;
  readonly offset: LockedOffset;
  readonly position: Position;
  readonly run: Run;
  readonly mode: Mode;
}

async function applyRun(client: ClientBase, locked: LockedRun, inForce: ReadySchema | null): Promise<Applied> {
  const { batch, context, offset, position, run, mode } = locked;
  checkPartitionKey(batch, offset, context);
  if (inForce !== null && mode.rows === 'whole' && !isHaltedHere(offset)) {
    return applyAtOnce(client, locked, inForce);
  }
  const ready = inForce ?? (await changeSchema(client, locked));
  const result = await runBatch(client, ready, run, mode);
  if (result.refusals.length > 0 && context.settings.onRefused === 'halt') {
    const [first] = result.refusals;
    throw new StreamHalted('ROW_REFUSED', `a row was refused: ${first?.message}; "onRefused" is "halt" for this table`);
  }
  await recordRefusals(client, batch, ready.version.version, result.refusals);
  const { events, missing, lost } = result;
  await commitOffset(client, { batch, position, lost });
  await recordState(client, batch.stream.id, { offset, refused: result.refusals.length });
  const refused = result.refusals.length;
  const newSchema = ready.isNew ? describeSchema(ready) : null;
  return { outcome: { kind: 'applied', events, refused, missing, lost, newSchema }, ready };
}

/**
 * The usual batch, under a schema in force: rows and offset are one statement, and COMMIT goes out behind it without waiting.
 * Where the rows are refused the offset is, too, and there is nothing to commit.
 */
async function applyAtOnce(
  client: ClientBase,
  { batch, position, run }: LockedRun,
  ready: ReadySchema,
): Promise<Applied> {
  const applied = runEvents(client, ready, run, { offset: offsetValues(batch, position) });
  const [{ events, missing, lost }] = await Promise.all([applied, client.query('COMMIT')]);
  return {
    outcome: { kind: 'applied', events, refused: 0, missing, lost, newSchema: null },
    ready,
    isOver: true,
  };
}

async function changeSchema(client: ClientBase, { batch, context, offset }: LockedRun): Promise<ReadySchema> {
  const ready = await context.change(client, batch, offset.schemaVersion);
  await recordSchemaVersion(client, batch.stream.id, ready.version.version);
  return ready;
}

function checkPartitionKey(batch: Batch, offset: LockedOffset, { settings }: StreamContext): void {
  if (isDividedByKey(batch, offset, settings.key)) return;
  throw new StreamHalted(
    'PARTITION_KEY_DIFFERS',
    `the stream is divided by (${offset.partitionKey?.join(', ')}), but the key is (${settings.key?.join(', ')}): restart the reader with the same configuration`,
  );
}

function describeSchema({ version, target }: ReadySchema): NewSchema {
  const notices = target.columns.flatMap(({ name, mapping }) =>
    [mapping.notice, mapping.lost('v') === null ? mapping.unreliable : null].flatMap((text) =>
      text === null ? [] : [{ column: name, text }],
    ),
  );
  return { version: version.version, notices };
}

async function runBatch(client: ClientBase, ready: ReadySchema, run: Run, mode: Mode): Promise<IsolationResult> {
  if (mode.rows === 'isolated') return isolateRefused(client, ready, run);
  return { ...(await runEvents(client, ready, run)), refusals: [] };
}

/**
 * The events of a batch that lie above `done`: all of them as a rule, the rest of the batch where it overlaps what was
 * applied before.
 */
function cutDone(batch: Batch, done: Position): Run {
  const lines = eventLines(batch);
  const ordinals = eventOrdinals(batch);
  const { sequenceBases } = batch;
  if (done.size === 0) return { lines, ordinals, sequenceBases };
  const kept = lines.flatMap((line, i) => (isDone(line, done, sequenceBases) ? [] : [i]));
  const pick = <T>(values: readonly T[]): T[] => kept.flatMap((i) => values.slice(i, i + 1));
  return { lines: pick(lines), ordinals: pick(ordinals), sequenceBases };
}

/** A line that is no event is not done: it is refused when its turn comes. */
function isDone(line: string, done: Position, sequenceBases: Readonly<Record<string, string>>): boolean {
  try {
    return covers(done, parseEventId(line, sequenceBases));
  } catch {
    return false;
  }
}
