import { setTimeout as sleep } from 'node:timers/promises';
import { type Measured, measured } from './measured.js';
import { type Pipeline, type PipelineOptions, type Usage, startPipeline } from './pipeline.js';
import { preciseNow, tableNames } from './source-messages.js';
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
 * offsets say that the last one is applied.
 */
export async function measureEndToEnd({ work, tables, lazy = false, ...rest }: EndToEndOptions): Promise<EndToEnd> {
  const names = tableNames(tables);
  const pipeline = await startPipeline({ ...rest, plan: { tables: names, feed: { kind: 'backlog', work, lazy } } });
  try {
    const readUsage = pipeline.startMeter();
    pipeline.source.tell({ kind: 'go' });
    const { at } = await pipeline.source.hear('first');
    await waitUntilApplied(pipeline, eventsOf(work) * tables);
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

export async function waitUntilApplied(pipeline: Pipeline, events: number): Promise<void> {
  for (;;) {
    const { rows } = await pipeline.pool.query<{ n: string | null }>(
      'SELECT sum(n) AS n FROM (SELECT min(ordinal) AS n FROM afterimage.offsets GROUP BY stream_id) AS o',
    );
    if (Number(rows[0]?.n ?? 0) >= events) return;
    pipeline.checkAlive();
    await sleep(20);
  }
}
