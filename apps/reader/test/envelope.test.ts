import { coversAll, parseBatch, parsePosition } from '@afterimage/change-events';
import { describe, expect, it } from 'vitest';
import type { CutBatch } from '../src/batch-cutter.js';
import type { ChangeEvent } from '../src/change-source.js';
import { checkColumns, sealBatch } from '../src/envelope.js';

const schema = {
  fingerprint: 'f',
  fields: [{ name: 'id', realType: 'int', avroType: 'int', unsigned: false }],
  version: 4,
  gtid: '0-1-9',
};
const line = (columns: string): string =>
  `{"domain": 0, "server_id": 1, "sequence": 1, "event_number": 1, "timestamp": 1, "event_type": "insert"${columns}}`;
const event = (domain: number, sequence: number, timestamp = 1): ChangeEvent => ({
  domain,
  serverId: 1,
  sequence,
  eventNumber: 1,
  timestamp,
  operation: 'insert',
  raw: line(', "id": 1'),
});
const options = {
  stream: { id: '5c8d4b58-0d3b-4f1e-9d0a-6d3d5f5b0c11', source: 'main', database: 'shop', table: 'orders' },
  epoch: 2n,
  now: 1000,
};

describe('sealing a batch', () => {
  it('says what it follows, where it ends and how a reader goes on after it', () => {
    const start = {
      resume: { position: parsePosition('0-1-4294967300:1,7-1-3:1'), gtid: '7-1-3', fileVersion: 3 },
      ordinal: 41n,
    };
    const cut: CutBatch = {
      events: [event(0, 5, 100), event(7, 4), event(0, 6), event(7, 5, 200)],
      bytes: 1,
      schema,
      bases: new Map([[0, 4294967296n]]),
    };
    const { batch, end } = sealBatch(start, cut, options);
    expect(parseBatch(batch)).toEqual(batch);
    expect(batch).toMatchObject({
      previous: '0-1-4294967300:1,7-1-3:1',
      last: '0-1-4294967302:1,7-1-5:1',
      checkpoint: { gtid: '7-1-5', fileVersion: 4 },
      firstOrdinal: '42',
      sequenceBases: { '0': '4294967296' },
      count: 4,
      firstTimestamp: 100,
      lastTimestamp: 200,
      enqueuedAt: 1000,
      epoch: '2',
    });
    expect(end).toEqual({
      resume: { position: parsePosition(batch.last), gtid: '7-1-5', fileVersion: 4, sourceTime: 200 },
      ordinal: 45n,
    });
    expect(coversAll(parsePosition(batch.last), parsePosition(batch.previous))).toBe(true);
  });

  it('begins at nothing with ordinal 1', () => {
    const cut = { events: [event(0, 5)], bytes: 1, schema, bases: new Map<number, bigint>() };
    expect(sealBatch({ resume: null, ordinal: 0n }, cut, options).batch).toMatchObject({
      previous: '',
      last: '0-1-5:1',
      firstOrdinal: '1',
      sequenceBases: {},
    });
  });
});

describe('the columns of a row', () => {
  it.each([', "id": 1', ', "id": null'])('fit when they are those announced:%s', (columns) => {
    expect(() => checkColumns(schema, line(columns))).not.toThrow();
  });

  it.each(['', ', "id": 1, "b": 2', ', "b": 2', ', "__proto__": 1'])(
    'do not fit when they are others:%s',
    (columns) => {
      expect(() => checkColumns(schema, line(columns))).toThrow(expect.objectContaining({ code: 'COLUMNS_MISMATCH' }));
    },
  );
});
