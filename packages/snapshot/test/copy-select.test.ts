import { expect, it } from 'vitest';
import { formatLine } from '../src/copy-select.js';

it('a row that MariaDB has put together goes on as it is', () => {
  expect(formatLine(['line'], ['1\t\\N\ta\\tb'])).toBe('1\t\\N\ta\\tb');
});

it('long texts and blobs are put beside it, escaped for COPY', () => {
  const row = ['7', 0, 'tab\t nl\n cr\r \\.', 0, Buffer.from([0, 255]), 1, null, 'end'];
  expect(formatLine(['line', 'text', 'blob', 'text', 'line'], row)).toBe(
    '7\ttab\\t nl\\n cr\\r \\\\.\t\\\\x00ff\t\\N\tend',
  );
});

it('a text that MariaDB gave up because it is too long is never taken for NULL', () => {
  expect(() => formatLine(['line'], [null])).toThrow(RangeError);
  expect(() => formatLine(['text'], [0, null])).toThrow(RangeError);
});
