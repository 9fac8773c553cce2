import { setTimeout as sleep } from 'node:timers/promises';
import type { FakeMaxScale } from '@afterimage/cdc-protocol/testing';
import type { Batch } from '@afterimage/change-events';
import type { Pool } from 'pg';
import type { Dice } from './dice.js';
import type { Network } from './network.js';
import { type RunConfig, configureOtherPartitions } from './run-config.js';
import { networkFaults } from './network-faults.js';
import { type Pipeline, roles } from './pipeline.js';
import type { QueueStore } from './queue-store.js';
import type { RestartablePostgres } from './restartable-postgres.js';
import type { RestartableRedis } from './restartable-redis.js';
import { sourceFaults } from './source-faults.js';
import { diskFaults, postgresFaults, redisFaults } from './server-faults.js';
import type { SourceModel } from './source-model.js';

/** What faults strike. */
export interface Victims {
  readonly model: SourceModel;
  readonly server: FakeMaxScale;
  readonly pipeline: Pipeline;
  readonly network: Network;
  readonly store: QueueStore;
  readonly pool: Pool;
  readonly postgres: RestartablePostgres;
  readonly redis: RestartableRedis | null;
  readonly dice: Dice;
  readonly config: RunConfig;
  readonly database: string;
  /** Batches that were seen in the queue, to come again later. */
  readonly remembered: Batch[];
}

/** Strikes; resolves when the fault is over. Returns what it did, for the list of a run that failed. */
export type Fault = (victims: Victims) => Promise<string>;

async function killProcess({ pipeline, dice }: Victims): Promise<string> {
  const role = dice.pick(roles);
  const pauseMs = dice.pick([0, 0, 500]);
  await pipeline.kill(role);
  await sleep(pauseMs);
  pipeline.launch(role);
  return `${role} killed, started after ${pauseMs} ms`;
}

async function stopProcess({ pipeline, dice }: Victims): Promise<string> {
  const role = dice.pick(roles);
  const exitCode = await pipeline.stop(role);
  pipeline.launch(role);
  return `${role} stopped in order (exit code ${String(exitCode)}), started again`;
}

async function freezeProcess({ pipeline, dice }: Victims): Promise<string> {
  const role = dice.pick(roles);
  // The long one outlasts the lock of a job.
  const pauseMs = dice.pick([300, 800, 1_500, 7_000]);
  const wake = pipeline.freeze(role);
  await sleep(pauseMs);
  wake();
  return `${role} frozen for ${pauseMs} ms`;
}

/** The frozen reader thinks that it is the active one when it wakes up, and sends what it has. */
async function startRival({ pipeline, pool, dice }: Victims): Promise<string> {
  pipeline.launch('reader-2');
  const pauseMs = dice.between(200, 2_000);
  const frozen = dice.pick(['reader', 'reader-2'] as const);
  await sleep(dice.between(0, 1_500));
  const wake = pipeline.freeze(frozen);
  try {
    await endBackends(pool, `application_name = 'afterimage reader lock'`);
    await sleep(pauseMs);
  } finally {
    wake();
  }
  return `second reader; ${frozen} frozen for ${pauseMs} ms, readers lost their locks`;
}

async function endBackends(pool: Pool, condition: string): Promise<number> {
  const { rowCount } = await pool.query(
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
     WHERE datname = current_database() AND pid <> pg_backend_pid() AND ${condition}`,
  );
  return rowCount ?? 0;
}

async function cutPostgresConnections({ pool }: Victims): Promise<string> {
  return `${await endBackends(pool, 'random() < 0.6')} PostgreSQL backends terminated`;
}

/** PostgreSQL takes the end of one backend by SIGKILL for damage to shared memory, and restarts all of itself. */
async function killBackend({ pool }: Victims): Promise<string> {
  const { rows } = await pool.query<{ pid: number }>(
    `SELECT pid FROM pg_stat_activity
     WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend' ORDER BY random() LIMIT 1`,
  );
  const pid = rows[0]?.pid;
  if (pid !== undefined) process.kill(pid, 'SIGKILL');
  return 'a PostgreSQL backend killed: crash recovery';
}

async function restartPostgres({ postgres, dice }: Victims): Promise<string> {
  const how = dice.pick(['stop', 'kill'] as const);
  const pauseMs = dice.pick([0, 700]);
  await postgres.restart(how, pauseMs);
  return `PostgreSQL restarted (${how}), away for ${pauseMs} ms and more`;
}

async function restartRedis({ redis, dice }: Victims): Promise<string> {
  if (redis === null) throw new Error('this run has no Redis');
  const forgets = dice.chance(0.5);
  const pauseMs = dice.pick([0, 700]);
  await redis.restart(pauseMs, forgets);
  return `Redis killed, away for ${pauseMs} ms${forgets ? ', all forgotten' : ''}`;
}

async function wipeQueue({ store }: Victims): Promise<string> {
  await store.wipe();
  return 'queue wiped';
}

async function loseJobs({ store }: Victims): Promise<string> {
  await store.loseSome();
  return 'some jobs lost';
}

/** Jobs that are there come a second time, and jobs from long ago come again. */
async function repeatJobs({ store, dice, remembered }: Victims): Promise<string> {
  const now = await store.batches();
  const again = dice.shuffle([...now, ...dice.shuffle(remembered).slice(0, 10)]);
  remembered.push(...now);
  await store.add(again);
  return `${again.length} jobs added again`;
}

async function reorderJobs({ store, dice, remembered }: Victims): Promise<string> {
  const batches = await store.batches();
  remembered.push(...batches);
  await store.wipe();
  await store.add(dice.shuffle(batches));
  return `${batches.length} jobs in another order`;
}

/** Another number of partitions for each table with a key, while batches of the old one are on their way. */
async function changePartitions(victims: Victims): Promise<string> {
  const { pipeline, dice } = victims;
  await configureOtherPartitions(victims);
  const how = dice.pick(['kill', 'stop'] as const);
  const restarted: readonly (typeof roles)[number][] = dice.chance(0.5) ? ['reader'] : dice.shuffle(roles);
  for (const role of restarted) {
    await pipeline[how](role);
    pipeline.launch(role);
  }
  return `other numbers of partitions; ${how}: ${restarted.join(', ')}`;
}

const everywhere: readonly Fault[] = [
  killProcess,
  killProcess,
  stopProcess,
  freezeProcess,
  startRival,
  cutPostgresConnections,
  killBackend,
  restartPostgres,
  wipeQueue,
  loseJobs,
  repeatJobs,
  reorderJobs,
  changePartitions,
  changePartitions,
  ...sourceFaults,
  ...networkFaults,
  ...networkFaults,
  ...postgresFaults,
];

/** The name of a function, to look closer at one fault. */
const onlyFault = process.env['AFTERIMAGE_FAULTS_ONLY'];

/** A random fault that this run can have. Its promise rejects only when striking failed. */
export function chooseFault({ redis, postgres, dice }: Victims): Fault {
  const possible = [
    ...everywhere,
    ...(redis === null ? [] : [restartRedis, restartRedis, ...redisFaults]),
    ...(postgres.hasOwnDisk ? diskFaults : []),
  ];
  return dice.pick(possible.filter(({ name }) => onlyFault === undefined || name === onlyFault));
}
