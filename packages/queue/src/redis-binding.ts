import type { BullBinding, QueueOptions } from './connection.js';
import { findRedisRisks } from './redis-check.js';
import { describeTarget, openProbe, openRedis, type RedisTarget } from './redis-client.js';

/** Sets what BullMQ's idle workers block on. Not when nothing waits: then it would stay. */
const wakeScript = `if redis.call('LLEN', KEYS[1]) > 0 then redis.call('ZADD', KEYS[2], 0, '0') end`;

export async function createRedisBinding(options: QueueOptions): Promise<BullBinding> {
  await probe(options, options.onWarning);
  const client = openRedis(options);
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

/** Rejects when no Redis answers; tells what is wrong with its settings. */
async function probe(target: RedisTarget, onWarning: QueueOptions['onWarning']): Promise<void> {
  const client = openProbe(target);
  let cause: unknown;
  client.on('error', (error: unknown) => (cause = error));
  try {
    await client.connect();
    await client.ping();
    if (onWarning === undefined) return;
    for (const risk of await findRedisRisks(client, describeTarget(target))) onWarning(risk);
  } catch (error) {
    cause ??= error;
    throw new Error(`cannot reach ${describeTarget(target)}: ${String(cause)}`, { cause });
  } finally {
    client.disconnect();
  }
}
