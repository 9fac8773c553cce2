import type { BatchQueue } from '@afterimage/queue';
import { describe, expect, it } from 'vitest';
import { BatchSender } from '../src/batch-sender.js';
import { sealBatch } from '../src/envelope.js';

const schema = {
  fingerprint: 'f',
  fields: [{ name: 'id', realType: 'int', avroType: 'int', unsigned: false }],
  version: 1,
  gtid: '0-1-1',
};
const raw =
  '{"domain": 0, "server_id": 1, "sequence": 2, "event_number": 1, "timestamp": 1, "event_type": "insert", "id": 1}';
const event = { domain: 0, serverId: 1, sequence: 2, eventNumber: 1, timestamp: 1, operation: 'insert', raw } as const;
const stream = { id: '7b0b2f8e-6d0b-4a86-b0a1-9a3f0c6c9f11', source: 'main', database: 'shop', table: 'orders' };
const { batch } = sealBatch(
  { resume: null, ordinal: 0 },
  {
    units: [{ events: [event], ordinal: 1, others: new Map() }],
    count: 1,
    bytes: raw.length,
    schema,
    since: 1,
    bases: new Map(),
  },
  { stream, layout: { number: 1, partitions: 1, key: null }, partition: 0, epoch: 1n, now: 0 },
);

describe('the batch sender', () => {
  it('offers a queue in trouble nothing more once it was told to give up, and leaves no rejection behind', async () => {
    const giveUp = new AbortController();
    let offers = 0;
    const queue: BatchQueue = {
      add: () => {
        offers += 1;
        return Promise.reject(new Error('the store is away'));
      },
      has: () => Promise.resolve(false),
      depth: () => Promise.resolve(0),
      close: () => Promise.resolve(),
    };
    const sender = new BatchSender({
      queue,
      limits: { maxBatches: 2, maxBytes: 1_000 },
      readOffset: () => Promise.resolve(undefined),
      // The order to stop comes while the sender waits to try again.
      onQueue: () => setImmediate(() => giveUp.abort(new Error('the reader stops'))),
      signal: giveUp.signal,
    });
    await sender.send(batch, raw.length, null);
    await expect(sender.drain()).rejects.toThrow('the reader stops');
    expect(offers).toBe(1);
  });
});
