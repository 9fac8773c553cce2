import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { copyRepository, type PlantedTree } from './planted-tree.js';

interface KnipIssue {
  readonly file: string;
  readonly files?: readonly { name: string }[];
  readonly exports: readonly { name: string }[];
  readonly dependencies: readonly { name: string }[];
}

describe('the check for unused code', () => {
  let tree: PlantedTree;
  let exitCode: number;
  let issues: readonly KnipIssue[];

  beforeAll(async () => {
    tree = await copyRepository();
    await tree.plant('packages/change-events/src/forgotten-file.ts', 'export const forgotten = 1;\n');
    await tree.plant('packages/queue/src/planted.ts', 'export const wanted = 1;\nexport const unwanted = 2;\n');
    const index = await readFile(join(tree.root, 'packages/queue/src/index.ts'), 'utf8');
    await tree.plant('packages/queue/src/index.ts', `${index}\nexport { wanted } from './planted.js';\n`);
    const manifest = JSON.parse(await readFile(join(tree.root, 'packages/change-events/package.json'), 'utf8')) as {
      dependencies: Record<string, string>;
    };
    manifest.dependencies['pino'] = '10.4.0';
    await tree.plant('packages/change-events/package.json', JSON.stringify(manifest));
    const run = await tree.run('knip', ['--reporter', 'json', '--no-config-hints']);
    exitCode = run.exitCode;
    issues = (JSON.parse(run.output.slice(run.output.indexOf('{'))) as { issues: KnipIssue[] }).issues;
  });
  afterAll(() => tree.remove());

  const issuesOf = (file: string) => issues.filter((issue) => issue.file === file);

  it('fails', () => {
    expect(exitCode).not.toBe(0);
  });

  it('names a file that nothing imports', () => {
    expect(issuesOf('packages/change-events/src/forgotten-file.ts')).not.toEqual([]);
  });

  it('names an export that nothing imports, and not its neighbour that is used', () => {
    const names = issuesOf('packages/queue/src/planted.ts').flatMap((issue) =>
      issue.exports.map((found) => found.name),
    );
    expect(names).toEqual(['unwanted']);
  });

  it('names a dependency that nothing imports', () => {
    const names = issuesOf('packages/change-events/package.json').flatMap((issue) =>
      issue.dependencies.map((found) => found.name),
    );
    expect(names).toContain('pino');
  });
});
