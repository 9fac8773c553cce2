import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type FakeMaxScale, startFakeMaxScale } from '@afterimage/cdc-protocol/testing';
import { quoteName } from '@afterimage/replica';
import { type TestDatabase, createDatabase, queueBackends } from '../harness/databases.js';
import { Pipeline, type Role } from './pipeline.js';
import { SourceModel, createRandom } from './source-model.js';

describe.each(queueBackends())('with the queue on $backend', (queue) => {
  let database: TestDatabase;
  let server: FakeMaxScale;
  let pipeline: Pipeline;

  beforeEach(async () => {
    if (queue.missing) return;
    database = await createDatabase();
    server = await startFakeMaxScale();
    pipeline = new Pipeline(database, queue);
  });
  afterEach(async () => {
    if (queue.missing) return;
    await pipeline.stop();
    await server.close();
    await database.drop();
  });

  /** Mirror and history of every table as they are and as the source says they must be. */
  async function compare(model: SourceModel): Promise<{ actual: unknown; expected: unknown }> {
    const actual: Record<string, unknown> = {};
    const expected: Record<string, unknown> = {};
    for (const name of model.tables.keys()) {
      const columns = model.columnNames(name).map((column) => `${quoteName(column)}::text`);
      const cells = `json_build_array(${columns.join(', ')})`;
      const mirror = await database.pool.query<{ cells: unknown }>(
        `SELECT ${cells} AS cells FROM shop.${quoteName(name)}`,
      );
      const history = await database.pool.query<{ id: string; cells: unknown }>(
        `SELECT sequence || ':' || event_number || ' ' || event_type AS id, ${cells} AS cells
         FROM shop_history.${quoteName(name)} ORDER BY stream_ordinal`,
      );
      actual[name] = {
        mirror: mirror.rows.map((row) => JSON.stringify(row.cells)).toSorted(),
        history: history.rows.map((row) => `${row.id} ${JSON.stringify(row.cells)}`),
      };
      expected[name] = { mirror: model.expectedRows(name), history: model.expectedHistory(name) };
    }
    return { actual, expected };
  }

  test.skipIf(queue.missing)(
    'twenty kills of reader and writers at random moments leave mirror and history as they must be',
    async () => {
      const seed = Number(process.env['AFTERIMAGE_TEST_SEED'] ?? Date.now() % 1_000_000);
      const random = createRandom(seed);
      const model = new SourceModel(server, random);
      for (let i = 0; i < 20; i += 1) model.commit();
      await pipeline.start(server);
      await pipeline.waitUntilApplied(1, 30_000);
      const roles: readonly Role[] = ['reader', 'writer-1', 'writer-2'];
      for (let kill = 0; kill < 20; kill += 1) {
        for (let i = 0; i < 30; i += 1) model.commit();
        if (kill === 7) model.alter('orders');
        if (kill === 13) model.alter('notes');
        // The moment of the fault, not a wait for anything.
        await sleep(random() * 400);
        await pipeline.killAndRestart(roles[Math.floor(random() * roles.length)] ?? 'reader');
      }
      await pipeline.waitUntilApplied(model.events, 90_000);
      const { actual, expected } = await compare(model);
      expect(actual, `seed ${seed}`).toEqual(expected);
    },
    180_000,
  );

  test.skipIf(queue.missing)(
    'a queue that is emptied in the middle costs nothing',
    async () => {
      const model = new SourceModel(server, createRandom(42));
      for (let i = 0; i < 300; i += 1) model.commit();
      await pipeline.start(server);
      for (const share of [0.1, 0.4, 0.7]) {
        await pipeline.waitUntilApplied(model.events * share, 60_000);
        await pipeline.wipeQueue();
        for (let i = 0; i < 100; i += 1) model.commit();
      }
      await pipeline.waitUntilApplied(model.events, 90_000);
      const { actual, expected } = await compare(model);
      expect(actual).toEqual(expected);
    },
    180_000,
  );
});
