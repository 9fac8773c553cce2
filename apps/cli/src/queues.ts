import type { QueueConnection } from '@afterimage/queue';
import type { StreamRecord } from '@afterimage/replica';
import { type Config, resolveQueueStore } from '@afterimage/service';

/** BullMQ takes most of the time that a command needs to start: only those that use it load it. */
const loadQueue = async () => import('@afterimage/queue');

/** The queue store as configured. Its errors come with the calls that fail; nothing else listens to them here. */
export async function connectQueue(config: Config): Promise<QueueConnection> {
  const { createQueueConnection } = await loadQueue();
  return createQueueConnection({ ...resolveQueueStore(config), poolSize: 2, onError: () => undefined });
}

/** Creates or upgrades the queue's tables in PostgreSQL. */
export async function migrateQueue(config: Config): Promise<void> {
  const { prepareQueue } = await loadQueue();
  const connection = await connectQueue(config);
  try {
    await prepareQueue(connection);
  } finally {
    await connection.close();
  }
}

export interface QueueDepths {
  /** Stream id → batches waiting or in work; empty when the queue cannot be reached. */
  readonly depths: ReadonlyMap<string, number>;
  /** Why the queue cannot be reached. */
  readonly problem: string | null;
}

/** How many batches of each stream are in the queue. */
export async function readQueueDepths(
  connection: QueueConnection,
  streams: readonly Pick<StreamRecord, 'id' | 'partitions'>[],
  timeoutMs = 5000,
): Promise<QueueDepths> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
  });
  try {
    return { depths: await Promise.race([readDepths(connection, streams), late]), problem: null };
  } catch (error) {
    return { depths: new Map(), problem: error instanceof Error ? error.message : String(error) };
  } finally {
    clearTimeout(timer);
  }
}

async function readDepths(connection: QueueConnection, streams: readonly Pick<StreamRecord, 'id' | 'partitions'>[]) {
  const { openBatchQueue, prepareQueue } = await loadQueue();
  await prepareQueue(connection);
  const depths = new Map<string, number>();
  for (const { id, partitions } of streams) {
    let depth = 0;
    for (let partition = 0; partition < partitions; partition += 1) {
      const queue = openBatchQueue(connection, id, partition);
      try {
        depth += await queue.depth();
      } finally {
        await queue.close();
      }
    }
    depths.set(id, depth);
  }
  return depths;
}
