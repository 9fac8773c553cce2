import { setTimeout as sleep } from 'node:timers/promises';
import { Client, escapeIdentifier } from 'pg';
import { configuredSettings, createApplier } from '@afterimage/replica';
import { configSchema } from '@afterimage/service';
import type { Fault, Victims } from './faults.js';
import { databaseUrl, runAdmin } from './databases.js';

/** Ends every other session of the run's database, so that the next ones begin under its settings of now. */
const endSessions = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND pid <> pg_backend_pid()`;

const hardships = [
  'default_transaction_isolation = serializable',
  'default_transaction_isolation = "repeatable read"',
  'default_transaction_read_only = on',
  'statement_timeout = 20',
  'lock_timeout = 1',
  'idle_session_timeout = 200',
  'idle_in_transaction_session_timeout = 1',
  'transaction_timeout = 30',
] as const;

/** As an operator, or a standby, makes it: settings that all new sessions have. */
async function setHardship({ postgres, database, dice }: Victims): Promise<string> {
  const hardship = dice.pick(hardships);
  const lastingMs = dice.pick([500, 2_000, 4_000]);
  const name = escapeIdentifier(database);
  await runAdmin(postgres.adminUrl, `ALTER DATABASE ${name} SET ${hardship}`);
  try {
    await runAdmin(postgres.adminUrl, endSessions, [database]);
    await sleep(lastingMs);
  } finally {
    await untilDone(() => runAdmin(postgres.adminUrl, `ALTER DATABASE ${name} RESET ALL`));
  }
  await untilDone(() => runAdmin(postgres.adminUrl, endSessions, [database]));
  return `PostgreSQL with ${hardship} for ${lastingMs} ms`;
}

async function refuseSessions({ postgres, database, dice }: Victims): Promise<string> {
  const lastingMs = dice.pick([300, 2_000]);
  const name = escapeIdentifier(database);
  await runAdmin(postgres.adminUrl, `ALTER DATABASE ${name} ALLOW_CONNECTIONS false`);
  try {
    await runAdmin(postgres.adminUrl, endSessions, [database]);
    await sleep(lastingMs);
  } finally {
    await untilDone(() => runAdmin(postgres.adminUrl, `ALTER DATABASE ${name} ALLOW_CONNECTIONS true`));
  }
  return `PostgreSQL refused sessions for ${lastingMs} ms`;
}

/** The long one outlasts a writer's lock_timeout. */
async function holdLocks({ postgres, database, dice }: Victims): Promise<string> {
  const table = dice.pick(['afterimage.offsets', 'afterimage.streams', 'shop.accounts', 'shop_history.notes']);
  const lastingMs = dice.pick([500, 3_000, 11_000]);
  const client = new Client({ connectionString: databaseUrl(postgres.adminUrl, database) });
  client.on('error', () => undefined);
  await client.connect();
  try {
    await client.query(`BEGIN; SET LOCAL lock_timeout = '2s'; LOCK TABLE ${table} IN ACCESS EXCLUSIVE MODE`);
    await sleep(lastingMs);
  } finally {
    await client.end().catch(() => undefined);
  }
  return `${table} locked for ${lastingMs} ms`;
}

/** No room in memory, for anything that would take some. */
async function exhaustRedis({ redis, dice }: Victims): Promise<string> {
  if (redis === null) throw new Error('this run has no Redis');
  const lastingMs = dice.pick([500, 3_000]);
  await redis.configure('maxmemory', '1');
  await sleep(lastingMs);
  await untilDone(() => redis.configure('maxmemory', '0'));
  return `Redis out of memory for ${lastingMs} ms`;
}

/** Batches that are in the queue, or were, are applied by others at the very same time as by the writers. */
async function applyBeside({ pool, store, config, remembered, dice }: Victims): Promise<string> {
  const settingsOf = configuredSettings(configSchema.parse(config));
  const appliers = [createApplier(pool, settingsOf), createApplier(pool, settingsOf)];
  const now = await store.batches();
  const batches = [...now, ...dice.shuffle(remembered).slice(0, 5)];
  remembered.push(...now);
  const outcomes = await Promise.allSettled(
    batches.flatMap((batch) => appliers.map((applier) => applier.apply(batch))),
  );
  const kinds = outcomes.map((outcome) => (outcome.status === 'fulfilled' ? outcome.value.kind : 'error'));
  return `${batches.length} jobs run twice at once beside the writers: ${[...new Set(kinds)].join(', ')}`;
}

async function fillDisk({ postgres, dice }: Victims): Promise<string> {
  const lastingMs = dice.pick([500, 2_500]);
  await postgres.fillDisk(lastingMs);
  return `PostgreSQL's disk full for ${lastingMs} ms`;
}

async function failOver({ postgres, dice }: Victims): Promise<string> {
  const lastingMs = dice.pick([0, 600]);
  const standbyIs = dice.pick(['complete', 'complete', 'late'] as const);
  await postgres.failOver(lastingMs, standbyIs);
  return `PostgreSQL killed; a ${standbyIs} standby promoted after ${lastingMs} ms`;
}

export const postgresFaults: readonly Fault[] = [
  setHardship,
  setHardship,
  refuseSessions,
  holdLocks,
  applyBeside,
  failOver,
];
export const redisFaults: readonly Fault[] = [exhaustRedis];
/** Where the disk can be made full. */
export const diskFaults: readonly Fault[] = [fillDisk];

/** What must be undone, though another fault strikes meanwhile. */
async function untilDone(work: () => Promise<unknown>): Promise<void> {
  for (let left = 300; ; left -= 1) {
    try {
      await work();
      return;
    } catch (error) {
      if (left === 0) throw error;
      await sleep(100);
    }
  }
}
