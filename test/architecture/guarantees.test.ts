import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';

const root = new URL('../../', import.meta.url);
const page = readFileSync(new URL('docs/guarantees.md', root), 'utf8');
const rows = page.split('\n').filter((line) => line.startsWith('| **'));

/** `file: "name", "name"; file: …` → each file with its names. */
function citations(row: string): { file: string; names: string[] }[] {
  const [, cell = ''] = /\| ([^|]*) \|$/.exec(row) ?? [];
  return cell.split(/;\s+(?=\S+\/)/).map((citation) => {
    const [file = ''] = citation.split(/[:\s]/, 1);
    return { file, names: [...citation.matchAll(/"([^"]+)"/g)].map(([, name = '']) => name) };
  });
}

it('every guarantee names tests that there are', () => {
  expect(rows.length).toBeGreaterThan(10);
  for (const { file, names } of rows.flatMap(citations)) {
    const source = readFileSync(new URL(file, root), 'utf8');
    for (const name of names) expect(source, `${file} has the test "${name}"`).toContain(`'${name}'`);
  }
});
