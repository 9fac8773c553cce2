import { once } from 'node:events';
import { randomUUID } from 'node:crypto';
import { setTimeout as takeTime } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Batch } from '@afterimage/change-events';
import {
  type BatchConsumer,
  type BatchQueue,
  consumeBatches,
  createQueueConnection,
  openBatchQueue,
  prepareQueue,
  type QueueConnection,
} from '@afterimage/queue';
import { makeBatch } from './sample-batch.js';
// @boundaries-ignore the harness that all tests share
import { createEmptyDatabase, queueBackends, type TestDatabase, uniqueName } from '../../../test/harness/databases.js';

describe.each(queueBackends())('two writers on one partition', ({ backend, redisUrl, missing }) => {
  describe.skipIf(missing)(`on ${backend}`, () => {
    let database: TestDatabase;
    let connections: QueueConnection[];
    let queue: BatchQueue;
    let streamId: string;
    const consumers: BatchConsumer[] = [];

    beforeEach(async () => {
      database = await createEmptyDatabase();
      const options = {
        backend,
        url: redisUrl ?? database.url,
        prefix: uniqueName('writers'),
        onError: () => undefined,
      };
      connections = [createQueueConnection(options), createQueueConnection(options)];
      for (const connection of connections) await prepareQueue(connection);
      streamId = randomUUID();
      queue = openBatchQueue(first(), streamId, 0);
    });

    afterEach(async () => {
      await Promise.all(consumers.splice(0).map((consumer) => consumer.close(1_000)));
      await queue.close();
      for (const connection of connections) await connection.close();
      await database.drop();
    });

    const first = (): QueueConnection => connections[0] as QueueConnection;
    const second = (): QueueConnection => connections[1] as QueueConnection;

    const consume = (
      connection: QueueConnection,
      process: (batch: Batch, signal: AbortSignal) => Promise<void>,
    ): BatchConsumer => {
      const consumer = consumeBatches(connection, streamId, 0, {
        process: async (batch, signal) => {
          await process(batch, signal);
          return { kind: 'done' };
        },
        onInvalid: () => Promise.resolve({ kind: 'done' }),
        onError: () => undefined,
      });
      consumers.push(consumer);
      return consumer;
    };

    /** What a connection asks the store from now on: on PostgreSQL each query borrows a connection of its pool. */
    const countQueries = (connection: QueueConnection): (() => number) => {
      let count = 0;
      const { factory, connection: store } = connection.bind();
      if (backend === 'redis') {
        const client = store as unknown as { sendCommand: (...args: unknown[]) => unknown };
        const send = client.sendCommand.bind(client);
        client.sendCommand = (...args) => {
          count += 1;
          return send(...args);
        };
        return () => count;
      }
      const backendOf = factory?.('count', { connection: store }) as unknown as {
        connection: { pool: { on(event: 'acquire', listener: () => void): void } };
      };
      backendOf.connection.pool.on('acquire', () => (count += 1));
      return () => count;
    };

    it('hardly ask for work while the other one works', async () => {
      const batches = 40;
      const done: string[] = [];
      let start = (): void => undefined;
      const started = new Promise<void>((resolve) => (start = resolve));
      const finished = new Promise<void>((resolve) => {
        consume(first(), async (batch) => {
          start();
          await takeTime(20);
          done.push(batch.firstOrdinal);
          if (done.length === batches) resolve();
        });
      });
      await queue.add(makeBatch(1));
      await started;
      const queries = countQueries(second());
      consume(second(), (batch) => Promise.resolve(void done.push(`${batch.firstOrdinal} by the second`)));
      for (let n = 2; n <= batches; n += 1) await queue.add(makeBatch(n));
      await finished;
      expect(queries()).toBeLessThan(batches / 2);
      expect(done).toEqual(Array.from({ length: batches }, (_, n) => String(n + 1)));
    });

    // In milliseconds, of which a busy machine may take some.
    it('do not rest while one of them is alone and has work', { retry: 2 }, async () => {
      const started: number[] = [];
      const waits: number[] = [];
      const isStarted = async (count: number): Promise<void> => {
        while (started.length < count) await takeTime(1);
      };
      consume(first(), async () => {
        started.push(performance.now());
        await takeTime(5);
      });
      for (let n = 1; n <= 60; n += 3) {
        // The second one's wake-up is still there when it is done, and leads to a look in vain.
        await queue.add(makeBatch(n));
        await queue.add(makeBatch(n + 1));
        await isStarted(n + 1);
        await takeTime(7);
        const addedAt = performance.now();
        await queue.add(makeBatch(n + 2));
        await isStarted(n + 2);
        waits.push((started.at(-1) ?? 0) - addedAt);
      }
      expect(median(waits)).toBeLessThan(12);
    });

    it('go on with the next batch at once when the one that worked stops', async () => {
      const waits: number[] = [];
      for (let round = 0; round < 5; round += 1) {
        let start = (): void => undefined;
        const started = new Promise<void>((resolve) => (start = resolve));
        let release = (): void => undefined;
        const released = new Promise<void>((resolve) => (release = resolve));
        const stopping = consume(first(), async () => {
          start();
          await released;
          await takeTime(50);
        });
        await queue.add(makeBatch(1));
        await started;
        const next = new Promise<void>((resolve) => {
          consume(second(), () => Promise.resolve(resolve()));
        });
        await queue.add(makeBatch(2));
        const stopped = stopping.close();
        release();
        await stopped;
        const stoppedAt = performance.now();
        await next;
        waits.push(performance.now() - stoppedAt);
        await consumers.pop()?.close();
      }
      expect(median(waits)).toBeLessThan(300);
    });

    it('go on with the batch itself at once when the one that worked stops and gives it back', async () => {
      const waits: number[] = [];
      for (let round = 1; round <= 5; round += 1) {
        let start = (): void => undefined;
        const started = new Promise<void>((resolve) => (start = resolve));
        const stopping = consume(first(), (_, signal) => {
          start();
          return once(signal, 'abort').then(() => Promise.reject(new Error('gave up')));
        });
        await queue.add(makeBatch(round));
        await started;
        const next = new Promise<string>((resolve) => {
          consume(second(), (batch) => Promise.resolve(resolve(batch.firstOrdinal)));
        });
        const stopped = stopping.close(50);
        await stopped;
        const stoppedAt = performance.now();
        expect(await next).toBe(String(round));
        waits.push(performance.now() - stoppedAt);
        await consumers.pop()?.close();
      }
      expect(median(waits)).toBeLessThan(300);
    });
  });
});

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}
