import { setTimeout as sleep } from 'node:timers/promises';
import { type Measured, measured } from './measured.js';
import { type Pipeline, type PipelineOptions, type Usage, startPipeline } from './pipeline.js';
import { database, preciseNow, tableNames } from './source-messages.js';
import { mapParts, round } from './usage.js';
import { verifyReplica } from './verification.js';
import { type Workload, eventsOf, expectedOf } from './workload.js';

export interface EndToEndOptions extends Omit<PipelineOptions, 'plan'> {
  /** What happens in each table. */
  readonly work: Workload;
  readonly tables: number;
  readonly lazy?: boolean;
}

export interface EndToEnd extends Measured, Usage {
  /** CPU seconds per million events. */
  readonly cpuPerMillion: Usage['cpuSeconds'];
}

/**
 * A backlog at a fake MaxScale to the final state in PostgreSQL, through reader, queue and writers, each a process of its
 * own. The processes are connected and idle before; the clock runs from the first row leaving the source until the
 * last event is applied.
 */
export async function measureEndToEnd({ work, tables, lazy = false, ...rest }: EndToEndOptions): Promise<EndToEnd> {
  const names = tableNames(tables);
  const pipeline = await startPipeline({ ...rest, plan: { tables: names, feed: { kind: 'backlog', work, lazy } } });
  try {
    const readUsage = pipeline.startMeter();
    pipeline.source.tell({ kind: 'go' });
    const { at } = await pipeline.source.hear('first');
    await waitUntilDone(pipeline, names, eventsOf(work) * tables);
    const seconds = (preciseNow() - at) / 1000;
    const usage = await readUsage();
    await verifyReplica(pipeline.pool, names, expectedOf(work));
    const result = measured(work, seconds, tables);
    return {
      ...result,
      ...usage,
      cpuPerMillion: mapParts(usage.cpuSeconds, (s) => round((s / result.events) * 1e6, 2)),
    };
  } finally {
    await pipeline.stop();
  }
}

/** Until the offsets of all partitions say that they have come to the end. */
export async function waitUntilApplied(pipeline: Pipeline, events: number): Promise<void> {
  await until(pipeline, async () => (await readEnds(pipeline)).all >= events);
}

/**
 * Until all events are applied. A partition that has applied the last of its own is told only later how far the others
 * have come, so where the offsets differ the history says.
 */
async function waitUntilDone(pipeline: Pipeline, tables: readonly string[], events: number): Promise<void> {
  await until(pipeline, async () => {
    const { all, any } = await readEnds(pipeline);
    return all >= events || (any >= events && (await countHistory(pipeline, tables)) >= events);
  });
}

async function until(pipeline: Pipeline, isDone: () => Promise<boolean>): Promise<void> {
  while (!(await isDone())) {
    pipeline.checkAlive();
    await sleep(20);
  }
}

/** Ordinals that all partitions of each stream have come to, and any of them, summed over the streams. */
async function readEnds({ pool }: Pipeline): Promise<{ readonly all: number; readonly any: number }> {
  const { rows } = await pool.query<{ all: string | null; any: string | null }>(
    `SELECT sum(least) AS all, sum(greatest) AS any
     FROM (SELECT min(ordinal) AS least, max(ordinal) AS greatest FROM afterimage.offsets GROUP BY stream_id) AS o`,
  );
  return { all: Number(rows[0]?.all ?? 0), any: Number(rows[0]?.any ?? 0) };
}

async function countHistory({ pool }: Pipeline, tables: readonly string[]): Promise<number> {
  const counts = tables.map((table) => `(SELECT count(*) FROM ${database}_history.${table})`);
  const { rows } = await pool.query<{ events: string }>(`SELECT ${counts.join(' + ')} AS events`);
  return Number(rows[0]?.events);
}
