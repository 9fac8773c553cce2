import { readStatus } from '@afterimage/replica';
import { sleep } from '@afterimage/service';
import type pg from 'pg';
import { CommandError } from '../failures.js';
import { formatSeconds } from '../output.js';
import { LagMeter } from './lag-meter.js';
import type { Lane, ProgressBoard } from './progress-board.js';
import type { SentCounts } from './source-messages.js';

const pollMs = 200;
/** How long nothing may be applied although something is to be. */
const stuckMs = 30_000;

type Applied = ReadonlyMap<string, number>;

/** A workload that runs elsewhere, and how far it is. */
export interface FollowedSource {
  readonly sent: SentCounts;
  readonly finished: boolean;
}

export interface Followed {
  readonly pool: pg.Pool;
  readonly source: FollowedSource;
  readonly signal: AbortSignal;
}

/** Until all that the source has sent is applied. */
export async function waitUntilApplied({ pool, source, signal }: Followed): Promise<void> {
  const watch = new StuckWatch();
  for (;;) {
    const applied = await readApplied(pool);
    if (watch.behind(source.sent, applied).length === 0) return;
    if (!(await sleep(pollMs, signal))) return;
  }
}

/** Shows the progress until the workload is over and all of it is applied. */
export async function followWorkload(followed: Followed, board: ProgressBoard, seconds: number): Promise<void> {
  const { pool, source, signal } = followed;
  const watch = new StuckWatch();
  const lag = new LagMeter();
  const rates = new RateMeter();
  const startedAt = performance.now();
  while (await sleep(pollMs, signal)) {
    const now = performance.now();
    lag.observe(source.sent, now);
    // Before the read below: what is sent meanwhile must not count as late.
    const { sent, finished } = source;
    const applied = await readApplied(pool);
    rates.observe(applied, now);
    const lanes = Object.entries(sent).map(([name, count]): Lane => {
      const done = applied.get(name) ?? 0;
      return {
        name,
        // Counted a moment before, so that more may be applied by now.
        sent: Math.max(count, done),
        applied: done,
        perSecond: rates.perSecond(name),
        lagSeconds: lag.lagSeconds(name, done, now),
      };
    });
    board.update({ elapsed: (now - startedAt) / 1000, seconds, lanes: joinRecorded(lanes) });
    if (watch.behind(sent, applied).length === 0 && finished) return;
  }
}

/** Events of each stream that PostgreSQL has. */
export async function readApplied(pool: pg.Pool): Promise<Applied> {
  return new Map((await readStatus(pool)).map((s) => [`${s.database}.${s.table}`, Number(s.ordinal)]));
}

/** Notices when nothing is applied any more although something is to be. */
class StuckWatch {
  #last = '';
  #movedAt = performance.now();

  /** The tables that are behind, as texts. Throws CommandError when that has not changed for too long. */
  behind(sent: SentCounts, applied: Applied): string[] {
    const late = Object.entries(sent).filter(([name, count]) => (applied.get(name) ?? 0) < count);
    const state = JSON.stringify([...applied]);
    if (state !== this.#last || late.length === 0) this.#movedAt = performance.now();
    this.#last = state;
    const texts = late.map(([name, count]) => `${name} ${applied.get(name) ?? 0}/${count}`);
    if (performance.now() - this.#movedAt <= stuckMs) return texts;
    throw new CommandError(`nothing was applied for ${formatSeconds(stuckMs / 1000)}; behind: ${texts.join(', ')}`);
  }
}

/** Events per second, smoothed over a second or so. */
class RateMeter {
  readonly #rates = new Map<string, number>();
  #before: Applied = new Map();
  #measuredAt: number | undefined;

  observe(applied: Applied, now: number): void {
    const seconds = this.#measuredAt === undefined ? undefined : (now - this.#measuredAt) / 1000;
    for (const [name, count] of applied) {
      const rate = seconds === undefined ? 0 : (count - (this.#before.get(name) ?? 0)) / seconds;
      this.#rates.set(name, this.perSecond(name) * 0.7 + rate * 0.3);
    }
    this.#before = applied;
    this.#measuredAt = now;
  }

  perSecond(name: string): number {
    return this.#rates.get(name) ?? 0;
  }
}

/** The recorded tables are small: one line for all. */
function joinRecorded(lanes: readonly Lane[]): Lane[] {
  const live = lanes.filter(({ name }) => name.startsWith('shop.'));
  const recorded = lanes.filter(({ name }) => !name.startsWith('shop.'));
  if (recorded.length === 0) return live;
  const sum = (pick: (lane: Lane) => number) => recorded.reduce((total, lane) => total + pick(lane), 0);
  const joined = {
    name: `${recorded.length} recorded`,
    sent: sum((lane) => lane.sent),
    applied: sum((lane) => lane.applied),
    perSecond: sum((lane) => lane.perSecond),
    lagSeconds: Math.max(0, ...recorded.map((lane) => lane.lagSeconds)),
  };
  return [...live, joined];
}
