import { createQueueConnection, openBatchQueue, prepareQueue, type QueueConnection } from '@afterimage/queue';
import type { StreamRecord } from '@afterimage/replica';
import type { Config } from '@afterimage/service';

/** The queue store as configured. Its errors come with the calls that fail; nothing else listens to them here. */
export function connectQueue(config: Config): QueueConnection {
  const { backend, prefix, url = config.postgres.url } = config.queue;
  return createQueueConnection({ backend, prefix, url, poolSize: 2, onError: () => undefined });
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
