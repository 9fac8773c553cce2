import { writeFile } from 'node:fs/promises';
import { stringify } from 'yaml';
import type { ModelColumn } from './columns.js';
import { recordedKeys } from './recordings.js';
import { shopTables } from './shop.js';
import { sourcePassword, sourceUser } from './source-messages.js';

/** Writes the configuration of the demo: one source, the queue in the same PostgreSQL. */
export async function writeDemoConfig(
  path: string,
  { postgresUrl, port }: { postgresUrl: string; port: number },
): Promise<void> {
  const live = Object.values(shopTables).map(({ database, table, key, columns }) => [
    `${database}.${table}`,
    { ...(key === null ? {} : { key: [...key], partitions: 2 }), ...describeColumns(columns) },
  ]);
  const recorded = Object.entries(recordedKeys).map(([name, key]) => [name, key === null ? null : { key: [...key] }]);
  const config = {
    postgres: { url: postgresUrl },
    queue: { backend: 'postgres' },
    sources: {
      demo: {
        host: '127.0.0.1',
        port,
        user: sourceUser,
        password: sourcePassword,
        tables: Object.fromEntries([...live, ...recorded]) as object,
      },
    },
  };
  await writeFile(path, stringify(config), { mode: 0o600 });
}

/** Full types of the columns whose stream does not tell them. */
function describeColumns(columns: readonly ModelColumn[]): { columns?: Record<string, { type: string }> } {
  const known = columns.flatMap(({ name, type }) =>
    type.fullType === undefined ? [] : [[name, { type: type.fullType }] as const],
  );
  return known.length === 0 ? {} : { columns: Object.fromEntries(known) };
}
