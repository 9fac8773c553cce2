import {
  adoptKnowledge,
  describeError,
  type DetectedChange,
  haltForSource,
  isCaughtUp,
  loadSourceState,
  noteChange,
  readPresence,
  type StreamRecord,
  type TableSettings,
  type TableSettingsProvider,
} from '@afterimage/replica';
import type { Logger } from '@afterimage/service';
import { resyncTable } from '@afterimage/snapshot';
import { repairTable, type TableVerification, verifyTable } from '@afterimage/verification';
import type { Pool as SourcePool } from 'mariadb';
import type { Pool } from 'pg';

export interface ActOptions {
  readonly pool: Pool;
  readonly source: SourcePool;
  readonly settingsOf: TableSettingsProvider;
  readonly quietMs: number;
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

type Note = (open: readonly DetectedChange[], outcome: string, isDone: boolean) => Promise<void>;

/** Writes down what was done about changes, or why they stay open. */
function createNote({ pool, logger }: Pick<ActOptions, 'pool' | 'logger'>, stream: StreamRecord): Note {
  return async (open, outcome, isDone) => {
    for (const { id } of open) await noteChange(pool, id, { outcome, isDone });
    const about = { source: stream.source, database: stream.database, table: stream.table };
    if (open.length > 0 && isDone) logger.info({ ...about, changes: open.map(({ detail }) => detail) }, outcome);
  };
}

/** Stops the stream at once where the policy for one of its open changes is that. */
export async function haltOnChanges(
  options: Pick<ActOptions, 'pool' | 'logger'>,
  stream: StreamRecord,
  changes: readonly DetectedChange[],
): Promise<void> {
  const halting = changes.filter(({ policy, outcome }) => policy === 'halt' && outcome === null);
  if (halting.length === 0) return;
  const what = halting.map(({ detail }) => detail).join('; ');
  const advice = `When that is in order: afterimage resume ${stream.database}.${stream.table}`;
  await haltForSource(options.pool, stream.id, `${what}. ${advice}`);
  await createNote(options, stream)(halting, 'the stream is stopped: see afterimage status', false);
}

/**
 * Does what the other policies say about the open changes of one stream. What cannot be done yet stays open, with the reason,
 * and is tried again after the next look: a stream that is behind, columns that it tells of only with the next row.
 */
export async function actOnChanges(
  options: ActOptions,
  stream: StreamRecord,
  all: readonly DetectedChange[],
): Promise<void> {
  const { settingsOf, signal, logger } = options;
  const settings = settingsOf(stream);
  const changes = all.filter(({ policy }) => policy !== 'halt');
  if (settings === undefined || all.length === 0) return;
  const note = createNote(options, stream);
  const of = (policy: DetectedChange['policy']) => changes.filter((change) => change.policy === policy);
  try {
    const waiting = await adopt(options, stream, settings);
    if (waiting !== null) return await note(changes, waiting, false);
    await note(of('adopt'), 'the mirror is as MariaDB says', true);
    if (of('resync').length > 0) await note(of('resync'), ...(await resync(options, stream)));
    if (of('repair').length > 0) await note(of('repair'), ...(await repair(options, stream)));
  } catch (error) {
    signal.throwIfAborted();
    const why = describeError(error);
    const outcome = `${why}; trying again`;
    // Once is enough: it is in the record, too.
    if (changes.some((change) => change.outcome !== outcome))
      logger.warn(
        { table: `${stream.database}.${stream.table}`, error: why },
        'a change at the source is not dealt with yet',
      );
    await note(changes, outcome, false);
  }
}

/** Null when the mirror's schema is what MariaDB says; else what it waits for. */
async function adopt(
  { pool, quietMs }: ActOptions,
  stream: StreamRecord,
  settings: TableSettings,
): Promise<string | null> {
  const state = await loadSourceState(pool, stream.id);
  if (state === null || state.knowledge === null) return null;
  // Where no writer works, that nothing was applied says nothing.
  const { hasWriters, readSources } = await readPresence(pool, [stream.source]);
  if (!hasWriters || !readSources.has(stream.source)) return 'waits for reader and writers, which do not run';
  if (!(await isCaughtUp(pool, stream, { quietMs }))) return 'waits until the stream has come there';
  const adoption = await adoptKnowledge(pool, { stream, settings, knowledge: state.knowledge });
  return adoption === 'other-columns'
    ? 'waits for the first row after it, with which the stream tells of the columns'
    : null;
}

type Done = readonly [outcome: string, isDone: boolean];

/** A comparison first: most ways to rewrite a table leave its rows as they are, and comparing costs less than copying. */
async function resync({ pool, source, settingsOf, signal, quietMs }: ActOptions, stream: StreamRecord): Promise<Done> {
  const sides = { source, postgres: pool, settingsOf };
  const settle = { quietMs, timeoutMs: 30_000 };
  const found = await verifyTable({ sides, stream, mostDifferences: 1, settle, signal });
  if (found.outcome === 'equal') return [`compared: ${found.rows} rows are equal`, true];
  if (found.outcome === 'failed') return [describeFailure(found), false];
  const { rows, written, removed } = await resyncTable({ pool, source, stream, settingsOf, signal, attempts: 2 });
  return [`copied again: of ${rows} rows ${written} were written, ${removed} others removed`, true];
}

async function repair({ pool, source, settingsOf, signal, quietMs }: ActOptions, stream: StreamRecord): Promise<Done> {
  const sides = { source, postgres: pool, settingsOf };
  const { before, repaired, after } = await repairTable({
    sides,
    stream,
    settle: { quietMs, timeoutMs: 30_000 },
    signal,
  });
  const last = after ?? before;
  if (last.outcome === 'equal') return [`compared: ${repaired} rows were rewritten, all are equal`, true];
  return [
    last.outcome === 'failed' ? describeFailure(last) : `${repaired} rows were rewritten, others still differ`,
    false,
  ];
}

function describeFailure({ message }: TableVerification): string {
  return `cannot be compared: ${message ?? 'unknown cause'}; trying again`;
}
