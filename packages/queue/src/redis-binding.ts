import { Redis } from 'ioredis';
import type { BullBinding, QueueOptions, RedisSettings } from './connection.js';

const dialTimeoutMs = 10_000;
/** Reconnect pause: 100 ms, growing to 2 s. */
const reconnectPauseMs = (attempt: number): number => Math.min(attempt * 100, 2_000);
/** Sets what BullMQ's idle workers block on. Not when nothing waits: then it would stay. */
const wakeScript = `if redis.call('LLEN', KEYS[1]) > 0 then redis.call('ZADD', KEYS[2], 0, '0') end`;

export async function createRedisBinding(options: QueueOptions): Promise<BullBinding> {
  const base: RedisSettings = { connectTimeout: dialTimeoutMs, keepAlive: 10_000, ...options.redis };
  await checkReachable(options.url, base);
  const client = new Redis(options.url, {
    ...base,
    // Commands wait for the connection to come back instead of failing; BullMQ's workers insist on it.
    maxRetriesPerRequest: null,
    retryStrategy: reconnectPauseMs,
  });
  // One client serves all queues; each adds its listeners.
  client.setMaxListeners(0);
  client.on('error', options.onError);
  return {
    factory: undefined,
    connection: client as unknown as BullBinding['connection'],
    wake: async (queue) => {
      const key = `${options.prefix}:${queue}`;
      await client.eval(wakeScript, 2, `${key}:wait`, `${key}:marker`);
    },
    close: async () => {
      if (client.status === 'ready') await client.quit().catch(() => undefined);
      client.disconnect();
    },
  };
}

async function checkReachable(url: string, options: RedisSettings): Promise<void> {
  const client = new Redis(url, { ...options, lazyConnect: true, maxRetriesPerRequest: 0, retryStrategy: () => null });
  let cause: unknown;
  client.on('error', (error) => (cause = error));
  try {
    await client.connect();
    await client.ping();
  } catch (error) {
    cause ??= error;
    const { host, port } = client.options;
    throw new Error(`cannot reach Redis at ${host}:${port}: ${String(cause)}`, { cause });
  } finally {
    client.disconnect();
  }
}
