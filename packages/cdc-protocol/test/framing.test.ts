import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CdcError } from '../src/errors.js';
import { LineFramer } from '../src/framing.js';

function frame(chunks: Buffer[], maxLineBytes = 1000): { lines: string[]; error: CdcError | undefined } {
  const framer = new LineFramer(maxLineBytes);
  let text = '';
  let error: CdcError | undefined;
  try {
    for (const chunk of chunks) framer.push(chunk, (lines) => (text += lines));
  } catch (thrown) {
    if (!(thrown instanceof CdcError)) throw thrown;
    error = thrown;
  }
  return { lines: text.split('\n').slice(0, -1), error };
}

function cutAt(bytes: Buffer, cuts: number[]): Buffer[] {
  const ends = [...new Set(cuts.map((cut) => cut % (bytes.length + 1))), bytes.length].sort((a, b) => a - b);
  return ends.map((end, index) => bytes.subarray(ends[index - 1] ?? 0, end));
}

const lines = fc.array(
  fc.string({ unit: 'grapheme', maxLength: 40 }).map((line) => line.replaceAll('\n', '')),
  { maxLength: 20 },
);

describe('framing', () => {
  it('gives the same lines wherever the bytes are cut, inside a character too', () => {
    fc.assert(
      fc.property(lines, fc.array(fc.nat(), { maxLength: 30 }), (expected, cuts) => {
        const bytes = Buffer.from(expected.map((line) => `${line}\n`).join(''));
        expect(frame(cutAt(bytes, cuts))).toEqual({ lines: expected, error: undefined });
      }),
    );
  });

  it('gives the same lines byte by byte', () => {
    const expected = ['short', '', 'ünï 漢字 🚲', 'x'.repeat(500)];
    const bytes = Buffer.from(expected.map((line) => `${line}\n`).join(''));
    const single = Array.from(bytes, (byte) => Buffer.from([byte]));
    expect(frame(single).lines).toEqual(expected);
  });

  it('ends lines at the byte 0x0A only, not at U+2028, U+2029, U+0085 or a carriage return', () => {
    const line = 'a\u2028b\u2029c\u0085d\re\vf';
    expect(frame([Buffer.from(`${line}\n`)]).lines).toEqual([line]);
  });

  it('keeps a byte order mark and a NUL', () => {
    expect(frame([Buffer.from('\ufeffa\n\0b\n')]).lines).toEqual(['\ufeffa', '\0b']);
  });

  it('keeps a line that has not ended to itself', () => {
    const framer = new LineFramer(100);
    const seen: string[] = [];
    framer.push(Buffer.from('one\ntw'), (text) => seen.push(text));
    expect(seen).toEqual(['one\n']);
    expect(framer.pendingBytes).toBe(2);
  });

  it('refuses invalid UTF-8 as a protocol violation, after the lines before it', () => {
    const { lines: got, error } = frame([Buffer.from('good\n'), Buffer.from([0x61, 0xff, 0x0a, 0x62, 0x0a])]);
    expect(got).toEqual(['good']);
    expect(error?.code).toBe('PROTOCOL_VIOLATION');
    expect(frame([Buffer.from([0x61, 0x0a, 0xc3, 0x0a])]).lines).toEqual(['a']);
  });

  it('accepts a line of exactly the limit and refuses one byte more, wherever it is cut', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 200 }), fc.array(fc.nat(), { maxLength: 6 }), (limit, cuts) => {
        const fits = Buffer.from(`a\n${'é'.repeat(limit).slice(0, limit / 2)}${limit % 2 === 1 ? 'x' : ''}\nb\n`);
        expect(frame(cutAt(fits, cuts), limit).error).toBeUndefined();
        const long = Buffer.from(`a\n${'x'.repeat(limit + 1)}\nb\n`);
        const result = frame(cutAt(long, cuts), limit);
        expect(result.lines).toEqual(['a']);
        expect(result.error?.code).toBe('LINE_TOO_LONG');
      }),
    );
  });

  it('refuses a line above the limit before its end has come', () => {
    expect(frame([Buffer.from('x'.repeat(11))], 10).error?.code).toBe('LINE_TOO_LONG');
  });

  it('takes a line of 32 MiB in 64 KiB pieces', () => {
    const piece = Buffer.alloc(64 * 1024, 'x');
    const framer = new LineFramer(64 * 1024 * 1024);
    let length = 0;
    for (let i = 0; i < 512; i++) framer.push(piece, () => undefined);
    framer.push(Buffer.from('\n'), (text) => (length = text.length));
    expect(length).toBe(32 * 1024 * 1024 + 1);
  });
});
