import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Batch, eventLines, type Field, fingerprintOf, parseBatch, queueName } from '@afterimage/change-events';

const batch: Batch = {
  v: 2,
  stream: { id: '5c8d4b58-0d3b-4f1e-9d0a-6d3d5f5b0c11', source: 'main', database: 'shop', table: 'orders' },
  partition: 0,
  layout: 1,
  epoch: '3',
  previous: '0-1-13:4',
  last: '0-1-14:2,7-1-3:1',
  checkpoint: { gtid: '7-1-3', fileVersion: 2 },
  lastOrdinal: '18446744073709551617',
  firstOrdinal: '18446744073709551615',
  sequenceBases: { '0': '4294967296' },
  schema: {
    fingerprint: 'abc',
    fields: [{ name: 'id', realType: 'int', avroType: 'int', unsigned: false }],
    version: 2,
    gtid: '0-1-12',
    since: '7',
  },
  count: 2,
  firstTimestamp: 1795347409,
  lastTimestamp: 1795347410,
  enqueuedAt: 1795347411000,
  events: '{"a": 1}\n{"a": 2}',
};

describe('the batch envelope', () => {
  it('comes out of JSON as it went in, whatever text the lines hold', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: 'binary', minLength: 1 }), { minLength: 1, maxLength: 5 }), (texts) => {
        const lines = texts.map((text) => text.replaceAll('\n', '\u2028'));
        const sent = { ...batch, events: lines.join('\n'), count: lines.length };
        const received = parseBatch(JSON.parse(JSON.stringify(sent)));
        expect(received).toEqual(sent);
        expect(eventLines(received)).toEqual(lines);
      }),
    );
  });

  it.each([
    ['a version it does not know', { v: 1 }],
    ['no version', { v: undefined }],
    ['a position that is none', { previous: '0-1' }],
    ['a domain twice in a position', { last: '0-1-1:1,0-1-2:1' }],
    ['an ordinal that went through a JS number', { firstOrdinal: 12 }],
    ['a negative ordinal', { firstOrdinal: '-1' }],
    ['fewer than no events', { count: -1 }],
    ['no file version', { checkpoint: { gtid: '0-1-1', fileVersion: 0 } }],
    ['no column', { schema: { ...batch.schema, fields: [] } }],
    ['a stream id that is not a UUID', { stream: { ...batch.stream, id: 'orders' } }],
    ['a setting nobody knows', { extra: true }],
  ])('is refused with %s', (_, change) => {
    expect(() => parseBatch({ ...batch, ...change })).toThrow(expect.objectContaining({ name: 'ZodError' }));
  });

  it('is refused when its count and its lines differ', () => {
    expect(() => eventLines({ events: 'a\nb', count: 3 })).toThrow(RangeError);
  });
});

describe('a fingerprint', () => {
  const field: fc.Arbitrary<Field> = fc.record({
    name: fc.string({ minLength: 1 }),
    realType: fc.constantFrom('int', 'INT', 'varchar', ''),
    avroType: fc.constantFrom('int', 'string'),
    unsigned: fc.boolean(),
  });
  const fold = (fields: readonly Field[]): string =>
    JSON.stringify(fields.map((f) => [f.name, f.realType.toLowerCase(), f.avroType, f.unsigned]));

  it('is equal exactly for equal columns in equal order; only the case of the type word does not count', () => {
    fc.assert(
      fc.property(fc.array(field, { maxLength: 3 }), fc.array(field, { maxLength: 3 }), (a, b) => {
        expect(fingerprintOf(a) === fingerprintOf(b)).toBe(fold(a) === fold(b));
        expect(fingerprintOf(a.map((f) => ({ ...f, realType: f.realType.toUpperCase() })))).toBe(fingerprintOf(a));
      }),
    );
  });

  it('does not confuse a name that looks like two', () => {
    const of = (...names: string[]): string =>
      fingerprintOf(names.map((name) => ({ name, realType: 'int', avroType: 'int', unsigned: false })));
    expect(of('a","int","int",false],["b')).not.toBe(of('a', 'b'));
  });
});

it('the queue of a partition has a name that BullMQ takes', () => {
  expect(queueName(batch.stream.id, 3)).toBe(`stream-${batch.stream.id}-3`);
  expect(queueName(batch.stream.id, 3)).not.toContain(':');
});
