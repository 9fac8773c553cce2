import { type TableSettings, createApplier, migrate, registerStreams } from '@afterimage/replica';
import { type Measured, measured } from './measured.js';
import { type Servers, openPool } from './servers.js';
import { database, tableNames } from './source-messages.js';
import { postgresCpu, round, watchOthers } from './usage.js';
import { verifyReplica } from './verification.js';
import { type Workload, batchesOf, expectedOf } from './workload.js';

const [table = ''] = tableNames(1);
const settings: TableSettings = {
  mirror: { schema: database, table },
  historySuffix: '_history',
  key: ['id'],
  columns: {},
  types: { timeZone: 'UTC', zeroDates: 'null', nulCharacters: 'remove' },
  rename: 'infer',
  onRefused: 'dead-letter',
  historyIndex: 'key',
  labels: 'check',
  indexes: 'none',
  hasSource: false,
};

export interface DirectOptions {
  readonly servers: Servers;
  readonly work: Workload;
  /** Events of a batch at most; 1 MiB is the other limit, as in the reader. */
  readonly batchEvents: number;
}

export interface Direct extends Measured {
  readonly cpuSeconds: { readonly postgres: number; readonly client: number };
  readonly otherCores: number;
}

/**
 * Batches applied to PostgreSQL with the writer's own statements from one connection: no queue, no reader, no MaxScale.
 * What end to end is compared with.
 */
export async function measureDirect({ servers, work, batchEvents }: DirectOptions): Promise<Direct> {
  const url = await servers.fresh();
  await migrate(url);
  const pool = openPool(url, 1);
  try {
    const [stream] = await registerStreams(pool, 'bench', [{ database, table }]);
    if (stream === undefined) throw new Error('the stream was not registered');
    const identity = { id: stream.id, source: stream.source, database, table };
    // Made beforehand: what is measured is PostgreSQL's work and the writer's, not the workload's.
    const batches = [...batchesOf(work, identity, { events: batchEvents, bytes: 1024 * 1024 })];
    const applier = createApplier(pool, () => settings);
    const cpuBefore = { client: process.cpuUsage(), postgres: postgresCpu(servers.pids.postgres) };
    const readOthers = watchOthers();
    const start = performance.now();
    for (const batch of batches) {
      const outcome = await applier.apply(batch);
      if (outcome.kind !== 'applied') throw new Error(`batch not applied: ${JSON.stringify(outcome)}`);
    }
    const seconds = (performance.now() - start) / 1000;
    const { user, system } = process.cpuUsage(cpuBefore.client);
    const cpuSeconds = {
      postgres: round(postgresCpu(servers.pids.postgres) - cpuBefore.postgres, 2),
      client: round((user + system) / 1e6, 2),
    };
    const otherCores = readOthers(cpuSeconds.postgres);
    await verifyReplica(pool, [table], expectedOf(work));
    return { ...measured(work, seconds), cpuSeconds, otherCores };
  } finally {
    await pool.end();
  }
}
