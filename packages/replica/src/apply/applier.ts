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
import {
  type Again,
  changeMode,
  createQuestions,
  isAgain,
  judgeKnown,
  type Mode,
  relaxFor,
  relaxOrThrow,
} from './attempts.js';
import { type ReadySchema, StreamContext } from './context.js';
import { needsLookups } from './lookup.js';
import { deferUnique, findRelaxation, type Relaxation } from '../schema/relax.js';
import type { SourceDatabases } from './source.js';
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
      /** Constraints that had to be taken off the mirror, because its rows do not keep them. */
      readonly relaxed: readonly Relaxation[];
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

/** `databaseOf` gives the MariaDB server behind a source, where one is configured. */
export function createApplier(
  pool: Pool,
  settingsOf: TableSettingsProvider,
  databaseOf: SourceDatabases = () => undefined,
): Applier {
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
      const ask = createQuestions(pool, databaseOf(batch.stream.source), batch, context);
      let mode: Mode = { rows: 'whole', lock: 'partition', canAsk: ask !== null, ...(await ask?.beforehand()) };
      for (;;) {
        const result = await attempt(pool, batch, context, mode);
        if (!isAgain(result)) return result;
        mode = { ...mode, ...(await changeMode(result, mode, ask)) };
      }
    },
  };
}

async function attempt(pool: Pool, batch: Batch, context: StreamContext, mode: Mode): Promise<Outcome | Again> {
  return withConnection(pool, async (client) => {
    try {
      const applied = await applyLocked(client, batch, context, mode);
      const outcome = applied.isOver === true ? applied.outcome : await end(client, applied, mode);
      if (outcome.kind === 'to-relax') await relaxFor(client, batch, outcome);
      if (isLasting(outcome)) rememberSchema(context, applied.ready, applied.offset);
      return outcome;
    } catch (error) {
      await rollBack(client);
      return interpret(client, batch, error, mode);
    }
  });
}

function isLasting(outcome: Outcome | Again): boolean {
  return outcome.kind === 'applied' || (outcome.kind === 'unknown-values' && outcome.ready.isNew);
}

async function end(client: ClientBase, { outcome, ready }: Applied, mode: Mode): Promise<Outcome | Again> {
  try {
    await client.query(isLasting(outcome) ? 'COMMIT' : 'ROLLBACK');
    return outcome;
  } catch (error) {
    // Where a deferred constraint speaks.
    return relaxOrThrow(ready, error, mode);
  }
}

function rememberSchema(context: StreamContext, ready: ReadySchema | null, offset: LockedOffset | undefined): void {
  if (ready !== null && offset !== undefined) context.remember(ready, offset);
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
  /** As it was locked. */
  readonly offset?: LockedOffset;
  /** The transaction has ended. */
  readonly isOver?: boolean;
}

const without = (outcome: Outcome | Again): Applied => ({ outcome, ready: null });

async function applyLocked(client: ClientBase, batch: Batch, context: StreamContext, mode: Mode): Promise<Applied> {
  // Sent together: a connection that takes queries in a row makes one round trip of both.
  const [, { own: offset, all }] = await Promise.all([begin(client, mode), lockFor(client, batch, mode)]);
  if (offset === undefined) return without({ kind: 'unknown' });
  const place = judgePlace(batch, offset);
  if (place.kind !== 'next') return without(place);
  if (offset.stateCode === 'SOURCE_CHANGED') return without(stoppedForSource);

  const { position, run } = place;
  const prepared = run.lines.length > 0 ? await context.prepare(client, batch, offset, mode.learned) : null;
  const isNew = prepared?.kind === 'stale';
  const blocked = judgeBarrier(batch, { offset, all }, { isNew, lock: mode.lock });
  if (blocked !== undefined) return without(blocked);
  if (prepared === null) {
    await commitOffset(client, { batch, position, lost: new Map() });
    return without(nothingApplied);
  }
  const missing = judgeKnown(context, { prepared, offset, mode });
  if (missing !== undefined) return without(missing);
  const ready = prepared.kind === 'ready' ? prepared.schema : null;
  return { ...(await applyRun(client, { batch, context, offset, position, run, mode }, ready)), offset };
}

