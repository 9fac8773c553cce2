import { Client } from 'pg';

export function databaseUrl(adminUrl: string, database: string): string {
  const url = new URL(adminUrl);
  url.pathname = `/${database}`;
  return url.href;
}

/** Runs a statement on a connection of its own. */
export async function runAdmin(adminUrl: string, statement: string, values: readonly unknown[] = []): Promise<void> {
  const client = new Client({ connectionString: adminUrl, connectionTimeoutMillis: 10_000 });
  client.on('error', () => undefined);
  try {
    await client.connect();
    await client.query(statement, [...values]);
  } finally {
    await client.end().catch(() => undefined);
  }
}
