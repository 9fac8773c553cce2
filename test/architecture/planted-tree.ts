import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const repository = fileURLToPath(new URL('../..', import.meta.url));
const workspaceFolders = ['apps', 'packages'];
const rootFiles = [
  '.oxlintrc.json',
  '.oxfmtrc.json',
  'knip.json',
  'package.json',
  'package-lock.json',
  'tsconfig.base.json',
  'tsconfig.json',
  'tsconfig.test.json',
  'turbo.json',
  'vitest.config.ts',
  'drizzle.config.ts',
];

/** A copy of the repository in a temporary folder, to plant violations in. */
export interface PlantedTree {
  readonly root: string;
  /** Writes a file of the copy; `path` is relative to its root. */
  plant(path: string, content: string): Promise<void>;
  /** Runs a tool from node_modules/.bin in the copy; resolves whatever its exit code is. */
  run(tool: string, args: readonly string[]): Promise<ToolRun>;
  remove(): Promise<void>;
}

export interface ToolRun {
  readonly exitCode: number;
  readonly output: string;
}

export async function copyRepository(): Promise<PlantedTree> {
  const root = await mkdtemp(join(tmpdir(), 'afterimage-architecture-'));
  await Promise.all(rootFiles.map((file) => cp(join(repository, file), join(root, file))));
  await Promise.all(workspaceFolders.map((folder) => copyWorkspaces(folder, root)));
  await symlink(join(repository, 'node_modules'), join(root, 'node_modules'));
  return {
    root,
    plant: async (path, content) => {
      await mkdir(dirname(join(root, path)), { recursive: true });
      await writeFile(join(root, path), content);
    },
    run: (tool, args) => runTool(root, tool, args),
    remove: () => rm(root, { recursive: true, force: true }),
  };
}

async function copyWorkspaces(folder: string, root: string): Promise<void> {
  for (const name of await readdir(join(repository, folder))) {
    await cp(join(repository, folder, name), join(root, folder, name), {
      recursive: true,
      filter: (source) => !/[/\\](dist|node_modules|\.turbo|fixtures)$/.test(source),
    });
  }
}

function runTool(root: string, tool: string, args: readonly string[]): Promise<ToolRun> {
  const environment = {
    ...process.env,
    TURBO_TELEMETRY_DISABLED: '1',
    DO_NOT_TRACK: '1',
    NO_COLOR: '1',
    FORCE_COLOR: '0',
  };
  return new Promise((resolve, reject) => {
    execFile(
      join(root, 'node_modules', '.bin', tool),
      [...args],
      { cwd: root, env: environment, maxBuffer: 64 * 1024 * 1024 },
      (error, stdout, stderr) => {
        if (error !== null && typeof error.code !== 'number') reject(new Error(`cannot run ${tool}`, { cause: error }));
        else resolve({ exitCode: error === null ? 0 : Number(error.code), output: `${stdout}${stderr}` });
      },
    );
  });
}
