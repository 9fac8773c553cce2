import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { endWithThisProcess } from '@afterimage/local-servers';

export interface CommandRuns {
  readonly configPath: string;
  readonly signal?: AbortSignal;
}

/** Runs a command as a user would, and shows it and what it prints. Resolves with its exit code. */
export async function runCommand({ configPath, signal }: CommandRuns, args: readonly string[]): Promise<number> {
  console.log(` $ afterimage ${args.join(' ')}`);
  const child = spawn(process.execPath, [process.argv[1] ?? '', ...args], {
    env: { ...process.env, AFTERIMAGE_CONFIG: configPath },
    // In a session of its own, as everything that the demo starts: it ends when the demo says so.
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  endWithThisProcess(child);
  for (const output of [child.stdout, child.stderr])
    createInterface(output).on('line', (line) => console.log(line === '' ? '' : `   ${line}`));
  const stop = (): void => void child.kill('SIGTERM');
  signal?.addEventListener('abort', stop, { once: true });
  const [code] = (await once(child, 'close')) as [number | null];
  signal?.removeEventListener('abort', stop);
  return code ?? 1;
}
