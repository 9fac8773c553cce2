import type { SentCounts } from './source-messages.js';

/** Knows when the source had sent how many events, and so how old the oldest one is that is not applied yet. */
export class LagMeter {
  readonly #marks = new Map<string, { sent: number; at: number }[]>();

  /** At time `at` (milliseconds) the source had sent so many. */
  observe(sent: SentCounts, at: number): void {
    for (const [table, count] of Object.entries(sent)) {
      const marks = this.#marks.get(table) ?? [];
      if (count > (marks.at(-1)?.sent ?? -1)) marks.push({ sent: count, at });
      this.#marks.set(table, marks);
    }
  }

  /** Seconds since the first event after the applied ones was sent; 0 when all are applied. */
  lagSeconds(table: string, applied: number, now: number): number {
    const marks = this.#marks.get(table) ?? [];
    while (marks[0] !== undefined && marks[0].sent <= applied && marks.length > 1) marks.shift();
    const [next] = marks;
    return next === undefined || next.sent <= applied ? 0 : (now - next.at) / 1000;
  }
}
