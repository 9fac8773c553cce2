import { once } from 'node:events';
import { expect, it } from 'vitest';
// @boundaries-ignore the harness that all tests share
import { startDyingPostgres } from '../../../test/harness/dying-postgres.js';
import { SharedConnection } from '../src/postgres-binding.js';

// Vitest fails for every error that nobody takes, which is what would end a process.
it('a queue connects anew when PostgreSQL ended its connection for notifications as soon as it was made', async () => {
  const server = await startDyingPostgres();
  const connection = new SharedConnection({ connectionString: server.url, schema: 'queue' });
  const errors: unknown[] = [];
  connection.on('error', (error) => errors.push(error));
  for (let attempt = 1; attempt <= 3; attempt += 1) {
    const invalidated = once(connection, 'listenerinvalidated');
    await connection.getListenClient();
    await invalidated;
    expect(server.connections).toBe(attempt);
  }
  expect(errors.length).toBeGreaterThanOrEqual(3);
  await connection.close();
  server.close();
});
