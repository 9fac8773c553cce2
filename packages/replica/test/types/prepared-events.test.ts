import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { prepareEvents } from '../../src/types/index.js';
import { printLine, printString } from './maxscale-printer.js';

/** Text that comes as near to the form of an empty value as text can. */
const piece = fc.constantFrom(
  '"',
  ': ',
  ':',
  '\\',
  'u0000',
  '\\u0000',
  '\0',
  '": "',
  '"}',
  '",',
  'x',
  ' ',
  '\uE000',
  '\uE001',
  'é',
  '😀',
);
const text = fc.array(piece, { maxLength: 12 }).map((pieces) => pieces.join(''));

describe('prepareEvents', () => {
  it('makes a batch without NULs one JSON array of its lines as they are', () => {
    const lines = [printLine('"a\\\\b"'), printLine('1.5')];
    expect(prepareEvents(lines)).toEqual({ json: `[${lines.join(',\n')}]`, nul: null });
    expect(prepareEvents([])).toEqual({ json: '[]', nul: null });
  });

  it('makes a value of a single NUL empty, and every other NUL a character that is not in the batch', () => {
    fc.assert(
      fc.property(fc.array(text, { minLength: 1, maxLength: 5 }), (texts) => {
        const { json, nul } = prepareEvents(texts.map((value) => printLine(printString(value))));
        const got = (JSON.parse(json) as { v: string }[]).map(({ v }) => v);
        expect(got).toEqual(texts.map((value) => (value === '\0' ? '' : value.replaceAll('\0', nul ?? 'no stand-in'))));
        expect(nul !== null && texts.some((value) => value.includes(nul))).toBe(false);
        expect(nul === null).toBe(!texts.some((value) => value !== '\0' && value.includes('\0')));
      }),
      { numRuns: 2000 },
    );
  });

  it('finds empty values in column lists printed with or without a space after the colon', () => {
    const { json, nul } = prepareEvents(['{"a":"\\u0000","b": "\\u0000", "c": "x\\u0000"}']);
    expect(JSON.parse(json)).toEqual([{ a: '', b: '', c: `x${nul}` }]);
  });

  it('keeps a backslash followed by u0000 apart from a NUL', () => {
    const line = printLine('"\\\\u0000"');
    expect(prepareEvents([line])).toEqual({ json: `[${line}]`, nul: null });
  });

  it('takes a stand-in of another plane when a batch uses the whole private-use area', () => {
    const used = Array.from({ length: 0x1900 }, (_, i) => String.fromCharCode(0xe000 + i)).join('');
    const { json, nul } = prepareEvents([printLine(printString(`${used}\0`))]);
    expect(nul).toBe('\u{F0000}');
    expect((JSON.parse(json) as { v: string }[])[0]?.v).toBe(`${used}\u{F0000}`);
  });

  it('takes no stand-in that the batch holds as an escape', () => {
    expect(prepareEvents([printLine('"\\uE000 \\u0000"')]).nul).toBe('\uE001');
  });
});
