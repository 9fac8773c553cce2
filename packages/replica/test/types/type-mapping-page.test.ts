import { readFileSync, writeFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { renderTypeMapping } from '../../src/types/index.js';
import { readRecordings } from './recordings.js';

const PAGE = new URL('../../../../docs/type-mapping.md', import.meta.url);

it('docs/type-mapping.md says what the mapping does; UPDATE_DOCS=1 rewrites it', () => {
  if (process.env['UPDATE_DOCS'] === '1') {
    writeFileSync(PAGE, renderTypeMapping());
  }
  expect(readFileSync(PAGE, 'utf8')).toBe(renderTypeMapping());
});

it('the page has a line for every type word that MaxScale was seen to send', () => {
  const first = renderTypeMapping()
    .split('\n')
    .filter((line) => line.startsWith('| '))
    .map((line) => line.split(' | ')[0]?.toUpperCase() ?? '')
    .join('\n');
  const words = readRecordings('2-types').map(({ field }) => field.realType.toUpperCase().replace(/_$/, ''));
  expect([...new Set(words)].filter((word) => !new RegExp(`\\b${word}\\b`).test(first))).toEqual([]);
});
