import { openSourceDatabase, readTableKnowledge } from '@afterimage/mariadb';
import { describeError, keyOfKnowledge, type TableRegistration, undivided } from '@afterimage/replica';
import {
  type ConfiguredTable,
  createBackoff,
  type Logger,
  resolveMariadb,
  resolveTables,
  sleep,
  type SourceConfig,
} from '@afterimage/service';

/**
 * The tables of a source with how each is to be divided. Where the configuration asks for partitions and names no key,
 * MariaDB is asked for it, until it answers. Null when told to stop meanwhile.
 */
export async function resolveRegistrations(
  name: string,
  source: SourceConfig,
  { logger, signal }: { readonly logger: Logger; readonly signal: AbortSignal },
): Promise<TableRegistration[] | null> {
  const tables = resolveTables(name, source);
  const keys = new Map<string, readonly string[]>();
  for (const table of tables) {
    if (!isDivided(table) || table.settings.key !== undefined) continue;
    const key = await learnKey(table, source, { logger, signal });
    if (signal.aborted) return null;
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
  { database, table }: ConfiguredTable,
  { mariadb }: SourceConfig,
  { logger, signal }: { readonly logger: Logger; readonly signal: AbortSignal },
): Promise<string[] | null> {
  if (mariadb === undefined) return null;
  const backoff = createBackoff({ minMs: 500, maxMs: 10_000 });
  const pool = openSourceDatabase({ ...resolveMariadb(mariadb), connections: 1 });
  try {
    while (!signal.aborted) {
      try {
        const knowledge = await readTableKnowledge(pool, database, table);
        const key = knowledge === null ? null : keyOfKnowledge(knowledge);
        if (key === null)
          logger.warn(
            { database, table },
            'read as one partition: MariaDB gives this table no key that the stream tells apart; set "key" to divide it',
          );
        return key;
      } catch (error) {
        const delayMs = backoff.next();
        logger.warn({ error: describeError(error), delayMs }, 'MariaDB cannot be asked for a key: trying again');
        await sleep(delayMs, signal);
      }
    }
    return null;
  } finally {
    await pool.end().catch(() => undefined);
  }
}
