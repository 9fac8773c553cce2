import { setTimeout as sleep } from 'node:timers/promises';
import type { Pool } from 'pg';
import { waitUntilApplied } from './end-to-end.js';
import { type PipelineOptions, type Usage, startPipeline } from './pipeline.js';
import { type SourceReport, database, preciseNow, tableNames } from './source-messages.js';
import { round } from './usage.js';
import { verifyReplica } from './verification.js';

export interface FreshnessOptions extends Omit<PipelineOptions, 'plan'> {
  /** Events per second. */
  readonly rate: number;
  readonly seconds: number;
}

export interface Freshness {
  readonly eventsPerSecond: number;
  readonly samples: number;
  /** From the line leaving the source to the answer of a query that sees the row. */
  readonly milliseconds: { readonly p50: number; readonly p95: number; readonly p99: number; readonly max: number };
  /** Median time between two looks: the resolution of the figures above. */
  readonly pollMilliseconds: number;
  readonly cpuSeconds: Usage['cpuSeconds'];
  readonly otherCores: number;
}

const warmUpSeconds = 3;

/**
 * One insert per transaction at an even rate. A connection of its own asks for the newest id again and again, 1 ms
 * after each answer: often enough to tell 2 ms, seldom enough to leave the two cores to the pipeline. The row is held
 * to be visible when the answer is there.
 */
export async function measureFreshness({ rate, seconds, ...rest }: FreshnessOptions): Promise<Freshness> {
  const tables = tableNames(1);
  const [table = ''] = tables;
  const pipeline = await startPipeline({ ...rest, plan: { tables, feed: { kind: 'live', shape: 'small', rate } } });
  try {
    pipeline.source.tell({ kind: 'go' });
    await waitUntilApplied(pipeline, 1);
    await sleep(warmUpSeconds * 1000);
    const readUsage = pipeline.startMeter();
    const looks = await poll(pipeline.pool, table, seconds);
    pipeline.source.tell({ kind: 'stop' });
    const { cpuSeconds, otherCores } = await readUsage();
    const { writes } = await pipeline.source.hear('left');
    const sent = writes.at(-1)?.[0] ?? 0;
    await waitUntilApplied(pipeline, sent);
    const ids = String((sent * (sent + 1)) / 2);
    await verifyReplica(pipeline.pool, tables, { rows: sent, history: sent, ids, values: ids });
    return { ...summarise(looks, writes), eventsPerSecond: rate, cpuSeconds, otherCores };
  } finally {
    await pipeline.stop();
  }
}

/** [newest id, time of the answer] of each look. */
async function poll(pool: Pool, table: string, seconds: number): Promise<[number, number][]> {
  const looks: [number, number][] = [];
  const until = preciseNow() + seconds * 1000;
  while (preciseNow() < until) {
    const query = { name: 'newest', text: `SELECT max(id) AS id FROM ${database}.${table}` };
    const { rows } = await pool.query<{ id: string }>(query);
    looks.push([Number(rows[0]?.id ?? 0), preciseNow()]);
    await sleep(1);
  }
  return looks;
}

type Left = Extract<SourceReport, { kind: 'left' }>['writes'];

function summarise(looks: readonly (readonly [number, number])[], writes: Left) {
  const delays = delaysOf(looks, writes).toSorted((a, b) => a - b);
  const at = (share: number) => round(delays[Math.min(delays.length - 1, Math.floor(delays.length * share))] ?? 0, 1);
  const gaps = looks.slice(1).map(([, time], i) => time - (looks[i]?.[1] ?? 0));
  return {
    samples: delays.length,
    milliseconds: { p50: at(0.5), p95: at(0.95), p99: at(0.99), max: at(1) },
    pollMilliseconds: round(gaps.toSorted((a, b) => a - b)[Math.floor(gaps.length / 2)] ?? 0, 1),
  };
}

/** One delay for each id. What the first look saw was there since some time, what none has seen has no delay. */
function delaysOf(looks: readonly (readonly [number, number])[], writes: Left): number[] {
  const delays: number[] = [];
  let id = looks[0]?.[0] ?? 0;
  let write = 0;
  for (const [newest, seenAt] of looks) {
    for (; id < newest; id += 1) {
      while ((writes[write]?.[0] ?? Infinity) <= id) write += 1;
      delays.push(seenAt - (writes[write]?.[1] ?? seenAt));
    }
  }
  return delays;
}