/** Nothing is tried until somebody resumes the stream. */
const stoppedForSource: Outcome = {
  kind: 'halted',
  code: 'SOURCE_CHANGED',
  message: 'the table changed at the source in a way that its events do not tell, and the policy for that is "halt"',
};

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
  relaxed: [],
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
  const ready = inForce ?? (await changeSchema(client, locked));
  try {
    const isUsual = inForce !== null && locked.mode.rows === 'whole' && !isHaltedHere(locked.offset);
    return await (isUsual ? applyAtOnce(client, locked, ready) : applyInSteps(client, locked, ready));
  } catch (error) {
    return without(relaxOrThrow(ready, error, locked.mode));
  }
}

async function applyInSteps(client: ClientBase, locked: LockedRun, ready: ReadySchema): Promise<Applied> {
  const { batch, context, offset, position, run, mode } = locked;
  if (ready.isNew && mode.canAsk && needsLookups(ready)) {
    return { outcome: { kind: 'unknown-values', ready, newSchema: describeSchema(ready) }, ready };
  }
  const result = await runBatch(client, ready, run, mode);
  checkRefusals(result, context);
  await recordRefusals(client, batch, ready.version.version, result.refusals);
  const { events, missing, lost } = result;
  await commitOffset(client, { batch, position, lost });
  await recordState(client, batch.stream.id, { offset, refused: result.refusals.length });
  const refused = result.refusals.length;
  const newSchema = ready.isNew ? describeSchema(ready) : (mode.newSchema ?? null);
  return {
    outcome: { kind: 'applied', events, refused, missing, lost, newSchema, relaxed: mode.relaxed ?? [] },
    ready,
  };
}

function checkRefusals({ refusals: [first] }: IsolationResult, { settings }: StreamContext): void {
  if (first === undefined || settings.onRefused !== 'halt') return;
  throw new StreamHalted('ROW_REFUSED', `a row was refused: ${first.message}; "onRefused" is "halt" for this table`);
}

/**
 * The usual batch, under a schema in force: rows and offset are one statement, and COMMIT goes out behind it without waiting.
 * Where the rows are refused the offset is, too, and there is nothing to commit.
 */
async function applyAtOnce(
  client: ClientBase,
  { batch, position, run, mode }: LockedRun,
  ready: ReadySchema,
): Promise<Applied> {
  const applied = runEvents(client, ready, run, { offset: offsetValues(batch, position), lookups: mode.lookups });
  const [{ events, missing, lost }] = await Promise.all([applied, client.query('COMMIT')]);
  return {
    outcome: {
      kind: 'applied',
      events,
      refused: 0,
      missing,
      lost,
      newSchema: mode.newSchema ?? null,
      relaxed: mode.relaxed ?? [],
    },
    ready,
    isOver: true,
  };
}

async function changeSchema(client: ClientBase, { batch, context, offset, mode }: LockedRun): Promise<ReadySchema> {
  const ready = await context.change(client, batch, offset, { ...mode.learned, relaxed: mode.relaxed });
  await recordSchemaVersion(client, batch.stream.id, ready.version.version);
  return ready;
}

function describeSchema({ version, target }: ReadySchema): NewSchema {
  const notices = target.columns.flatMap(({ name, mapping, lookup }) =>
    [mapping.notice, lookup || mapping.lost('v') !== null ? null : mapping.unreliable].flatMap((text) =>
      text === null ? [] : [{ column: name, text }],
    ),
  );
  return { version: version.version, notices };
}

async function runBatch(client: ClientBase, ready: ReadySchema, run: Run, mode: Mode): Promise<IsolationResult> {
  const { lookups } = mode;
  if (mode.rows === 'isolated') {
    await deferUnique(client, ready);
    const isToRelax = (error: unknown): boolean => findRelaxation(ready, error, mode.relaxed) !== null;
    return isolateRefused(client, ready, run, { lookups, isToRelax });
  }
  return { ...(await runEvents(client, ready, run, { lookups })), refusals: [] };
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
