import { randomUUID } from 'node:crypto';
import type { Batch } from '@afterimage/change-events';
import { Queue } from 'bullmq';
import type { QueueConnection } from './connection.js';
import { encodeJob, type JobPayload } from './job-codec.js';
import { taggedQueueName } from './queue-name.js';

/** The sending side of one partition's queue. */
export interface BatchQueue {
  /** Resolves with the job's id once the store has it. While the store is away it waits on Redis, rejects on PostgreSQL. */
  add(batch: Batch): Promise<string>;
  /** Whether the job is still to be done: waiting, delayed or with a writer. False = done, or lost by the store. */
  has(jobId: string): Promise<boolean>;
  /** Jobs that are still to be done. */
  depth(): Promise<number>;
  close(): Promise<void>;
}

/** BullMQ has no "for ever"; the PostgreSQL backend counts in 32 bits. */
const endless = 1_000_000_000;

export function openBatchQueue(connection: QueueConnection, streamId: string, partition: number): BatchQueue {
  const queue = openQueue(connection, streamId, partition);
  let limited: Promise<unknown> | undefined;
  // Only one writer at a time works on a partition. A store that lost everything lost this too, but then the
  // stream is opened anew; and writers check positions, so it only spares useless work.
  const limitConcurrency = async (): Promise<void> => {
    limited ??= queue.setGlobalConcurrency(1);
    try {
      await limited;
    } catch (error) {
      limited = undefined;
      throw error;
    }
  };
  return {
    add: async (batch) => {
      await limitConcurrency();
      const job = await queue.add('batch', encodeJob(batch), {
        // Neither an integer nor with a colon: BullMQ forbids both. The ordinal is for people.
        jobId: `${batch.firstOrdinal}-${randomUUID()}`,
        attempts: endless,
        backoff: { type: 'fixed', delay: 1_000 },
        removeOnComplete: true,
        removeOnFail: true,
        stackTraceLimit: 1,
      });
      if (job.id === undefined) throw new Error('the queue gave the job no id');
      return job.id;
    },
    has: async (jobId) => {
      const state = await queue.getJobState(jobId);
      return state === 'waiting' || state === 'active' || state === 'delayed' || state === 'prioritized';
    },
    depth: async () => {
      const counts = await queue.getJobCounts('wait', 'active', 'delayed');
      return Object.values(counts).reduce((sum, count) => sum + count, 0);
    },
    close: () => queue.close(),
  };
}

/** Removes one partition's queue with all its jobs, whatever a writer is doing with them. */
export async function destroyQueue(connection: QueueConnection, streamId: string, partition: number): Promise<void> {
  const queue = openQueue(connection, streamId, partition);
  try {
    await queue.obliterate({ force: true });
  } finally {
    await queue.close();
  }
}

function openQueue(connection: QueueConnection, streamId: string, partition: number): Queue<JobPayload> {
  const { factory, connection: store } = connection.bind();
  const options = {
    connection: store as object,
    prefix: connection.options.prefix,
    // Nobody reads BullMQ's event stream here; by default it keeps 10,000 per queue.
    streams: { events: { maxLen: 10 } },
  };
  const queue = new Queue<JobPayload>(taggedQueueName(streamId, partition), options, factory as never);
  queue.on('error', connection.options.onError);
  return queue;
}
