import { execFile } from 'node:child_process';
import { cp, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, onTestFinished, test } from 'vitest';

const folder = fileURLToPath(new URL('..', import.meta.url));
const run = promisify(execFile);

async function readCommandPath(): Promise<string> {
  const { bin } = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8')) as { bin: { afterimage: string } };
  return bin.afterimage;
}

test('npx finds the command in a checkout that was installed before it was built', async () => {
  const path = await readCommandPath();
  expect(path).not.toMatch(/dist/);
  const { stdout } = await run(process.execPath, [join(folder, path), '--version']);
  expect(stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
});

test('before the build the command says what to do', async () => {
  const path = await readCommandPath();
  const elsewhere = await mkdtemp(join(tmpdir(), 'afterimage-unbuilt-'));
  onTestFinished(() => rm(elsewhere, { recursive: true }));
  await cp(join(folder, path), join(elsewhere, 'bin', 'afterimage.mjs'));

  const failure = run(process.execPath, [join(elsewhere, 'bin', 'afterimage.mjs'), 'status']);

  await expect(failure).rejects.toMatchObject({
    code: 1,
    stderr: 'afterimage: not built yet: run `npm run build` in the checkout\n',
  });
});
