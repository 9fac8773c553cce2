import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { randomUUID } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Batch } from '@afterimage/change-events';
import {
  type BatchConsumer,
  consumeBatches,
  createQueueConnection,
  destroyQueue,
  openBatchQueue,
  prepareQueue,
  type QueueConnection,
  type QueueOptions,
} from '@afterimage/queue';
import { Queue } from 'bullmq';
import { makeBatch } from './sample-batch.js';
// @boundaries-ignore the harness that all tests share
import { createEmptyDatabase, queueBackends, type TestDatabase, uniqueName } from '../../../test/harness/databases.js';

describe.each(queueBackends())('a batch queue', ({ backend, redisUrl, missing }) => {
  describe.skipIf(missing)(`on ${backend}`, () => {
    let database: TestDatabase;
    let options: QueueOptions;
    let connection: QueueConnection;
    let streamId: string;
    let errors: Error[];
    const consumers: BatchConsumer[] = [];

    beforeEach(async () => {
      database = await createEmptyDatabase();
      errors = [];
      options = {
        backend,
        url: redisUrl ?? database.url,
        prefix: uniqueName('queue'),
        onError: (error) => errors.push(error),
      };
      connection = createQueueConnection(options);
      await Promise.all([prepareQueue(connection), prepareQueue(connection)]);
      streamId = randomUUID();
    });

    afterEach(async () => {
      await Promise.all(consumers.splice(0).map((consumer) => consumer.close(1_000)));
      await destroyQueue(connection, streamId, 0);
      await connection.close();
      await database.drop();
    });

    const consume = (
      process: (batch: Batch, signal: AbortSignal) => Promise<'done' | number>,
      id = streamId,
    ): BatchConsumer => {
      const consumer = consumeBatches(connection, id, 0, {
        process: async (batch, signal) => {
          const outcome = await process(batch, signal);
          return outcome === 'done' ? { kind: 'done' } : { kind: 'retry', inMs: outcome };
        },
        onInvalid: () => Promise.resolve({ kind: 'done' }),
        onError: (error) => errors.push(error),
      });
      consumers.push(consumer);
      return consumer;
    };

    /** Consumes until `count` batches are done and returns their ordinals in the order of being done. */
    const drain = async (count: number, id = streamId): Promise<Batch[]> => {
      const seen: Batch[] = [];
      await new Promise<void>((resolve) => {
        consume((batch) => {
          seen.push(batch);
          if (seen.length === count) resolve();
          return Promise.resolve('done');
        }, id);
      });
      return seen;
    };

    const gone = async (jobId: string): Promise<void> => {
      const queue = openBatchQueue(connection, streamId, 0);
      await expect.poll(() => queue.has(jobId), { timeout: 10_000 }).toBe(false);
      await queue.close();
    };

    it('hands batches on in the order they were added, and forgets them when they are done', async () => {
      const queue = openBatchQueue(connection, streamId, 0);
      const ids = [];
      for (let n = 1; n <= 20; n += 1) ids.push(await queue.add(makeBatch(n)));
      expect(await queue.depth()).toBe(20);
      expect(new Set(ids).size).toBe(20);
      for (const id of ids) expect(id).not.toMatch(/:|^\d+$/);
      const seen = await drain(20);
      expect(seen.map((b) => b.firstOrdinal)).toEqual(Array.from({ length: 20 }, (_, i) => String(i + 1)));
      await gone(ids[19] ?? '');
      expect(await queue.depth()).toBe(0);
      await queue.close();
    });

    it('keeps every character of a batch, whatever it is', async () => {
      const lines = [
        String.raw`{"id": 1, "escape": "\u0000 \u001F \\u0000 \ud800 \" \\ \n"}`,
        '{"id": 2, "raw": "héllo \u2028\u2029\uFEFF\x7F 𝄞 日本語 👩‍👩‍👧 e\u0301 \uFFFD"}',
        '{"id": 3, "nul": "\0 lone \uD834 low \uDD1E end"}',
        '{"id": 4, "__proto__": {"constructor": 1}, "json": "x"}',
      ];
      const batches = [
        makeBatch(1, lines.join('\n')),
        makeBatch(2, lines.slice(0, 2).join('\n')),
        { ...makeBatch(3), stream: { ...makeBatch(3).stream, table: `t\0\uD800"'; --\u2028\\u0000` } },
      ];
      const queue = openBatchQueue(connection, streamId, 0);
      for (const batch of batches) await queue.add(batch);
      expect(await drain(3)).toEqual(batches);
      await queue.close();
    });

    it('carries a line of 20 MB', async () => {
      const line = `{"id": 1, "text": "${'x\u2028é'.repeat(4_000_000)}"}`;
      expect(Buffer.byteLength(line)).toBeGreaterThan(20_000_000);
      const queue = openBatchQueue(connection, streamId, 0);
      await queue.add(makeBatch(1, line));
      const [batch] = await drain(1);
      expect(batch?.events === line).toBe(true);
      await queue.close();
    });

    it('brings a batch back that was put off or that failed, and loses none', async () => {
      const queue = openBatchQueue(connection, streamId, 0);
      const ids = [];
      for (let n = 1; n <= 3; n += 1) ids.push(await queue.add(makeBatch(n)));
      const seen: string[] = [];
      let failures = 0;
      const third = new Promise<void>((resolve) => {
        consume((batch) => {
          seen.push(batch.firstOrdinal);
          if (batch.firstOrdinal === '1' && seen.filter((n) => n === '1').length <= 3) return Promise.resolve(20);
          if (batch.firstOrdinal === '2' && failures < 2) {
            failures += 1;
            return Promise.reject(new Error('try again'));
          }
          if (new Set(seen).size === 3 && batch.firstOrdinal === '2') resolve();
          return Promise.resolve('done');
        });
      });
      await third;
      for (const id of ids) await gone(id);
      expect(seen.filter((n) => n === '1')).toHaveLength(4);
      expect(seen.filter((n) => n === '2')).toHaveLength(3);
      expect(errors.map((e) => e.message)).toEqual(['try again', 'try again']);
      await queue.close();
    });

    it('lets only one consumer work at a time, in however many processes', async () => {
      const queue = openBatchQueue(connection, streamId, 0);
      for (let n = 1; n <= 30; n += 1) await queue.add(makeBatch(n));
      let active = 0;
      let most = 0;
      let done = 0;
      await new Promise<void>((resolve) => {
        for (let i = 0; i < 3; i += 1) {
          consume(async () => {
            active += 1;
            most = Math.max(most, active);
            await new Promise((next) => setImmediate(next));
            active -= 1;
            done += 1;
            if (done === 30) resolve();
            return 'done';
          });
        }
      });
      expect(most).toBe(1);
      await queue.close();
    });

    it('lets the others come before a batch that comes again, however soon that is', async () => {
      const queue = openBatchQueue(connection, streamId, 0);
      for (const firstOrdinal of [2, 3, 1]) await queue.add(makeBatch(firstOrdinal));
      const done: string[] = [];
      // Each waits for the one before it, as batches do that were added twice, or before the one they follow.
      consume(async ({ firstOrdinal }) => {
        if (firstOrdinal !== String(done.length + 1)) return 0;
        done.push(firstOrdinal);
        return 'done';
      });
      await expect.poll(() => done, { timeout: 10_000 }).toEqual(['1', '2', '3']);
      await queue.close();
    });

    it('gives a job that holds no valid batch to onInvalid and keeps it until that says otherwise', async () => {
      const { factory, connection: store } = connection.bind();
      const raw = new Queue(
        `{stream-${streamId}-0}`,
        { connection: store as object, prefix: options.prefix },
        factory as never,
      );
      await raw.add('batch', { v: 2, hello: 'from the future' }, { jobId: 'future-1' });
      const attempts: unknown[] = [];
      const done = new Promise<void>((resolve) => {
        consumers.push(
          consumeBatches(connection, streamId, 0, {
            process: () => Promise.reject(new Error('must not be called')),
            onInvalid: ({ jobId, payload, error }) => {
              attempts.push([jobId, payload, error.name]);
              if (attempts.length < 3) return Promise.resolve({ kind: 'retry', inMs: 10 });
              resolve();
              return Promise.resolve({ kind: 'done' });
            },
            onError: (error) => errors.push(error),
          }),
        );
      });
      await done;
      await gone('future-1');
      expect(attempts).toEqual(Array(3).fill(['future-1', { v: 2, hello: 'from the future' }, 'ZodError']));
      await raw.close();
    });

    it('removes a job that lost what it carried, as when the store is emptied under a writer', async () => {
      const { factory, connection: store } = connection.bind();
      const raw = new Queue(
        `{stream-${streamId}-0}`,
        { connection: store as object, prefix: options.prefix },
        factory as never,
      );
      await raw.add('batch', {}, { jobId: 'hollow-1' });
      consumers.push(
        consumeBatches(connection, streamId, 0, {
          process: () => Promise.reject(new Error('must not be called')),
          onInvalid: () => Promise.resolve({ kind: 'retry', inMs: 60_000 }),
          onError: (error) => errors.push(error),
        }),
      );
      await gone('hollow-1');
      expect(await raw.getJob('hollow-1')).toBeUndefined();
      expect(errors.map((error) => error.message)).toEqual([expect.stringContaining('without its batch')]);
      await raw.close();
    });

    it('aborts the batch in work when the grace of a closing consumer is over, and the batch stays', async () => {
      const queue = openBatchQueue(connection, streamId, 0);
      const id = await queue.add(makeBatch(1));
      let started: () => void = () => undefined;
      const working = new Promise<void>((resolve) => (started = resolve));
      const consumer = consume((_, signal) => {
        started();
        return once(signal, 'abort').then(() => Promise.reject(new Error('aborted')));
      });
      await working;
      await consumer.close(20);
      expect(await queue.has(id)).toBe(true);
      expect(await drain(1)).toEqual([makeBatch(1)]);
      expect(errors).toEqual([]);
      await queue.close();
    });

    it('hands the batches of a killed and of a frozen process to others within eight seconds', async () => {
      const script = fileURLToPath(new URL('./stuck-consumer.mjs', import.meta.url));
      const takeOver = async (id: string, signal: 'SIGKILL' | 'SIGSTOP'): Promise<number> => {
        const queue = openBatchQueue(connection, id, 0);
        await queue.add(makeBatch(1));
        const args = [script, backend, options.url ?? '', options.prefix, id];
        const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
        try {
          await once(child.stdout, 'data');
          child.kill(signal);
          const from = performance.now();
          const [batch] = await drain(1, id);
          expect(batch).toEqual(makeBatch(1));
          return performance.now() - from;
        } finally {
          child.kill('SIGKILL');
          await queue.close();
        }
      };
      const frozen = randomUUID();
      const times = await Promise.all([takeOver(streamId, 'SIGKILL'), takeOver(frozen, 'SIGSTOP')]);
      await Promise.all(consumers.splice(0).map((consumer) => consumer.close(1_000)));
      await destroyQueue(connection, frozen, 0);
      expect(Math.max(...times)).toBeLessThan(8_000);
    });

    it('says so when the store cannot be reached', async () => {
      const url = backend === 'redis' ? 'redis://:secret@127.0.0.1:1' : 'postgres://nobody:secret@127.0.0.1:1/none';
      const unreachable = createQueueConnection({ ...options, url });
      const failure = await prepareQueue(unreachable).catch((error: unknown) => String(error));
      expect(failure).toMatch(/127\.0\.0\.1:1/);
      expect(failure).toMatch(/ECONNREFUSED/);
      expect(failure).not.toMatch(/secret/);
      expect(() => openBatchQueue(unreachable, streamId, 0)).toThrow('prepareQueue');
      await unreachable.close();
    });
  });
});
