import type { ClientBase } from 'pg';
import { prepareEvents } from '../types/index.js';
import type { ReadySchema } from './context.js';
import type { Lookups } from './lookup.js';
import { splitEvents } from './event-prefix.js';

/** Events to apply in order under one schema. */
export interface Run {
  readonly lines: readonly string[];
  /** Of each line. */
  readonly ordinals: readonly bigint[];
  readonly sequenceBases: Readonly<Record<string, string>>;
}

export interface RunResult {
  readonly events: number;
  /** Rows without a key that should have been removed but were not there. */
  readonly missing: number;
  /** Column → how many of its values the stream lost or bent. */
  readonly lost: ReadonlyMap<string, number>;
}

export interface RunOptions {
  /** False: history alone. Default true. */
  readonly mirror?: boolean;
  /** Moves the offset in the same statement: the values of `offsetValues`. */
  readonly offset?: readonly (string | number)[];
  /** What was looked up in MariaDB for these events. */
  readonly lookups?: Lookups | undefined;
}

/**
 * Applies events to history and mirror with one statement. Throws what PostgreSQL says, or EventMalformed; nothing is
 * done then.
 */
export async function runEvents(
  client: ClientBase,
  ready: ReadySchema,
  run: Run,
  { mirror = true, offset, lookups }: RunOptions = {},
): Promise<RunResult> {
  const { rows: events, arrays } = splitEvents(run.lines, run.sequenceBases);
  const { json, nul } = prepareEvents(events);
  const statement = ready.statement({
    nul: nul !== null,
    mirror,
    offset: offset !== undefined,
    lookup: lookups !== undefined,
  });
  const ordinals = `{${run.ordinals.join(',')}}`;
  const values: unknown[] = [json, ordinals, ...arrays, ...(nul === null ? [] : [nul]), ...(offset ?? [])];
  if (lookups !== undefined) values.push(lookups.found);
  const { rows } = await client.query<Record<string, number>>({ name: statement.name, text: statement.text, values });
  const row = rows[0] ?? {};
  const lost = new Map<string, number>();
  statement.counted.forEach((name, i) => {
    const count = row[`lost_${i}`] ?? 0;
    if (count > 0) lost.set(name, count);
  });
  return { events: row['events'] ?? 0, missing: row['missing'] ?? 0, lost };
}
