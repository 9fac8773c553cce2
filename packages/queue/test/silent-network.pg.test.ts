import { createQueueConnection, openBatchQueue, prepareQueue } from '@afterimage/queue';
import { describe, expect, it } from 'vitest';
// @boundaries-ignore the harness that all tests share
import { createEmptyDatabase, queueBackends, uniqueName } from '../../../test/harness/databases.js';
// @boundaries-ignore the harness that all tests share
import { FaultProxy } from '../../../test/harness/fault-proxy.js';
import { makeBatch } from './sample-batch.js';

describe.each(queueBackends())(
  'a network that swallows everything without a word',
  ({ backend, redisUrl, missing }) => {
    it.skipIf(missing)(`does not stop the queue on ${backend} for longer than an answer may take`, async () => {
      const database = await createEmptyDatabase();
      const target = new URL(redisUrl ?? database.url);
      const proxy = await FaultProxy.start({ targetPort: Number(target.port) });
      target.port = String(proxy.port);
      const connection = createQueueConnection({
        backend,
        url: target.href,
        prefix: uniqueName('silent'),
        answerMs: 1_000,
        onError: () => undefined,
      });
      await prepareQueue(connection);
      const queue = openBatchQueue(connection, '1', 0);
      await queue.add(makeBatch(1));
      proxy.swallow('up', 'down');
      // On PostgreSQL the reader asks again after an error; on Redis the command itself goes out again.
      await expect.poll(() => queue.add(makeBatch(2)).catch(() => null), { timeout: 10_000 }).not.toBeNull();
      await queue.close();
      await connection.close();
      proxy.close();
      await database.drop();
    });
  },
);
