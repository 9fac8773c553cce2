import { Pool } from 'pg';
import { type TableSettings, createApplier, migrate, registerStreams } from '@afterimage/replica';
import { type Mix, batchesOf, eventsOf } from './workload.js';

const settings: TableSettings = {
  mirror: { schema: 'bench', table: 'orders' },
  historySuffix: '_history',
  key: ['id'],
  columns: {},
  types: { timeZone: 'UTC', zeroDates: 'null', nulCharacters: 'remove' },
  rename: 'infer',
  onRefused: 'dead-letter',
  historyIndex: 'key',
};

export interface Measured {
  readonly events: number;
  readonly seconds: number;
  readonly eventsPerSecond: number;
}

export function measured(events: number, seconds: number): Measured {
  return { events, seconds: Number(seconds.toFixed(2)), eventsPerSecond: Math.round(events / seconds) };
}

/** Batches applied to PostgreSQL with the writer's own statements from one connection; no queue, no reader. */
export async function benchDirect(url: string, mix: Mix, eventsPerBatch: number): Promise<Measured> {
  await migrate(url);
  const pool = new Pool({ connectionString: url, max: 1 });
  try {
    const [stream] = await registerStreams(pool, 'bench', [{ database: 'bench', table: 'orders' }]);
    if (stream === undefined) throw new Error('the stream was not registered');
    const { id, source, database, table } = stream;
    // Made beforehand: what is measured is PostgreSQL's work and the writer's, not the workload's.
    const batches = [...batchesOf(mix, { id, source, database, table }, eventsPerBatch)];
    const applier = createApplier(pool, () => settings);
    const start = performance.now();
    for (const batch of batches) {
      const outcome = await applier.apply(batch);
      if (outcome.kind !== 'applied') throw new Error(`batch not applied: ${JSON.stringify(outcome)}`);
    }
    return measured(eventsOf(mix), (performance.now() - start) / 1000);
  } finally {
    await pool.end();
  }
}
