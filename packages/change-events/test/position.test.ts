import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  advance,
  covers,
  coversAll,
  type EventId,
  formatGtid,
  formatPosition,
  parsePosition,
  type Position,
  startPosition,
} from '@afterimage/change-events';

const uint32 = fc.bigInt({ min: 0n, max: 2n ** 32n - 1n });
const uint64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });

/** Few domains and small numbers, so that events meet; now and then the extremes. */
const eventId: fc.Arbitrary<EventId> = fc.record({
  domain: fc.oneof(fc.bigInt({ min: 0n, max: 2n }), uint32),
  serverId: uint32,
  sequence: fc.oneof(fc.bigInt({ min: 0n, max: 9n }), uint64),
  eventNumber: fc.oneof(fc.bigInt({ min: 1n, max: 3n }), uint32),
});
const position: fc.Arbitrary<Position> = fc
  .array(eventId, { maxLength: 6 })
  .map((events) => new Map(events.map((event) => [event.domain, event])));

const reach = (events: readonly EventId[]): Position => events.reduce<Position>(advance, startPosition);

describe('the text of a position', () => {
  it('gives the position back', () => {
    fc.assert(
      fc.property(position, (p) => {
        expect(parsePosition(formatPosition(p))).toEqual(new Map([...p].sort(([a], [b]) => (a < b ? -1 : 1))));
      }),
    );
  });

  it('is canonical: the order in which domains were met does not show', () => {
    fc.assert(
      fc.property(position, (p) => {
        expect(formatPosition(new Map([...p].reverse()))).toBe(formatPosition(p));
      }),
    );
  });

  it('is empty before the first event', () => {
    expect(formatPosition(startPosition)).toBe('');
    expect(parsePosition('')).toEqual(startPosition);
  });

  it('names domain, server, sequence and event, domains ascending by number', () => {
    const text = '2-1-14:2,10-4294967295-18446744073709551615:4294967295';
    expect(formatPosition(parsePosition(text))).toBe(text);
    expect(formatPosition(parsePosition('10-1-1:1,2-1-1:1'))).toBe('2-1-1:1,10-1-1:1');
  });

  it.each([
    '0-1-14',
    '0-1:2',
    'a-1-1:1',
    '0-1-1:1,',
    ',0-1-1:1',
    '0-1-1:1,0-1-2:1',
    '0-1--1:1',
    ' 0-1-1:1',
    '0-1-1:1\n',
  ])('is refused when it is %j', (text) => {
    expect(() => parsePosition(text)).toThrow(TypeError);
  });
});

describe('the order of positions', () => {
  it('covers exactly what was read: of each domain everything up to its newest event', () => {
    fc.assert(
      fc.property(fc.array(eventId, { maxLength: 8 }), eventId, (events, event) => {
        const newer = events.some(
          (e) =>
            e.domain === event.domain &&
            (e.sequence > event.sequence || (e.sequence === event.sequence && e.eventNumber >= event.eventNumber)),
        );
        expect(covers(reach(events), event)).toBe(newer);
      }),
    );
  });

  it('never goes back: reading an event covers it and keeps everything covered before', () => {
    fc.assert(
      fc.property(position, eventId, eventId, (p, event, before) => {
        const after = advance(p, event);
        expect(covers(after, event)).toBe(true);
        expect(coversAll(after, p)).toBe(true);
        expect(covers(after, before) || !covers(p, before)).toBe(true);
      }),
    );
  });

  it('does not move for an event that comes again', () => {
    fc.assert(
      fc.property(position, eventId, (p, event) => {
        const once = advance(p, event);
        expect(advance(once, event)).toBe(once);
      }),
    );
  });

  it('is a partial order in which the start is least', () => {
    fc.assert(
      fc.property(position, position, position, (a, b, c) => {
        expect(coversAll(a, a)).toBe(true);
        expect(coversAll(a, startPosition)).toBe(true);
        expect(coversAll(a, c) || !coversAll(a, b) || !coversAll(b, c)).toBe(true);
      }),
    );
  });

  it('does not depend on how events of different domains interleave', () => {
    fc.assert(
      fc.property(fc.array(eventId, { maxLength: 8 }), fc.array(eventId, { maxLength: 8 }), (left, right) => {
        const mine = left.map((event) => ({ ...event, domain: 0n }));
        const others = right.map((event) => ({ ...event, domain: 1n }));
        expect(formatPosition(reach([...mine, ...others]))).toBe(formatPosition(reach([...others, ...mine])));
      }),
    );
  });

  it('is exact beyond 2^53', () => {
    const at = parsePosition('0-1-9007199254740993:1');
    const [event] = [...at.values()];
    if (event === undefined) throw new Error('empty');
    expect(formatGtid(event)).toBe('0-1-9007199254740993');
    expect(covers(at, { ...event, sequence: 9007199254740992n })).toBe(true);
    expect(covers(at, { ...event, sequence: 9007199254740994n })).toBe(false);
  });
});
