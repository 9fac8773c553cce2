import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { cdcErrorAdvice } from '@afterimage/cdc-protocol';

const readme = readFileSync(join(import.meta.dirname, '..', 'README.md'), 'utf8');

describe('the README', () => {
  it('lists every error code with the advice that errors carry', () => {
    const rows = [...readme.matchAll(/^\| `([A-Z_]+)`\s*\| (.*?)\s*\|$/gm)].map(([, code, advice]) => [code, advice]);
    expect(rows).toEqual(Object.entries(cdcErrorAdvice));
  });
});
