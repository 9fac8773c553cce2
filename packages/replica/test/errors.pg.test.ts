import pg from 'pg';
import { expect, test } from 'vitest';
// @boundaries-ignore the harness that all tests share
import { createDatabase } from '../../../test/harness/databases.js';
import { describeError, listStreamRecords } from '@afterimage/replica';

test('what is told about a query that failed is why, not the query', async () => {
  const database = await createDatabase();
  const url = new URL(database.url);
  await database.pool.query(`CREATE ROLE turned_away LOGIN PASSWORD 'right'`).catch(() => undefined);
  url.username = 'turned_away';
  url.password = 'wrong';
  const refused = new pg.Pool({ connectionString: url.href });
  const absent = new pg.Pool({ host: 'localhost', port: 1 });
  try {
    const first: unknown = await listStreamRecords(refused).catch((error: unknown) => error);
    expect(describeError(first)).toBe('password authentication failed for user "turned_away" (SQLSTATE 28P01)');
    const second: unknown = await listStreamRecords(absent).catch((error: unknown) => error);
    expect(describeError(second)).toMatch(/^connect ECONNREFUSED .*:1$/);
  } finally {
    await Promise.all([refused.end(), absent.end()]);
    await database.pool.query('DROP ROLE turned_away');
    await database.drop();
  }
});
