import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';

export const cliEntry = fileURLToPath(new URL('../dist/main.js', import.meta.url));

export interface CliResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CliOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** The environment of a process of these tests: nothing of the caller's own configuration. */
export function cleanEnvironment(extra: Readonly<Record<string, string>> = {}): NodeJS.ProcessEnv {
  const own = Object.entries(process.env).filter(([name]) => !/^(?:AFTERIMAGE|npm)_/.test(name));
  return { ...Object.fromEntries(own), NO_COLOR: '1', ...extra };
}

/** Runs the built command line as a user does, to its end. */
export async function runCli(
  args: readonly string[],
  { cwd = tmpdir(), env = {} }: CliOptions = {},
): Promise<CliResult> {
  const child = spawn(process.execPath, [cliEntry, ...args], {
    cwd,
    env: cleanEnvironment(env),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const output = { stdout: '', stderr: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output.stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (output.stderr += text));
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, ...output };
}

/** A folder of the test's own with a configuration in it. */
export class ConfigFolder {
  readonly path = mkdtempSync(join(tmpdir(), 'afterimage-cli-'));

  /** Writes `afterimage.yaml`; gives its path. */
  write(config: string | object): string {
    const file = join(this.path, 'afterimage.yaml');
    writeFileSync(file, typeof config === 'string' ? config : stringify(config));
    return file;
  }

  remove(): void {
    rmSync(this.path, { recursive: true });
  }
}

/** A configuration with one source and the given tables, the queue in the same PostgreSQL. */
export function configFor(url: string, tables: object): object {
  return {
    postgres: { url },
    queue: { backend: 'postgres' },
    sources: { main: { host: '127.0.0.1', port: 1, user: 'cdc', password: 'hush', tables } },
  };
}
