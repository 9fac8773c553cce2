import type { ClientBase } from 'pg';
import { describeError, isRowRefused, sqlState } from '../errors.js';
import type { ReadySchema } from './context.js';
import type { Lookups } from './lookup.js';
import { type Run, type RunResult, runEvents } from './run.js';
import { type Unit, splitUnits } from './units.js';

/** A unit that PostgreSQL refused, with its words. */
export interface Refusal {
  readonly unit: Unit;
  readonly ordinal: bigint;
  readonly sqlstate: string;
  readonly message: string;
}

export interface IsolationResult extends RunResult {
  readonly refusals: readonly Refusal[];
}

export interface IsolationOptions {
  readonly lookups?: Lookups | undefined;
  /** Whether it is not the row that is at fault. */
  readonly isToRelax: (error: unknown) => boolean;
}

/**
 * Applies a batch that PostgreSQL refused as a whole, halving it until each refused unit stands alone; everything
 * else is applied, in order. About 2·r·log2(n) statements for r refusals among n units.
 */
export async function isolateRefused(
  client: ClientBase,
  ready: ReadySchema,
  run: Run,
  { lookups, isToRelax }: IsolationOptions,
): Promise<IsolationResult> {
  const refusals: Refusal[] = [];
  const lost = new Map<string, number>();
  let events = 0;
  let missing = 0;

  async function applyUnits(units: readonly Unit[]): Promise<void> {
    const [first] = units;
    if (first === undefined) return;
    await client.query('SAVEPOINT isolate');
    try {
      const part = {
        ...run,
        lines: units.flatMap((unit) => unit.lines),
        ordinals: units.flatMap((unit) => unit.ordinals),
      };
      const result = await runEvents(client, ready, part, { lookups });
      await client.query('RELEASE SAVEPOINT isolate');
      events += result.events;
      missing += result.missing;
      for (const [name, count] of result.lost) lost.set(name, (lost.get(name) ?? 0) + count);
    } catch (error) {
      if (!isRowRefused(error) || isToRelax(error)) throw error;
      await client.query('ROLLBACK TO SAVEPOINT isolate');
      await client.query('RELEASE SAVEPOINT isolate');
      if (units.length === 1) {
        const [ordinal = 0n] = first.ordinals;
        refusals.push({ unit: first, ordinal, sqlstate: sqlState(error) ?? '', message: describeError(error) });
        return;
      }
      const middle = units.length >> 1;
      await applyUnits(units.slice(0, middle));
      await applyUnits(units.slice(middle));
    }
  }

  await applyUnits(splitUnits(run.lines, run.ordinals));
  return { events, missing, lost, refusals };
}
