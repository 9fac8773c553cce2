import { setTimeout as sleep } from 'node:timers/promises';
import { waitUntilApplied } from './end-to-end.js';
import { type PipelineOptions, startPipeline } from './pipeline.js';
import { database, preciseNow, tableNames } from './source-messages.js';
import { round } from './usage.js';
import { verifyReplica } from './verification.js';

export interface CatchUpOptions extends Omit<PipelineOptions, 'plan' | 'writers'> {
  /** Events per second, before, during and after the stop. */
  readonly rate: number;
  /** How long the writers are away, as the source sees it. */
  readonly stopSeconds: number;
}

export interface CatchUp {
  readonly eventsPerSecond: number;
  readonly stopSeconds: number;
  /** What waited when the writer came back. */
  readonly backlogEvents: number;
  /** From the start of the writer's process until less than a second's events were missing. */
  readonly secondsUntilFresh: number;
  /** Applied meanwhile, per second. */
  readonly appliedPerSecond: number;
}

const warmUpSeconds = 3;
const longestSeconds = 3600;

/**
 * The writer stops, the source goes on; the events of the stop happen at once instead of over an hour, all else is as if it
 * had lasted. Then a writer starts, and the clock runs until lag is below one second, the source going on all the time.
 */
export async function measureCatchUp({ rate, stopSeconds, ...rest }: CatchUpOptions): Promise<CatchUp> {
  const tables = tableNames(1);
  const [table = ''] = tables;
  const plan = { tables, feed: { kind: 'live', shape: 'small', rate } } as const;
  const pipeline = await startPipeline({ ...rest, writers: 1, plan });
  const newest = async () => {
    const { rows } = await pipeline.pool.query<{ id: string }>(`SELECT max(id) AS id FROM ${database}.${table}`);
    return Number(rows[0]?.id ?? 0);
  };
  try {
    pipeline.source.tell({ kind: 'go' });
    const { at: firstAt } = await pipeline.source.hear('first');
    await waitUntilApplied(pipeline, 1);
    await sleep(warmUpSeconds * 1000);
    await pipeline.stopWriters();
    pipeline.source.tell({ kind: 'skip', seconds: stopSeconds });
    await sleep(1000);
    const due = () => ((preciseNow() - firstAt) / 1000 + stopSeconds) * rate;
    const before = await newest();
    const start = preciseNow();
    const backlogEvents = Math.round(due() - before);
    await pipeline.addWriter();
    for (;;) {
      if (due() - (await newest()) < rate) break;
      if (preciseNow() - start > longestSeconds * 1000) throw new Error('the writer does not catch up');
      pipeline.checkAlive();
      await sleep(50);
    }
    const seconds = (preciseNow() - start) / 1000;
    const applied = (await newest()) - before;
    pipeline.source.tell({ kind: 'stop' });
    const { writes } = await pipeline.source.hear('left');
    const sent = writes.at(-1)?.[0] ?? 0;
    await waitUntilApplied(pipeline, sent);
    const ids = String((sent * (sent + 1)) / 2);
    await verifyReplica(pipeline.pool, tables, { rows: sent, history: sent, ids, values: ids });
    return {
      eventsPerSecond: rate,
      stopSeconds,
      backlogEvents,
      secondsUntilFresh: round(seconds, 1),
      appliedPerSecond: Math.round(applied / seconds),
    };
  } finally {
    await pipeline.stop();
  }
}
