import { expect, test } from 'vitest';
import { createLogger } from '@afterimage/service';
// @boundaries-ignore the harness that all tests share
import { createDatabase } from '../../../test/harness/databases.js';
import { createWriterPool } from '../src/postgres-pool.js';

test('options in the URL are kept beside the forms of text and the limits that a writer needs', async () => {
  const database = await createDatabase();
  const url = new URL(database.url);
  url.searchParams.set('options', '-c search_path=shop -c datestyle=German -c lock_timeout=3s');
  const logger = createLogger({ name: 'writer', level: 'error' });
  const pool = createWriterPool({ url: url.href, connections: 1, logger });
  const shown = async (name: string): Promise<unknown> =>
    (await pool.query<{ value: string }>(`SELECT current_setting('${name}') AS value`)).rows[0]?.value;
  expect(await shown('search_path')).toBe('shop');
  expect(await shown('lock_timeout')).toBe('3s');
  expect(await shown('datestyle')).toMatch(/^ISO/);
  expect(await shown('timezone')).toBe('UTC');
  expect(await shown('statement_timeout')).toBe('0');
  await pool.end();
  await database.drop();
});
