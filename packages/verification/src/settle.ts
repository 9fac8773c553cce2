import { setTimeout as delay } from 'node:timers/promises';
import type { Position } from '@afterimage/change-events';
import type { ComparedTable, Sides } from './compared-table.js';
import { hasCovered, readProgress, readSourcePosition, type StreamProgress } from './stream-progress.js';

export interface SettleOptions {
  /** How long a difference must stand while nothing of the stream is applied, where the stream's position cannot tell. */
  readonly quietMs: number;
  /** How long to look at rows that keep changing. */
  readonly timeoutMs: number;
  readonly pollMs: number;
  /** Whether the stream runs. While it does not, it only seems quiet: no difference is sure that its position does not prove. */
  readonly isRunning: () => Promise<boolean>;
  readonly signal: AbortSignal;
}

export const settleDefaults = { quietMs: 5000, timeoutMs: 60_000, pollMs: 250 } as const;

/** How to look at something again: by what it is known, whether it is equal now, and whether it is as it was. */
export interface Subject<Look> {
  readonly look: (ids: readonly string[]) => Promise<ReadonlyMap<string, Look>>;
  readonly isEqual: (look: Look) => boolean;
  readonly isSame: (one: Look, other: Look) => boolean;
}

export interface Settled<Look> {
  /** Different for good: in-flight changes are past. */
  readonly different: ReadonlyMap<string, Look>;
  /** Still changing when the time was over. */
  readonly unsettled: ReadonlyMap<string, Look>;
}

interface Watched<Look> {
  readonly look: Look;
  /** The source's position when it first looked so, and the stream's progress and the time. */
  readonly position: Position;
  readonly progress: StreamProgress;
  readonly since: number;
}

/**
 * Looks at differences until each is gone or sure. A difference is sure when both sides are what they were at an earlier
 * look and in between the stream has covered the position that MariaDB had then; or, because the stream of a quiet table
 * covers nothing, when nothing of it was applied for a while.
 */
export async function settle<Look>(
  { sides, table }: { sides: Sides; table: ComparedTable },
  ids: readonly string[],
  subject: Subject<Look>,
  options: SettleOptions,
): Promise<Settled<Look>> {
  const started = Date.now();
  const different = new Map<string, Look>();
  let watched = new Map<string, Watched<Look> | null>(ids.map((id) => [id, null]));
  while (watched.size > 0) {
    options.signal.throwIfAborted();
    const now = Date.now();
    // Before the look: what the stream has covered here, the mirror shows.
    const progress = await readProgress(sides.postgres, table.stream.id);
    const isRunning = await options.isRunning();
    const looks = await subject.look([...watched.keys()]);
    // After the look: MariaDB's rows are not newer than this.
    const position = await readSourcePosition(sides.source);
    const moment = { position, progress, since: now };
    const step = judge({ watched, looks, moment, subject }, { quietMs: options.quietMs, isRunning });
    for (const [id, look] of step.sure) different.set(id, look);
    watched = step.next;
    if (watched.size === 0 || Date.now() - started > options.timeoutMs) break;
    await delay(options.pollMs, undefined, { signal: options.signal });
  }
  const rest = [...watched].flatMap(([id, last]) => (last === null ? [] : [[id, last.look] as const]));
  return { different, unsettled: new Map(rest) };
}

interface Step<Look> {
  readonly watched: ReadonlyMap<string, Watched<Look> | null>;
  readonly looks: ReadonlyMap<string, Look>;
  readonly moment: Omit<Watched<Look>, 'look'>;
  readonly subject: Subject<Look>;
}

/** What is sure now, and what is to be looked at again. */
function judge<Look>(
  { watched, looks, moment, subject }: Step<Look>,
  stream: { readonly quietMs: number; readonly isRunning: boolean },
): { readonly sure: [string, Look][]; readonly next: Map<string, Watched<Look>> } {
  const sure: [string, Look][] = [];
  const next = new Map<string, Watched<Look>>();
  for (const [id, before] of watched) {
    const look = looks.get(id);
    if (look === undefined || subject.isEqual(look)) continue;
    const state = { look, ...moment };
    const known = before !== null && subject.isSame(before.look, look) ? before : null;
    if (known === null) next.set(id, state);
    else if (isSure(known, state, stream)) sure.push([id, look]);
    else next.set(id, renew(known, state, stream.isRunning));
  }
  return { sure, next };
}

function isSure<Look>(
  before: Watched<Look>,
  { progress, since: now }: Watched<Look>,
  { quietMs, isRunning }: { quietMs: number; isRunning: boolean },
): boolean {
  if (hasCovered(progress, before.position)) return true;
  return isRunning && progress.mark === before.progress.mark && now - before.since >= quietMs;
}

/** The stream goes on, or stands: what is quiet begins now. */
function renew<Look>(before: Watched<Look>, { progress, since }: Watched<Look>, isRunning: boolean): Watched<Look> {
  return isRunning && progress.mark === before.progress.mark ? before : { ...before, progress, since };
}
