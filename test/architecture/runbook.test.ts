import { readFile } from 'node:fs/promises';
import { cdcErrorAdvice } from '@afterimage/cdc-protocol';
import { describe, expect, it } from 'vitest';
import { feedErrorAdvice } from '../../apps/reader/src/feed-error.js';

const read = (path: string): Promise<string> => readFile(new URL(`../../${path}`, import.meta.url), 'utf8');

/** The members of a union of string literals, as they stand in its source. */
async function readCodes(path: string, type: string): Promise<string[]> {
  const source = (await read(path)).replace(/\/\*[^]*?\*\//g, '');
  const union = new RegExp(`export type ${type} =([^;]+);`).exec(source)?.[1] ?? '';
  return [...union.matchAll(/'([A-Z_]+)'/g)].map(([, code = '']) => code);
}

const codes = [
  ...Object.keys(cdcErrorAdvice),
  ...Object.keys(feedErrorAdvice),
  ...(await readCodes('packages/replica/src/errors.ts', 'HaltCode')),
  ...(await readCodes('packages/service/src/config.ts', 'ConfigErrorCode')),
  ...(await readCodes('packages/snapshot/src/errors.ts', 'SnapshotErrorCode')),
];

describe('the runbook', () => {
  it('is compared with all lists of codes', () => {
    expect(codes).toEqual(expect.arrayContaining(['AUTH_FAILED', 'LOST_POSITION', 'ROW_REFUSED', 'CONFIG_INVALID']));
  });

  it.each(codes)('says what to do about %s', async (code) => {
    expect(await read('docs/operations.md')).toContain(`\`${code}\``);
  });
});
