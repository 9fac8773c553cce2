import { type Batch, covers, coversAll, eventLines, type EventId, parsePosition } from '@afterimage/change-events';
import { parseRowPrefix } from '@afterimage/cdc-protocol';
import { type BatchConsumer, consumeBatches, type QueueConnection } from '@afterimage/queue';
import type { Pool } from 'pg';

/**
 * Stands at the end of a queue as a writer does, by positions alone, and keeps what it would have applied: each
 * event once and in order, or it does not get on.
 */
export class RecordingWriter {
  readonly lines: string[] = [];
  readonly batches: Batch[] = [];
  /** Batches that lay beyond the offset, and such that brought nothing new. */
  gaps = 0;
  duplicates = 0;
  readonly #pool: Pool;
  readonly #consumer: BatchConsumer;

  constructor(pool: Pool, queue: QueueConnection, streamId: string) {
    this.#pool = pool;
    this.#consumer = consumeBatches(queue, streamId, 0, {
      process: (batch) => this.#apply(batch),
      onInvalid: ({ error }) => Promise.reject(error),
      onError: () => undefined,
    });
  }

  async close(): Promise<void> {
    await this.#consumer.close();
  }

  async #apply(batch: Batch): ReturnType<Parameters<typeof consumeBatches>[3]['process']> {
    const client = await this.#pool.connect();
    try {
      await client.query('BEGIN');
      const { rows } = await client.query<{ position: string; ordinal: string }>(
        `SELECT position, ordinal FROM afterimage.offsets WHERE stream_id = $1 AND partition = 0 FOR UPDATE`,
        [batch.stream.id],
      );
      const offset = parsePosition(rows[0]?.position ?? '');
      const ordinal = BigInt(rows[0]?.ordinal ?? 0);
      if (!coversAll(offset, parsePosition(batch.previous))) {
        this.gaps += 1;
        await client.query('ROLLBACK');
        return { kind: 'retry', inMs: 20 };
      }
      const fresh = eventLines(batch).filter((line) => !covers(offset, identify(line, batch)));
      if (fresh.length === 0) {
        this.duplicates += 1;
        await client.query('ROLLBACK');
        return { kind: 'done' };
      }
      const last = BigInt(batch.lastOrdinal);
      if (ordinal + BigInt(fresh.length) !== last) throw new Error('ordinals have a hole');
      await client.query(
        `UPDATE afterimage.offsets SET position = $2, checkpoint_gtid = $3, file_version = $4, ordinal = $5, applied_at = now()
         WHERE stream_id = $1 AND partition = 0`,
        [batch.stream.id, batch.last, batch.checkpoint.gtid, batch.checkpoint.fileVersion, last],
      );
      await client.query('COMMIT');
      this.lines.push(...fresh);
      this.batches.push(batch);
      return { kind: 'done' };
    } catch (error) {
      await client.query('ROLLBACK').catch(() => undefined);
      throw error;
    } finally {
      client.release();
    }
  }
}

function identify(line: string, batch: Batch): EventId {
  const { domain, serverId, sequence, eventNumber } = parseRowPrefix(line);
  return {
    domain: BigInt(domain),
    serverId: BigInt(serverId),
    sequence: BigInt(sequence) + BigInt(batch.sequenceBases[String(domain)] ?? 0),
    eventNumber: BigInt(eventNumber),
  };
}
