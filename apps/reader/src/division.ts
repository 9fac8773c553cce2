import { destroyQueue, type QueueConnection } from '@afterimage/queue';
import { changeLayout, type Division, readOffsets, type StreamOffsets } from '@afterimage/replica';
import type { Logger } from '@afterimage/service';
import type { Pool } from 'pg';
import { describeTrouble } from './trouble.js';

export interface DivisionOptions {
  readonly pool: Pool;
  readonly queue: QueueConnection;
  readonly streamId: string;
  readonly wanted: Division;
  readonly logger: Logger;
}

export interface SettledDivision {
  readonly offsets: StreamOffsets;
  /**
   * Null when the stream is divided as wanted. Otherwise its partitions are not at the same event, and it must first be read
   * up to this ordinal under the division that is in force.
   */
  readonly until: number | null;
}

/** Reads a stream's offsets, after dividing it as wanted where that can be done. Rejects when PostgreSQL cannot be reached. */
export async function settleDivision(options: DivisionOptions): Promise<SettledDivision> {
  const { pool, streamId, wanted, logger } = options;
  const before = await readStreamOffsets(pool, streamId);
  if (isSame(before.layout, wanted)) return { offsets: before, until: null };
  // First, so that a reader that dies in between leaves none behind: what is in them is read again in any case.
  await removeQueues(options, before.layout.partitions);
  if (!(await changeLayout(pool, streamId, wanted))) {
    const ordinals = before.partitions.map(({ ordinal }) => Number(ordinal));
    return { offsets: before, until: Math.max(...ordinals) };
  }
  logger.info({ from: before.layout.partitions, to: wanted.partitions, key: wanted.key }, 'stream divided anew');
  return { offsets: await readStreamOffsets(pool, streamId), until: null };
}

async function readStreamOffsets(pool: Pool, streamId: string): Promise<StreamOffsets> {
  const offsets = (await readOffsets(pool, [streamId])).get(streamId);
  if (offsets === undefined) throw new Error(`stream ${streamId} is not registered any more: restart the reader`);
  return offsets;
}

/** Nobody consumes the queues of partitions that are no more. What is in them is of no use, and harmless. */
async function removeQueues({ queue, streamId, wanted, logger }: DivisionOptions, before: number): Promise<void> {
  for (let partition = wanted.partitions; partition < before; partition += 1) {
    await destroyQueue(queue, streamId, partition).catch((error: unknown) => {
      logger.warn({ partition, code: describeTrouble(error).code }, 'cannot remove the queue of a former partition');
    });
  }
}

function isSame(a: Division, b: Division): boolean {
  return a.partitions === b.partitions && JSON.stringify(a.key) === JSON.stringify(b.key);
}
