import type { Queryable } from './queryable.js';

/** Cheap facts about where a table's rows live: when they change, rows may have changed without an event. */
export interface TableStorage {
  /**
   * Numbers of InnoDB's tables, one for each partition, `p0:18,p1:19` or `:20`: others after TRUNCATE, DROP and CREATE,
   * EXCHANGE or TRUNCATE PARTITION, and an ALTER TABLE that rewrote the rows. Null where the user may not see them
   * (privilege PROCESS) and for other engines.
   */
  readonly ids: string | null;
  /** When its definition was last written, in UTC; after TRUNCATE it stays. */
  readonly created: string | null;
  /** The next number; TRUNCATE sets it back. */
  readonly autoIncrement: string | null;
}

const selectTables = `
  SELECT TABLE_NAME AS name, CAST(CREATE_TIME AS CHAR) AS created, CAST(AUTO_INCREMENT AS CHAR) AS autoIncrement
  FROM information_schema.TABLES WHERE TABLE_SCHEMA = ?`;
const selectIds = `SELECT NAME AS name, CAST(TABLE_ID AS CHAR) AS id FROM information_schema.INNODB_SYS_TABLES WHERE NAME LIKE ? ESCAPE '|'`;

const accessDenied = new Set([1227, 1142, 1044]);

/** Facts about all tables of a database, by name, in two queries that open no table. Rejects with the connector's SqlError. */
export async function readTableStorage(connection: Queryable, database: string): Promise<Map<string, TableStorage>> {
  const tables = await connection.query<{ name: string; created: string | null; autoIncrement: string | null }[]>(
    selectTables,
    [database],
  );
  const ids = await readIds(connection, database);
  return new Map(
    tables.map(({ name, created, autoIncrement }) => [
      name,
      { ids: ids.get(toFileName(name)) ?? null, created, autoIncrement },
    ]),
  );
}

/**
 * The name as InnoDB has it: characters of ASCII other than letters, digits and `_` by their code (MariaDB Knowledge Base,
 * "Identifier to File Name Mapping"). A name with others is not found.
 */
function toFileName(name: string): string {
  return name.replaceAll(/[^0-9A-Za-z_\u0080-\uFFFF]/g, (c) => `@${c.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

async function readIds(connection: Queryable, database: string): Promise<Map<string, string>> {
  try {
    const folder = toFileName(database);
    const pattern = `${folder.replaceAll(/[|%_]/g, '|$&')}/%`;
    const rows = await connection.query<{ name: string; id: string }[]>(selectIds, [pattern]);
    const parts = new Map<string, string[]>();
    for (const { name, id } of rows) {
      const [table = '', partition = ''] = name.slice(folder.length + 1).split(/#p#/i);
      parts.set(table, [...(parts.get(table) ?? []), `${partition}:${id}`]);
    }
    return new Map([...parts].map(([table, list]) => [table, list.sort().join(',')]));
  } catch (error) {
    if (accessDenied.has(Number((error as { errno?: unknown }).errno))) return new Map();
    throw error;
  }
}

/** Whether the rows may be others than they were, though no event says so. */
export function isStorageReplaced(before: TableStorage, after: TableStorage): boolean {
  if (before.ids !== null && after.ids !== null) return before.ids !== after.ids;
  const isSetBack =
    before.autoIncrement !== null &&
    (after.autoIncrement === null || BigInt(after.autoIncrement) < BigInt(before.autoIncrement));
  return isSetBack || before.created !== after.created;
}
