import { Redis } from 'ioredis';
import type { Pool } from 'pg';
import type { Batch } from '@afterimage/change-events';
import { createQueueConnection, decodeJob, openBatchQueue, prepareQueue } from '@afterimage/queue';
import { quoteName } from '@afterimage/replica';
import { mostPartitions } from './source-model.js';

export interface QueueStoreOptions {
  readonly pool: Pool;
  readonly postgresUrl: string;
  /** Null: the queue is in PostgreSQL. */
  readonly redisUrl: string | null;
  readonly prefix: string;
}

/** The jobs of one run, reached past BullMQ, as an accident reaches them. */
export class QueueStore {
  readonly #options: QueueStoreOptions;

  constructor(options: QueueStoreOptions) {
    this.#options = options;
  }

  /** Empties the queue, settings included, as a Redis without persistence does when it restarts. */
  async wipe(): Promise<void> {
    const { pool, redisUrl, prefix } = this.#options;
    if (redisUrl === null) await pool.query(`TRUNCATE ${quoteName(prefix)}.job CASCADE`);
    else {
      await withRedis(redisUrl, async (redis) => {
        const keys = await redis.keys(`${prefix}:*`);
        if (keys.length > 0) await redis.del(...keys);
      });
    }
  }

  /** Loses some jobs: on Redis the oldest that waits of each queue. */
  async loseSome(): Promise<void> {
    const { pool, redisUrl, prefix } = this.#options;
    if (redisUrl === null) await pool.query(`DELETE FROM ${quoteName(prefix)}.job WHERE random() < 0.5`);
    else {
      await withRedis(redisUrl, async (redis) => {
        for (const list of await redis.keys(`${prefix}:*:wait`)) {
          const id = await redis.rpop(list);
          if (id !== null) await redis.del(list.replace(/wait$/, String(id)));
        }
      });
    }
  }

  /** The batches that wait or are in work. */
  async batches(): Promise<Batch[]> {
    const payloads = await this.#payloads();
    return payloads.flatMap((payload) => (payload === null ? [] : [decodeJob(JSON.parse(payload))]));
  }

  async #payloads(): Promise<(string | null)[]> {
    const { pool, redisUrl, prefix } = this.#options;
    if (redisUrl === null) {
      const { rows } = await pool.query<{ data: string }>(`SELECT data::text AS data FROM ${quoteName(prefix)}.job`);
      return rows.map(({ data }) => data);
    }
    return withRedis(redisUrl, async (redis) => {
      const keys = await redis.keys(`${prefix}:*`);
      const jobs = keys.filter((key) => /:\d+-[0-9a-f-]{36}$/.test(key));
      return Promise.all(jobs.map((key) => redis.hget(key, 'data')));
    });
  }

  /** Puts batches in, in this order. */
  async add(batches: readonly Batch[]): Promise<void> {
    await this.#withQueues(async (open) => {
      for (const batch of batches) await open(batch.stream.id, batch.partition).add(batch);
    });
  }

  /** Jobs of these streams that are still to be done, those of partitions that are no more included. */
  async depth(streamIds: readonly string[]): Promise<number> {
    let sum = 0;
    await this.#withQueues(async (open) => {
      for (const id of streamIds) {
        for (let partition = 0; partition < mostPartitions; partition += 1) sum += await open(id, partition).depth();
      }
    });
    return sum;
  }

  async #withQueues(
    work: (open: (streamId: string, partition: number) => ReturnType<typeof openBatchQueue>) => Promise<void>,
  ): Promise<void> {
    const { redisUrl, postgresUrl, prefix } = this.#options;
    const connection = createQueueConnection({
      backend: redisUrl === null ? 'postgres' : 'redis',
      url: redisUrl ?? postgresUrl,
      prefix,
      poolSize: 2,
      onError: () => undefined,
    });
    const queues = new Map<string, ReturnType<typeof openBatchQueue>>();
    try {
      await prepareQueue(connection);
      await work((streamId, partition) => {
        const name = `${streamId}/${partition}`;
        const queue = queues.get(name) ?? openBatchQueue(connection, streamId, partition);
        queues.set(name, queue);
        return queue;
      });
    } finally {
      for (const queue of queues.values()) await queue.close().catch(() => undefined);
      await connection.close();
    }
  }
}

async function withRedis<T>(url: string, work: (redis: Redis) => Promise<T>): Promise<T> {
  const redis = new Redis(url, { maxRetriesPerRequest: 1 });
  redis.on('error', () => undefined);
  try {
    return await work(redis);
  } finally {
    redis.disconnect();
  }
}
