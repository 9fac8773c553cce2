import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type LocalRedis, startRedis } from '@afterimage/local-servers';
import {
  type BatchConsumer,
  consumeBatches,
  createQueueConnection,
  openBatchQueue,
  prepareQueue,
  type QueueConnection,
} from '@afterimage/queue';
import { Redis } from 'ioredis';
// @boundaries-ignore the harness that all tests share
import { createEmptyDatabase, queueBackends, type TestDatabase, uniqueName } from '../../../test/harness/databases.js';
import { makeBatch } from './sample-batch.js';

const streams = 15;

describe.each(queueBackends())('a store whose connections are all cut', ({ backend, missing }) => {
  describe.skipIf(missing)(`on ${backend}`, () => {
    let database: TestDatabase;
    let redis: LocalRedis | null = null;
    let admin: Redis | undefined;
    let connection: QueueConnection;
    const consumers: BatchConsumer[] = [];
    const errors: Error[] = [];

    beforeEach(async () => {
      database = await createEmptyDatabase();
      // A Redis of its own: cutting the connections of the shared one would disturb other tests.
      if (backend === 'redis') redis = await startRedis({ PATH: process.env['PATH'] ?? '' });
      if (redis !== null) admin = new Redis(redis.url);
      connection = createQueueConnection({
        backend,
        url: redis?.url ?? database.url,
        prefix: uniqueName('outage'),
        onError: (error) => errors.push(error),
      });
      await prepareQueue(connection);
    });

    afterEach(async () => {
      await Promise.all(consumers.splice(0).map((consumer) => consumer.close(1_000)));
      await connection.close();
      admin?.disconnect();
      await redis?.stop();
      await database.drop();
    });

    const cutAll = async (): Promise<void> => {
      await admin?.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
      if (backend === 'redis') return;
      await database.pool.query(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`,
      );
    };

    /** To PostgreSQL; on Redis each consumer has a connection of its own to block on. */
    const countConnections = async (): Promise<number> => {
      const { rows } = await database.pool.query<{ n: number }>(
        `SELECT count(*)::int AS n FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'afterimage queue'`,
      );
      return rows[0]?.n ?? 0;
    };

    it('goes on by itself, with many streams on few connections', async () => {
      const ids = Array.from({ length: streams }, () => randomUUID());
      const done: string[] = [];
      for (const id of ids) {
        consumers.push(
          consumeBatches(connection, id, 0, {
            process: (batch) => {
              done.push(`${id} ${batch.firstOrdinal}`);
              return Promise.resolve({ kind: 'done' });
            },
            onInvalid: () => Promise.resolve({ kind: 'done' }),
            onError: (error) => errors.push(error),
          }),
        );
      }
      const queues = ids.map((id) => openBatchQueue(connection, id, 0));
      const addToAll = async (ordinal: number): Promise<void> => {
        for (const queue of queues) {
          // PostgreSQL rejects while it is away; the reader then tries again, as here.
          await expect
            .poll(
              () =>
                queue.add(makeBatch(ordinal)).then(
                  () => true,
                  () => false,
                ),
              { timeout: 20_000 },
            )
            .toBe(true);
        }
      };
      await addToAll(1);
      await expect.poll(() => done.length, { timeout: 20_000 }).toBe(streams);
      expect(await countConnections()).toBeLessThanOrEqual(9);
      await cutAll();
      await addToAll(2);
      await expect
        .poll(() => new Set(done.filter((entry) => entry.endsWith(' 2'))).size, { timeout: 20_000 })
        .toBe(streams);
      for (const queue of queues) await queue.close();
    });
  });
});
