import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BatchCutter, type BatchLimits, type CutBatch } from '../src/batch-cutter.js';
import type { Change, ChangeEvent, StreamSchema } from '../src/change-source.js';

const schema = (name: string, version = 1, gtid = '0-1-1'): StreamSchema => ({
  fingerprint: name,
  fields: [{ name, realType: 'int', avroType: 'int', unsigned: false }],
  version,
  gtid,
});
const event = (sequence: number, operation: ChangeEvent['operation'] = 'insert', raw = 'x'): ChangeEvent => ({
  domain: 0,
  serverId: 1,
  sequence,
  eventNumber: 1,
  timestamp: 1,
  operation,
  raw,
});
const as = (...events: ChangeEvent[]): Change[] => events.map((e) => ({ kind: 'event', event: e }));
const under = (s: StreamSchema): Change => ({ kind: 'schema', schema: s });

function cutAll(changes: readonly Change[], limits = { maxEvents: 1000, maxBytes: 1_000_000 }): CutBatch[] {
  const cutter = new BatchCutter(limits, new Map());
  return [...changes.flatMap((change) => cutter.push(change)), ...cutter.flush()];
}
const sequences = (batches: readonly CutBatch[]): number[][] => batches.map((b) => b.events.map((e) => e.sequence));

function expectSound({ events, bytes }: CutBatch, limits: BatchLimits): void {
  expect(bytes).toBe(events.reduce((sum, e) => sum + Buffer.byteLength(e.raw) + 1, 0));
  expect(events[0]?.operation).not.toBe('update_after');
  expect(events.at(-1)?.operation).not.toBe('update_before');
  const isOne = events.length === 1 || (events.length === 2 && events[0]?.operation === 'update_before');
  expect(isOne || (events.length <= limits.maxEvents && bytes - 1 <= limits.maxBytes)).toBe(true);
}

describe('the batch cutter', () => {
  it('ends a batch between transactions where one ends in its second half, else at the limit', () => {
    const limits = { maxEvents: 4, maxBytes: 1000 };
    const a = under(schema('a'));
    expect(sequences(cutAll([a, ...as(...[1, 1, 1, 2, 2].map((n) => event(n)))], limits))).toEqual([
      [1, 1, 1],
      [2, 2],
    ]);
    expect(sequences(cutAll([a, ...as(...[1, 1, 1, 1, 2].map((n) => event(n)))], limits))).toEqual([[1, 1, 1, 1], [2]]);
    expect(sequences(cutAll([a, ...as(...[1, 2, 2, 2, 2].map((n) => event(n)))], limits))).toEqual([[1, 2, 2, 2], [2]]);
  });

  it('begins a batch with the first event of another schema, not with the line that announces it', () => {
    const [one, two, three] = cutAll([
      under(schema('a')),
      ...as(event(1)),
      under(schema('b', 2)),
      ...as(event(2)),
      // Versions of before that are sent again, with no event under them.
      under(schema('a')),
      under(schema('b', 2)),
      ...as(event(3)),
      under(schema('b', 3)),
      ...as(event(4)),
    ]);
    expect(sequences([one, two, three].flatMap((b) => b ?? []))).toEqual([[1], [2, 3], [4]]);
    expect([one, two, three].map((b) => b?.schema.version)).toEqual([1, 2, 3]);
  });

  it('keeps the bases of sequences constant within a batch', () => {
    const batches = cutAll([
      under(schema('a')),
      ...as(event(4294967295)),
      { kind: 'base', domain: 0, base: 4294967296n },
      ...as(event(1)),
    ]);
    expect(batches.map((b) => [...b.bases])).toEqual([[], [[0, 4294967296n]]]);
  });

  it('holds the first half of an update back until the second has come', () => {
    const cutter = new BatchCutter({ maxEvents: 2, maxBytes: 1000 }, new Map());
    cutter.push(under(schema('a')));
    for (const change of as(event(1), event(2, 'update_before'))) cutter.push(change);
    expect(cutter.ready).toBe(1);
    expect(sequences(cutter.flush())).toEqual([[1]]);
    expect(cutter.flush()).toEqual([]);
    for (const change of as(event(2, 'update_after'))) cutter.push(change);
    expect(sequences(cutter.flush())).toEqual([[2, 2]]);
  });

  it('lets one event, or the two of an update, exceed the limit of bytes', () => {
    const limits = { maxEvents: 10, maxBytes: 10 };
    const long = 'y'.repeat(100);
    expect(
      sequences(
        cutAll(
          [
            under(schema('a')),
            ...as(event(1), event(2, 'insert', long), event(3, 'update_before', long), event(3, 'update_after', long)),
            ...as(event(4)),
          ],
          limits,
        ),
      ),
    ).toEqual([[1], [2], [3, 3], [4]]);
  });

  it('loses, doubles and reorders nothing, stays within its limits and splits no update, wherever it is flushed', () => {
    const unit = fc.record({
      newTransaction: fc.boolean(),
      update: fc.boolean(),
      size: fc.integer({ min: 1, max: 30 }),
      newSchema: fc.integer({ min: 0, max: 9 }),
      flush: fc.integer({ min: 0, max: 5 }),
    });
    const limit = fc.record({ maxEvents: fc.integer({ min: 1, max: 8 }), maxBytes: fc.integer({ min: 1, max: 120 }) });
    fc.assert(
      fc.property(fc.array(unit, { maxLength: 60 }), limit, (units, limits) => {
        const cutter = new BatchCutter(limits, new Map());
        const sent: ChangeEvent[] = [];
        const batches: CutBatch[] = [];
        let sequence = 1;
        let version = 1;
        cutter.push(under(schema('a')));
        for (const { newTransaction, update, size, newSchema, flush } of units) {
          if (newTransaction) sequence += 1;
          if (newSchema === 0) cutter.push(under(schema('a', (version += 1))));
          const raw = 'é'.repeat(size);
          const events = update
            ? [event(sequence, 'update_before', raw), event(sequence, 'update_after', raw)]
            : [event(sequence, 'insert', raw)];
          for (const e of events) {
            sent.push(e);
            batches.push(...cutter.push({ kind: 'event', event: e }));
            if (flush === 0) batches.push(...cutter.flush());
          }
        }
        batches.push(...cutter.flush());
        expect(batches.flatMap((b) => b.events)).toEqual(sent);
        for (const batch of batches) expectSound(batch, limits);
      }),
    );
  });
});
