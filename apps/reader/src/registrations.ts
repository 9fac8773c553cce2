import { openSourceDatabase } from '@afterimage/mariadb';
import {
  describeError,
  endSourceWait,
  noteSourceWait,
  readStreamKey,
  SourceUnavailable,
  type TableRegistration,
  undivided,
} from '@afterimage/replica';
import {
  type Config,
  type ConfiguredTable,
  createBackoff,
  type Logger,
  resolveMariadb,
  resolveTables,
  sleep,
  type SourceConfig,
} from '@afterimage/service';
import type { Pool } from 'pg';
import { explainMissingTables } from './missing-tables.js';

interface Circumstances {
  readonly postgres: Pool;
  /** What holds for tables that don't say: writer.rename. */
  readonly rename: Config['writer']['rename'];
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
  { source, database, table, settings }: ConfiguredTable,
  { mariadb }: SourceConfig,
  circumstances: Circumstances,
): Promise<string[] | null> {
  if (mariadb === undefined) return null;
  const { postgres, rename, logger, signal } = circumstances;
  const server = openSourceDatabase({ ...resolveMariadb(mariadb), connections: 1 });
  try {
    const names = { source, database, table, rename: settings.rename ?? rename };
    const key = await askPatiently(source, () => readStreamKey(postgres, server, names), circumstances);
    if (key === null && !signal.aborted)
      logger.warn(
        { database, table },
        'read as one partition: MariaDB gives this table no key that the stream tells apart; set "key" to divide it',
      );
    return key;
  } finally {
    await server.end().catch(() => undefined);
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
      const answer = await ask();
      if (backoff.attempts > 0) await endSourceWait(postgres, waiter).catch(() => undefined);
      return answer;
    } catch (error) {
      const pauseMs = backoff.next();
      const why = describeError(explainMissingTables(error));
      logger.warn({ error: why, delayMs: pauseMs }, 'the key of a table cannot be learnt: trying again');
      if (error instanceof SourceUnavailable)
        await noteSourceWait(postgres, waiter, { error, pauseMs }).catch(() => undefined);
      await sleep(pauseMs, signal);
    }
  }
  return null;
}
