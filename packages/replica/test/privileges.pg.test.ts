import { afterEach, beforeEach, describe, expect, test } from 'vitest';
// @boundaries-ignore the harness that all tests share
import { type TestDatabase, createDatabase } from '../../../test/harness/databases.js';
import { type Applier, createApplier, findStream, registerStreams } from '../src/index.js';
import { ScriptedStream, field, orderFields, testSettings } from './batches.js';

let database: TestDatabase;
let source: ScriptedStream;
let applier: Applier;
/** Roles belong to the whole server: it stays, without any rights, when the test's database goes. */
const auditor = 'afterimage_auditor';

beforeEach(async () => {
  database = await createDatabase();
  await registerStreams(database.pool, 'main', [{ database: 'shop', table: 'orders' }]);
  const { id } = await findStream(database.pool, 'shop.orders');
  source = new ScriptedStream({ id, source: 'main', database: 'shop', table: 'orders' });
  applier = createApplier(database.pool, () => testSettings());
  await database.pool.query(`DO $$ BEGIN CREATE ROLE ${auditor}; EXCEPTION WHEN duplicate_object THEN END $$`);
  await applier.apply(source.transaction(['insert', 1, 'a', 10]).cut());
});
afterEach(() => database.drop());

async function rows(sql: string): Promise<unknown[]> {
  return (await database.pool.query({ text: sql, rowMode: 'array' })).rows;
}
/** The last column gets another type, so that view and functions must be made anew. */
async function alter(): Promise<void> {
  source.alter([...orderFields.slice(0, 2), field('amount', 'bigint', 'long')]);
  const outcome = await applier.apply(source.transaction(['insert', 2, 'b', 1]).cut());
  expect(outcome).toMatchObject({ kind: 'applied' });
}

describe('a schema change keeps the privileges', () => {
  test('on the history view, the right to pass them on included', async () => {
    await database.pool.query(`GRANT SELECT ON shop_history.orders TO ${auditor} WITH GRANT OPTION`);
    await alter();
    expect(
      await rows(`SELECT has_table_privilege('${auditor}', 'shop_history.orders', 'SELECT WITH GRANT OPTION')`),
    ).toEqual([[true]]);
  });

  test('on columns of the history view', async () => {
    await database.pool.query(`GRANT SELECT (id) ON shop_history.orders TO ${auditor}`);
    await alter();
    const may = (column: string) => `has_column_privilege('${auditor}', 'shop_history.orders', '${column}', 'SELECT')`;
    expect(await rows(`SELECT ${may('id')}, ${may('state')}`)).toEqual([[true, false]]);
  });

  test('that were taken away: they do not come back', async () => {
    await database.pool.query(`ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO ${auditor}`);
    await database.pool.query(
      `GRANT SELECT ON shop_history.orders TO PUBLIC; REVOKE ALL ON shop_history.orders FROM PUBLIC`,
    );
    await alter();
    expect(await rows(`SELECT has_table_privilege('${auditor}', 'shop_history.orders', 'SELECT')`)).toEqual([[false]]);
  });

  test('on the as-of functions', async () => {
    await database.pool.query(
      `REVOKE ALL ON FUNCTION shop_history.orders_as_of(timestamptz), shop_history.orders_as_of_gtid(text) FROM PUBLIC;
       GRANT EXECUTE ON FUNCTION shop_history.orders_as_of(timestamptz) TO ${auditor}`,
    );
    await alter();
    const may = (name: string) => `has_function_privilege('${auditor}', 'shop_history.${name}', 'EXECUTE')`;
    expect(await rows(`SELECT ${may('orders_as_of(timestamptz)')}, ${may('orders_as_of_gtid(text)')}`)).toEqual([
      [true, false],
    ]);
  });
});

test('a view over an as-of function does not stand in the way of a schema change that leaves its columns alone', async () => {
  await database.pool.query(
    `CREATE VIEW yesterday AS SELECT * FROM shop_history.orders_as_of(now() - interval '1 day')`,
  );
  source.alter([...orderFields.slice(0, 1), field('state', 'text', 'bytes'), ...orderFields.slice(2)]);
  const outcome = await applier.apply(source.transaction(['insert', 2, 'b', 1]).cut());
  expect(outcome).toMatchObject({ kind: 'applied', newSchema: { version: 2 } });
});
