import type { Pool } from 'pg';
import { type BatchConsumer, type ConsumeOptions, type QueueConnection, consumeBatches } from '@afterimage/queue';
import { type StreamRecord, describeError, listStreamRecords } from '@afterimage/replica';
import { type Logger, sleep } from '@afterimage/service';

/** How often a writer looks for streams that a reader has registered since. */
const discoverEveryMs = 1_000;

export interface PartitionsOptions {
  readonly pool: Pool;
  readonly queue: QueueConnection;
  readonly isConfigured: (stream: StreamRecord) => boolean;
  readonly consume: ConsumeOptions;
  readonly logger: Logger;
}

/** Consumes every partition of every configured stream, new ones as they are registered, until `signal` aborts. */
export async function consumePartitions(options: PartitionsOptions, signal: AbortSignal): Promise<void> {
  const consumers = new Map<string, BatchConsumer>();
  let unreachable = false;
  while (!signal.aborted) {
    try {
      const streams = await listStreamRecords(options.pool);
      for (const stream of streams.filter(options.isConfigured)) consumeStream(options, stream, consumers);
      unreachable = false;
    } catch (error) {
      if (!unreachable) options.logger.warn({ error: describeError(error) }, 'cannot look for streams: trying again');
      unreachable = true;
    }
    await sleep(discoverEveryMs, signal);
  }
  await Promise.all([...consumers.values()].map((consumer) => consumer.close()));
}

function consumeStream(
  { queue, consume, logger }: PartitionsOptions,
  stream: StreamRecord,
  consumers: Map<string, BatchConsumer>,
): void {
  const { source, database, table } = stream;
  for (let partition = 0; partition < stream.partitions; partition += 1) {
    const key = `${stream.id}/${partition}`;
    if (consumers.has(key)) continue;
    consumers.set(key, consumeBatches(queue, stream.id, partition, consume));
    logger.info({ source, database, table, partition }, 'consuming');
  }
}
