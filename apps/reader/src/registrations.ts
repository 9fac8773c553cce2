import { openSourceDatabase, readTableKnowledge } from '@afterimage/mariadb';
import {
  askSource,
  describeError,
  endSourceWait,
  keyOfKnowledge,
  noteSourceWait,
  SourceUnavailable,
  type TableRegistration,
  undivided,
} from '@afterimage/replica';
import {
  type ConfiguredTable,
  createBackoff,
  type Logger,
  resolveMariadb,
  resolveTables,
  sleep,
  type SourceConfig,
} from '@afterimage/service';
import type { Pool } from 'pg';

interface Circumstances {
  readonly postgres: Pool;
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

/**
 * The tables of a source with how each is to be divided. Where the configuration asks for partitions and names no key,
 * MariaDB is asked for it, until it answers. Null when told to stop meanwhile.
 */
export async function resolveRegistrations(
  name: string,
  source: SourceConfig,
  circumstances: Circumstances,
): Promise<TableRegistration[] | null> {
  const tables = resolveTables(name, source);
  const keys = new Map<string, readonly string[]>();
  for (const table of tables) {
    if (!isDivided(table) || table.settings.key !== undefined) continue;
    const key = await learnKey(table, source, circumstances);
    if (circumstances.signal.aborted) return null;
    if (key !== null) keys.set(`${table.database}.${table.table}`, key);
  }
  return tables.map((table) => {
    const { database, table: tableName, settings } = table;
    const key = settings.key ?? keys.get(`${database}.${tableName}`);
    const division =
      isDivided(table) && key !== undefined ? { partitions: settings.partitions ?? 1, key: [...key] } : undivided;
    return { database, table: tableName, division };
  });
}

function isDivided({ settings }: ConfiguredTable): boolean {
  return (settings.partitions ?? 1) > 1;
}

async function learnKey(
  { source, database, table }: ConfiguredTable,
  { mariadb }: SourceConfig,
  circumstances: Circumstances,
): Promise<string[] | null> {
  if (mariadb === undefined) return null;
  const { logger, signal } = circumstances;
  const pool = openSourceDatabase({ ...resolveMariadb(mariadb), connections: 1 });
  try {
    const knowledge = await askPatiently(source, () => readTableKnowledge(pool, database, table), circumstances);
    const key = knowledge === null ? null : keyOfKnowledge(knowledge);
    if (key === null && !signal.aborted)
      logger.warn(
        { database, table },
        'read as one partition: MariaDB gives this table no key that the stream tells apart; set "key" to divide it',
      );
    return key;
  } finally {
    await pool.end().catch(() => undefined);
  }
}

/** Null when told to stop meanwhile, too. */
async function askPatiently<T>(
  source: string,
  ask: () => Promise<T>,
  { postgres, logger, signal }: Circumstances,
): Promise<T | null> {
  const backoff = createBackoff({ minMs: 500, maxMs: 10_000 });
  const waiter = { source, waiter: 'reader' };
  while (!signal.aborted) {
    try {
      const answer = await askSource(ask);
      if (backoff.attempts > 0) await endSourceWait(postgres, waiter).catch(() => undefined);
      return answer;
    } catch (error) {
      const pauseMs = backoff.next();
      logger.warn({ error: describeError(error), delayMs: pauseMs }, 'MariaDB cannot be asked for a key: trying again');
      if (error instanceof SourceUnavailable)
        await noteSourceWait(postgres, waiter, { error, pauseMs }).catch(() => undefined);
      await sleep(pauseMs, signal);
    }
  }
  return null;
}
