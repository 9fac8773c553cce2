import { coversAll, eventLines, eventOrdinals, parseBatch, parsePosition } from '@afterimage/change-events';
import { describe, expect, it } from 'vitest';
import type { CutBatch } from '../src/batch-cutter.js';
import type { ChangeEvent } from '../src/change-source.js';
import { checkColumns, sealBatch, sealMark } from '../src/envelope.js';

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
  layout: { number: 3, partitions: 4, key: ['id'] },
  partition: 2,
  epoch: 2n,
  now: 1000,
};

describe('sealing a batch', () => {
  it('says what it follows, where it ends and how a reader goes on after it', () => {
    const start = {
      resume: { position: parsePosition('0-1-4294967300:1,7-1-3:1'), gtid: '7-1-3', fileVersion: 3 },
      ordinal: 41,
    };
    const others = (text: string) => parsePosition(text);
    const bases = new Map([[0, 4294967296n]]);
    const cut: CutBatch = {
      units: [
        { events: [event(0, 5, 100)], ordinal: 42, others: others('0-1-4294967300:1,7-1-3:1') },
        { events: [event(7, 4)], ordinal: 44, others: others('0-1-4294967301:1,7-1-3:1') },
        { events: [event(0, 6)], ordinal: 45, others: others('0-1-4294967301:1,7-1-4:1') },
        { events: [event(7, 5, 200)], ordinal: 47, others: others('0-1-4294967303:1,7-1-4:1') },
      ],
      count: 4,
      bytes: 1,
      schema,
      since: 40,
      bases,
    };
    const { batch, end } = sealBatch(start, cut, options);
    expect(parseBatch(batch)).toEqual(batch);
    expect(batch).toMatchObject({
      previous: '0-1-4294967300:1,7-1-3:1',
      last: '0-1-4294967303:1,7-1-5:1',
      lastOrdinal: '47',
      partition: 2,
      layout: 3,
      checkpoint: { gtid: '7-1-5', fileVersion: 4 },
      firstOrdinal: '42',
      ordinals: [0, 2, 3, 5],
      sequenceBases: { '0': '4294967296' },
      count: 4,
      firstTimestamp: 100,
      lastTimestamp: 200,
      enqueuedAt: 1000,
      epoch: '2',
    });
    expect(end).toEqual({
      resume: { position: parsePosition(batch.last), gtid: '7-1-5', fileVersion: 4, sourceTime: 200 },
      ordinal: 47,
    });
    expect(coversAll(parsePosition(batch.last), parsePosition(batch.previous))).toBe(true);
  });

  it('begins at nothing with ordinal 1', () => {
    const cut: CutBatch = {
      units: [{ events: [event(0, 5)], ordinal: 1, others: new Map() }],
      count: 1,
      bytes: 1,
      schema,
      since: 1,
      bases: new Map(),
    };
    const { batch } = sealBatch({ resume: null, ordinal: 0 }, cut, options);
    expect(batch.ordinals).toBeUndefined();
    expect(batch).toMatchObject({
      previous: '',
      last: '0-1-5:1',
      firstOrdinal: '1',
      sequenceBases: {},
    });
  });
});

describe('sealing a mark', () => {
  it('says that a partition has nothing up to a point', () => {
    const start = { resume: { position: parsePosition('0-1-5:1'), gtid: '0-1-5', fileVersion: 1 }, ordinal: 7 };
    const end = {
      resume: { position: parsePosition('0-1-9:2'), gtid: '0-1-9', fileVersion: 2, sourceTime: 300 },
      ordinal: 20,
    };
    const mark = sealMark(start, end, { schema, since: 3, bases: new Map() }, options);
    expect(parseBatch(mark)).toEqual(mark);
    expect(eventLines(mark)).toEqual([]);
    expect(eventOrdinals(mark)).toEqual([]);
    expect(mark).toMatchObject({
      previous: '0-1-5:1',
      last: '0-1-9:2',
      lastOrdinal: '20',
      checkpoint: { gtid: '0-1-9', fileVersion: 2 },
      count: 0,
      lastTimestamp: 300,
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
