import type { ClientBase, Pool } from 'pg';
import {
  type Batch,
  type Position,
  covers,
  coversAll,
  eventLines,
  parsePosition,
  startPosition,
} from '@afterimage/change-events';
import { StreamHalted, describeError, isRowRefused, isTransient, sqlState } from '../errors.js';
import type { TableSettingsProvider } from '../settings.js';
import { rollBack, withConnection } from '../transaction.js';
import { type ReadySchema, StreamContext } from './context.js';
import { type IsolationResult, isolateRefused } from './isolate.js';
import { commitOffset, lockOffset, recordHalt, recordRefusals, recordState } from './offset.js';
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
  | { readonly kind: 'unknown' };

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
      const first = await attempt(pool, batch, context, 'whole');
      return first === 'refused' ? settle(await attempt(pool, batch, context, 'isolate')) : first;
    },
  };
}

function settle(outcome: Outcome | 'refused'): Outcome {
  if (outcome !== 'refused') return outcome;
  throw new Error('a batch was refused as a whole after its rows had been isolated');
}

type Mode = 'whole' | 'isolate';

async function attempt(pool: Pool, batch: Batch, context: StreamContext, mode: Mode): Promise<Outcome | 'refused'> {
  return withConnection(pool, async (client) => {
    try {
      await client.query('BEGIN');
      // A deferred constraint, too, must name its row while there is a savepoint to go back to.
      if (mode === 'isolate') await client.query('SET CONSTRAINTS ALL IMMEDIATE');
      const { outcome, ready } = await applyLocked(client, batch, context, mode);
      await client.query(outcome.kind === 'applied' ? 'COMMIT' : 'ROLLBACK');
      if (outcome.kind === 'applied' && ready !== null) context.remember(ready);
      return outcome;
    } catch (error) {
      await rollBack(client);
      return interpret(client, batch, error, mode);
    }
  });
}

async function interpret(client: ClientBase, batch: Batch, error: unknown, mode: Mode): Promise<Outcome | 'refused'> {
  if (isTransient(error)) throw error;
  if (mode === 'whole' && isRowRefused(error)) return 'refused';
  const halt = asHalt(error);
  await recordHalt(client, batch.stream.id, halt.code, halt.message);
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
  readonly outcome: Outcome;
  readonly ready: ReadySchema | null;
}

async function applyLocked(client: ClientBase, batch: Batch, context: StreamContext, mode: Mode): Promise<Applied> {
  const offset = await lockOffset(client, batch.stream.id, batch.partition);
  if (offset === null) return { outcome: { kind: 'unknown' }, ready: null };
  const position = parsePosition(offset.position);
  if (coversAll(position, parsePosition(batch.last))) return { outcome: { kind: 'duplicate' }, ready: null };
  const previous = parsePosition(batch.previous);
  if (!coversAll(position, previous)) return { outcome: { kind: 'gap', offset: offset.position }, ready: null };

  const run = cutDone(batch, coversAll(previous, position) ? startPosition : position);
  const ready = await context.prepare(client, batch, offset.schemaVersion);
  const result = await runBatch(client, ready, run, mode);
  if (result.refusals.length > 0 && context.settings.onRefused === 'halt') {
    const [first] = result.refusals;
    throw new StreamHalted('ROW_REFUSED', `a row was refused: ${first?.message}; "onRefused" is "halt" for this table`);
  }
  await recordRefusals(client, batch, ready.version.version, result.refusals);
  await commitOffset(client, { batch, position, schemaVersion: ready.version.version, lost: result.lost });
  await recordState(client, batch.stream.id, { state: offset.state, refused: result.refusals.length });
  const { events, missing, lost } = result;
  const outcome: Outcome = {
    kind: 'applied',
    events,
    refused: result.refusals.length,
    missing,
    lost,
    newSchema: ready.isNew ? describeSchema(ready) : null,
  };
  return { outcome, ready };
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
  if (mode === 'isolate') return isolateRefused(client, ready, run);
  return { ...(await runEvents(client, ready, run)), refusals: [] };
}

/**
 * The events of a batch that lie above `done`: all of them as a rule, the rest of the batch where it overlaps what was
 * applied before. They are numbered so that the last one keeps its ordinal.
 */
function cutDone(batch: Batch, done: Position): Run {
  const all = eventLines(batch);
  const lines = done.size === 0 ? all : all.filter((line) => !isDone(line, done, batch.sequenceBases));
  const firstOrdinal = BigInt(batch.firstOrdinal) + BigInt(all.length - lines.length);
  return { lines, firstOrdinal, sequenceBases: batch.sequenceBases };
}

/** A line that is no event is not done: it is refused when its turn comes. */
function isDone(line: string, done: Position, sequenceBases: Readonly<Record<string, string>>): boolean {
  try {
    return covers(done, parseEventId(line, sequenceBases));
  } catch {
    return false;
  }
}
