import {
  advance,
  covers,
  type EventId,
  type Position,
  positionAfterGtids,
  startPosition,
} from '@afterimage/change-events';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { basesOf, PositionTracker } from '../src/position-tracker.js';

/** As MaxScale prints it: sequences modulo 2^32. */
const print = ({ domain, serverId, sequence, eventNumber }: EventId) => ({
  domain: Number(domain),
  serverId: Number(serverId),
  sequence: Number(BigInt.asUintN(32, sequence)),
  eventNumber: Number(eventNumber),
});
const id = (domain: number, sequence: bigint, eventNumber = 1, serverId = 1): EventId => ({
  domain: BigInt(domain),
  serverId: BigInt(serverId),
  sequence,
  eventNumber: BigInt(eventNumber),
});
const resume = (events: readonly EventId[]) => {
  const position = events.reduce<Position>(advance, startPosition);
  const last = events.at(-1);
  const gtid = last === undefined ? '' : `${last.domain}-${last.serverId}-${last.sequence}`;
  return { position, gtid, fileVersion: 1 };
};

describe('the position tracker', () => {
  it('passes over all that a snapshot covers, however old, until the first event after it', () => {
    const at = 5n * 2n ** 32n + 7n;
    const position = positionAfterGtids(`0-1-${at},3-1-50`);
    const tracker = new PositionTracker({ position, gtid: null, fileVersion: 1 });
    const verdict = (domain: number, sequence: bigint, eventNumber = 1) =>
      tracker.judge(print(id(domain, sequence, eventNumber)), false);
    expect(verdict(0, at - 2n * 2n ** 30n)).toBe('covered');
    expect([verdict(0, at, 1), verdict(0, at, 400_001), verdict(3, 50n, 9)]).toEqual(['covered', 'covered', 'covered']);
    expect([verdict(0, at + 1n), verdict(3, 51n), verdict(8, 1n)]).toEqual(['new', 'new', 'new']);
    tracker.advance(print(id(0, at + 1n)));
    expect(verdict(0, at)).toBe('covered');
  });

  it('tells new events from repeated ones as 64-bit sequences would, over any number of wraps and jumps', () => {
    const step = fc.record({
      domain: fc.nat({ max: 1 }),
      ahead: fc.bigInt({ min: 0n, max: 3n * 2n ** 30n - 1n }),
      behind: fc.bigInt({ min: 0n, max: 2n ** 30n }),
      eventNumber: fc.integer({ min: 1, max: 3 }),
      again: fc.boolean(),
    });
    const start = fc.bigInt({ min: 2n ** 30n, max: 2n ** 33n });
    fc.assert(
      fc.property(start, fc.array(step, { maxLength: 40 }), (from, steps) => {
        let position: Position = advance(advance(startPosition, id(0, from)), id(1, from));
        const tracker = new PositionTracker({ position, gtid: `1-1-${from}`, fileVersion: 1 });
        const bases = basesOf(position);
        for (const { domain, ahead, behind, eventNumber, again } of steps) {
          const last = position.get(BigInt(domain))?.sequence ?? 0n;
          const event = id(domain, again ? last - behind : last + ahead, eventNumber);
          const verdict = tracker.judge(print(event), false);
          expect(verdict === 'new').toBe(!covers(position, event));
          if (verdict !== 'new') continue;
          const base = tracker.advance(print(event));
          if (base !== undefined) bases.set(domain, base);
          position = advance(position, event);
          expect((bases.get(domain) ?? 0n) + BigInt(print(event).sequence)).toBe(event.sequence);
        }
      }),
    );
  });

  it('takes what a file holds from long ago for covered while it looks for its place', () => {
    const distance = fc.bigInt({ min: 1n, max: 3n * 2n ** 30n });
    fc.assert(
      fc.property(fc.bigInt({ min: 2n ** 32n, max: 2n ** 34n }), distance, (at, behind) => {
        const tracker = new PositionTracker(resume([id(0, at)]));
        expect(tracker.judge(print(id(0, at - behind)), true)).toBe('covered');
        expect(tracker.judge(print(id(0, at)), true)).toBe('anchor');
      }),
    );
  });

  it('knows the very event that a stream goes on after', () => {
    const tracker = new PositionTracker(resume([id(0, 10n, 2), id(7, 3n), id(0, 11n, 4)]));
    expect(tracker.judge(print(id(0, 11n, 3)), true)).toBe('covered');
    expect(tracker.judge(print(id(0, 11n, 4)), true)).toBe('anchor');
    expect(tracker.judge(print(id(0, 11n, 4, 9)), true)).toBe('covered');
    expect(tracker.judge(print(id(7, 3n)), true)).toBe('covered');
    expect(tracker.judge(print(id(0, 11n, 5)), true)).toBe('new');
    expect(tracker.judge(print(id(1, 1n)), true)).toBe('new');
  });

  it('says from where on a sequence has wrapped, once', () => {
    const tracker = new PositionTracker(resume([id(0, 2n ** 32n - 1n)]));
    expect(tracker.advance(print(id(0, 2n ** 32n + 5n)))).toBe(2n ** 32n);
    expect(tracker.advance(print(id(0, 2n ** 32n + 6n)))).toBe(undefined);
    expect(basesOf(resume([id(0, 2n ** 33n + 1n), id(1, 7n)]).position)).toEqual(
      new Map([
        [0, 2n ** 33n],
        [1, 0n],
      ]),
    );
  });
});
