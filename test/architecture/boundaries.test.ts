import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { copyRepository, type PlantedTree } from './planted-tree.js';

const violations = [
  { from: 'apps/reader', to: '@afterimage/writer', title: 'an app cannot depend on another app' },
  { from: 'apps/cli', to: '@afterimage/reader', title: 'the command line starts the apps and does not import them' },
  { from: 'packages/service', to: '@afterimage/reader', title: 'a package cannot depend on an app' },
  { from: 'apps/writer', to: '@afterimage/cdc-protocol', title: 'the writer does not know the wire protocol' },
  { from: 'packages/cdc-protocol', to: '@afterimage/service', title: 'cdc-protocol depends on no other package' },
  { from: 'packages/change-events', to: '@afterimage/service', title: 'change-events depends on no other package' },
];

describe('the boundaries between packages', () => {
  let tree: PlantedTree;
  beforeEach(async () => {
    tree = await copyRepository();
  });
  afterEach(() => tree.remove());

  const checkBoundaries = () => tree.run('turbo', ['boundaries']);

  async function declareDependency(from: string, to: string): Promise<void> {
    const path = `${from}/package.json`;
    const manifest = JSON.parse(await readFile(join(tree.root, path), 'utf8')) as { dependencies?: object };
    manifest.dependencies = { ...manifest.dependencies, [to]: '0.1.0' };
    await tree.plant(path, JSON.stringify(manifest));
  }

  it('are kept by the code as it is', async () => {
    expect((await checkBoundaries()).output).toContain('no issues found');
  });

  it.each(violations)('fail when broken: $title', async ({ from, to }) => {
    await declareDependency(from, to);
    await tree.plant(`${from}/src/planted-import.ts`, `import '${to}';\nexport {};\n`);

    const run = await checkBoundaries();

    expect(run.exitCode).not.toBe(0);
    expect(run.output).toMatch(new RegExp(`Package \`${to}\` found with(out any)? tag`));
  });

  it('fail when a package imports what it does not declare', async () => {
    await tree.plant('packages/queue/src/planted-import.ts', "import '@afterimage/replica';\nexport {};\n");

    const run = await checkBoundaries();

    expect(run.exitCode).not.toBe(0);
    expect(run.output).toContain('planted-import.ts');
  });

  it('fail when a package reaches into the folder of another', async () => {
    await tree.plant(
      'packages/queue/src/planted-import.ts',
      "import '../../../apps/reader/src/index.js';\nexport {};\n",
    );

    const run = await checkBoundaries();

    expect(run.exitCode).not.toBe(0);
    expect(run.output).toContain('planted-import.ts');
  });
});
