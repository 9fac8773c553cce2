import { round } from './usage.js';
import { type Workload, changesOf, eventsOf } from './workload.js';

/** Events are lines of the stream, an update being two; changes are rows changed, an update being one. */
export interface Measured {
  readonly events: number;
  readonly seconds: number;
  readonly eventsPerSecond: number;
  readonly changesPerSecond: number;
}

export function measured(work: Workload, seconds: number, tables = 1): Measured {
  return {
    events: eventsOf(work) * tables,
    seconds: round(seconds, 2),
    eventsPerSecond: Math.round((eventsOf(work) * tables) / seconds),
    changesPerSecond: Math.round((changesOf(work) * tables) / seconds),
  };
}

/** The fastest of some runs, and what the others had: on a shared machine the fastest is the least disturbed. */
export async function bestOf<M extends Pick<Measured, 'eventsPerSecond'>>(
  { times, before }: { readonly times: number; readonly before: () => Promise<void> },
  run: () => Promise<M>,
): Promise<M & { readonly allRuns: readonly number[] }> {
  const runs: M[] = [];
  for (let i = 0; i < times; i += 1) {
    await before();
    runs.push(await run());
  }
  const best = runs.reduce((a, b) => (b.eventsPerSecond > a.eventsPerSecond ? b : a));
  return { ...best, allRuns: runs.map((one) => one.eventsPerSecond) };
}
