import { randomBytes } from 'node:crypto';
import { deflateRawSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeJob, encodeJob } from '../src/job-codec.js';
import { makeBatch } from './sample-batch.js';

const rows = (count: number): string =>
  Array.from(
    { length: count },
    (_, n) => `{"event_type": "insert", "id": ${n}, "status": "new", "note": "héllo ${n}"}`,
  ).join('\n');

/** Through the JSON that either store keeps. */
const through = (payload: unknown): unknown => JSON.parse(JSON.stringify(payload));

describe('the job of a batch', () => {
  it('holds the events packed when they are many, a good deal smaller, beside an envelope that people can read', () => {
    const batch = makeBatch(7, rows(2_000));
    const payload = encodeJob(batch);
    expect(payload).toMatchObject({ firstOrdinal: '7', stream: batch.stream, packed: { form: 'deflate' } });
    expect(payload).not.toHaveProperty('events');
    expect(JSON.stringify(payload).length).toBeLessThan(JSON.stringify(batch).length / 3);
    expect(decodeJob(through(payload))).toEqual(batch);
  });

  it.each([
    ['few', rows(3)],
    ['random', Array.from({ length: 20 }, () => `{"blob": "${randomBytes(6_000).toString('base64')}"}`).join('\n')],
    ['a single one of many megabytes', `{"text": "${'many words '.repeat(500_000)}"}`],
  ])('holds the events as they are when they are %s', (_, events) => {
    const batch = makeBatch(1, events);
    expect(encodeJob(batch)).toBe(batch);
  });

  it('gives back every text as it was, also what neither jsonb nor UTF-8 can hold', () => {
    const character = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 3 }),
      fc.constantFrom('\0', '\uD834', '\uDD1E', '\uFEFF', '\u2028', '"', '\\', '\\u0000', '日本語'),
    );
    const text = fc.tuple(fc.array(character, { minLength: 1 }), fc.nat(500), fc.boolean());
    fc.assert(
      fc.property(text, ([parts, times, inName]) => {
        const events = `${parts.join('')}x`.repeat(times + 1);
        const batch = makeBatch(1, events);
        const named = inName ? { ...batch, stream: { ...batch.stream, table: `t${parts.join('')}` } } : batch;
        const stored = JSON.stringify(encodeJob(named));
        // What jsonb refuses.
        expect(stored).not.toMatch(/(?<!\\)(\\\\)*\\u(0000|d[89a-f])/i);
        expect(decodeJob(JSON.parse(stored))).toEqual(named);
      }),
    );
  });

  it('may still hold the events as earlier versions stored them', () => {
    const batch = makeBatch(1, rows(2_000));
    expect(decodeJob(through(batch))).toEqual(batch);
    expect(decodeJob({ json: JSON.stringify(batch) })).toEqual(batch);
  });

  const packedAs = (packed: object): unknown => {
    const { events: _events, ...envelope } = makeBatch(1);
    return { ...envelope, packed };
  };
  const pack = (text: string): string => deflateRawSync(text).toString('base64');

  it.each([
    ['more than it announces', { form: 'deflate', bytes: 10, base64: pack('x'.repeat(11)) }, 'cannot be unpacked'],
    ['less than it announces', { form: 'deflate', bytes: 12, base64: pack('x'.repeat(11)) }, '11 bytes that says 12'],
    ['more than any batch', { form: 'deflate', bytes: 2 ** 30, base64: pack('x') }, '1073741824 bytes, which must be'],
    ['a wrong size', { form: 'deflate', bytes: -1, base64: pack('x') }, '-1 bytes, which must be'],
    ['what is not deflated', { form: 'deflate', bytes: 3, base64: 'AAAA////' }, 'cannot be unpacked'],
    ['a form of the future', { form: 'zstd', bytes: 3, base64: 'AAAA' }, 'packed'],
  ])('is refused when it holds %s', (_, packed, message) => {
    expect(() => decodeJob(packedAs(packed))).toThrow(message);
  });

  it('unpacks to what it announces at most, whatever it holds', () => {
    const bomb = deflateRawSync(Buffer.alloc(200_000_000)).toString('base64');
    const before = process.memoryUsage.rss();
    expect(() => decodeJob(packedAs({ form: 'deflate', bytes: 4_000_000, base64: bomb }))).toThrow(
      'cannot be unpacked',
    );
    expect(process.memoryUsage.rss() - before).toBeLessThan(100_000_000);
  });
});
