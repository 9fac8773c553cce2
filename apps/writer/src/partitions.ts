import type { Pool } from 'pg';
import { type BatchConsumer, type ConsumeOptions, type QueueConnection, consumeBatches } from '@afterimage/queue';
import { type StreamRecord, describeError, listStreamRecords } from '@afterimage/replica';
import { type Logger, sleep } from '@afterimage/service';
import type { PartitionFilter } from './partition-ranges.js';

/** How often a writer looks for streams that a reader has registered since. */
const discoverEveryMs = 1_000;

export interface PartitionsOptions {
  readonly pool: Pool;
  readonly queue: QueueConnection;
  readonly isConfigured: (stream: StreamRecord) => boolean;
  /** Which partitions of every stream this writer works on. */
  readonly isMine: PartitionFilter;
  readonly consume: ConsumeOptions;
  readonly logger: Logger;
}

interface Lane {
  readonly stream: StreamRecord;
  readonly partition: number;
}

/**
 * Consumes this writer's partitions of every configured stream until `signal` aborts; follows streams that are registered
 * or divided anew meanwhile.
 */
export async function consumePartitions(options: PartitionsOptions, signal: AbortSignal): Promise<void> {
  const consumers = new Map<string, BatchConsumer>();
  let unreachable = false;
  while (!signal.aborted) {
    try {
      follow(options, await listStreamRecords(options.pool), consumers);
      unreachable = false;
    } catch (error) {
      if (!unreachable) options.logger.warn({ error: describeError(error) }, 'cannot look for streams: trying again');
      unreachable = true;
    }
    await sleep(discoverEveryMs, signal);
  }
  await Promise.all([...consumers.values()].map((consumer) => consumer.close()));
}

function follow(
  { queue, consume, logger, isConfigured, isMine }: PartitionsOptions,
  streams: readonly StreamRecord[],
  consumers: Map<string, BatchConsumer>,
): void {
  const lanes = new Map<string, Lane>();
  for (const stream of streams.filter(isConfigured)) {
    for (let partition = 0; partition < stream.partitions; partition += 1) {
      if (isMine(partition)) lanes.set(`${stream.id}/${partition}`, { stream, partition });
    }
  }
  for (const [key, { stream, partition }] of lanes) {
    if (consumers.has(key)) continue;
    const { id, source, database, table } = stream;
    consumers.set(key, consumeBatches(queue, id, partition, { ...consume, stream }));
    logger.info({ source, database, table, partition }, 'consuming');
  }
  for (const [key, consumer] of consumers) {
    if (lanes.has(key)) continue;
    consumers.delete(key);
    // What it has in work is told to be out of date by its offset, which is no more.
    void consumer.close();
  }
}
