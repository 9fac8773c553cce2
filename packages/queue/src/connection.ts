import type { BackendFactory, IQueueBackend, PostgresConnectionOptions } from 'bullmq';
import { createPostgresBinding } from './postgres-binding.js';
import { createRedisBinding } from './redis-binding.js';
import type { RedisSettings } from './redis-client.js';

export interface QueueOptions {
  readonly backend: 'redis' | 'postgres';
  /** `redis://…` or `rediss://…`, unless `redis` says where it is; for the PostgreSQL backend `postgres://…`. */
  readonly url?: string | undefined;
  /** Redis key prefix, or the PostgreSQL schema of the queue tables. */
  readonly prefix: string;
  readonly redis?: RedisSettings | undefined;
  /** Size of the PostgreSQL pool that all queues of this process share. Default 8. */
  readonly poolSize?: number;
  /**
   * A command without an answer for so long went out on a connection whose network is gone: a new one is made. Longer than
   * BullMQ lets Redis wait for a job, which is 10 s at most. Default 15 s.
   */
  readonly answerMs?: number;
  /**
   * Gets every connection error. The connections mend themselves, so this is for the log; without a listener in
   * place a broken connection would end the process, which is why it is not optional.
   */
  readonly onError: (error: Error) => void;
  /** Told once, by `prepareQueue`, in whole sentences, what about the settings of Redis endangers batches. */
  readonly onWarning?: ((text: string) => void) | undefined;
}

/** How BullMQ's classes reach the store: its backend factory and the connection to give them. */
export interface BullBinding {
  /** Undefined = BullMQ's own Redis backend. */
  readonly factory: BackendFactory<IQueueBackend, PostgresConnectionOptions> | undefined;
  readonly connection: PostgresConnectionOptions;
  /** Makes an idle consumer of the queue look for work. */
  wake(queue: string): Promise<void>;
  close(): Promise<void>;
}

/** One process's connections to the store of the queues, shared by all queues and consumers it opens. */
export interface QueueConnection {
  readonly options: QueueOptions;
  /** What BullMQ's classes of this package take. Throws before `prepareQueue` has succeeded. */
  bind(): BullBinding;
  /** Checks the store and makes it ready, see `prepareQueue`. */
  prepare(): Promise<void>;
  close(): Promise<void>;
}

/** Makes the connection; nothing is opened before `prepareQueue`. */
export function createQueueConnection(options: QueueOptions): QueueConnection {
  let binding: Promise<BullBinding> | undefined;
  let ready: BullBinding | undefined;
  const open = async (): Promise<void> => {
    binding ??= options.backend === 'redis' ? createRedisBinding(options) : createPostgresBinding(options);
    try {
      ready = await binding;
    } catch (error) {
      binding = undefined;
      throw error;
    }
  };
  return {
    options,
    bind: () => {
      if (ready === undefined) throw new Error('the queue is not prepared: call prepareQueue first');
      return ready;
    },
    prepare: open,
    close: async () => {
      const opened = await binding?.catch(() => undefined);
      binding = undefined;
      ready = undefined;
      await opened?.close();
    },
  };
}

/**
 * Makes the store of the queues ready: on PostgreSQL creates or upgrades BullMQ's tables, on Redis checks that it
 * answers. Rejects with an Error that names the host when it cannot be reached; may then be called again.
 */
export async function prepareQueue(connection: QueueConnection): Promise<void> {
  await connection.prepare();
}
