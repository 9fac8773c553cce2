import pg from 'pg';
import { expect, test } from 'vitest';
// @boundaries-ignore the harness that all tests share
import { startDyingPostgres } from '../../../test/harness/dying-postgres.js';
import { isTransient } from '../src/index.js';
import { inTransaction } from '../src/transaction.js';

// Vitest fails for every error that nobody takes, which is what would end a process.
test('a connection that PostgreSQL ends as soon as it is made is a failure to try again, and no other', async () => {
  const server = await startDyingPostgres();
  const pool = new pg.Pool({ connectionString: server.url, max: 1 });
  pool.on('error', () => undefined);
  for (let attempt = 1; attempt <= 3; attempt += 1) {
    const failure = await inTransaction(pool, async () => 'done').catch((error: unknown) => error);
    expect(isTransient(failure)).toBe(true);
    expect(server.connections).toBe(attempt);
  }
  await pool.end();
  server.close();
});
