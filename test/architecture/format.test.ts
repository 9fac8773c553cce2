import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { copyRepository, type PlantedTree } from './planted-tree.js';

describe('the format check', () => {
  let tree: PlantedTree;
  beforeAll(async () => {
    tree = await copyRepository();
  });
  afterAll(() => tree.remove());

  it('fails on double quotes and missing semicolons, and passes on the same code as it should be', async () => {
    await tree.plant('packages/service/src/planted-format.ts', 'export const name = "x"\n');
    const wrong = await tree.run('oxfmt', ['--check', 'packages/service/src/planted-format.ts']);
    expect(wrong.exitCode).not.toBe(0);
    expect(wrong.output).toContain('planted-format.ts');

    await tree.plant('packages/service/src/planted-format.ts', "export const name = 'x';\n");
    expect((await tree.run('oxfmt', ['--check', 'packages/service/src/planted-format.ts'])).exitCode).toBe(0);
  });
});
