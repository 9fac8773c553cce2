import type { Batch } from '@afterimage/change-events';

/** A valid batch of one partition, of as many events as `events` has lines. */
export function makeBatch(ordinal: number, events = `{"n": ${ordinal}}`): Batch {
  return {
    v: 2,
    stream: { id: '5c8d4b58-0d3b-4f1e-9d0a-6d3d5f5b0c11', source: 'main', database: 'shop', table: 'orders' },
    partition: 0,
    layout: 1,
    epoch: '1',
    previous: '',
    last: `0-1-${ordinal}:1`,
    checkpoint: { gtid: `0-1-${ordinal}`, fileVersion: 1 },
    lastOrdinal: String(ordinal + events.split('\n').length - 1),
    firstOrdinal: String(ordinal),
    sequenceBases: {},
    schema: {
      fingerprint: 'f',
      fields: [{ name: 'n', realType: 'int', avroType: 'int', unsigned: false }],
      version: 1,
      gtid: '0-1-1',
      since: '1',
    },
    count: events.split('\n').length,
    firstTimestamp: 1,
    lastTimestamp: 1,
    enqueuedAt: 1,
    events,
  };
}
