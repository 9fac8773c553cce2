import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { endWithThisProcess } from '@afterimage/local-servers';
import { heapArguments, resolveConfigPath } from '@afterimage/service';
import { CommandError } from './failures.js';

export type AppName = 'reader' | 'writer' | 'watcher';

/** The built entry of an app. Apps run as processes of their own; none of their code is imported. */
export function locateApp(name: AppName): string {
  const folder = dirname(createRequire(import.meta.url).resolve(`@afterimage/${name}/package.json`));
  const entry = join(folder, 'dist', 'main.js');
  if (!existsSync(entry)) throw new CommandError(`the ${name} is not built: run \`npm run build\``);
  return entry;
}

/**
 * Starts apps in the foreground and waits for them; the second of a kind serves its metrics on the port after the
 * first one's, and so on. Signals are passed on (the apps run in a session of their own,
 * so that a Ctrl-C reaches them once); when one ends by itself the others are told to stop. Resolves with the
 * highest exit code.
 */
export async function runApps(
  name: AppName,
  count: number,
  options: { config?: string; pretty?: boolean; partitions?: string },
): Promise<number> {
  const args = [
    ...heapArguments(),
    locateApp(name),
    '--config',
    resolve(resolveConfigPath(options.config)),
    ...(options.pretty === true ? ['--pretty'] : []),
    ...(options.partitions === undefined ? [] : ['--partitions', options.partitions]),
  ];
  const children = Array.from({ length: count }, (_, index) =>
    startForeground(index === 0 ? args : [...args, '--port-offset', String(index)]),
  );
  const stopAll = (signal: NodeJS.Signals) => {
    for (const child of children) child.kill(signal);
  };
  // An app takes a second signal for impatience and ends at once, so one that is stopping already gets none from here.
  let stopping = false;
  const relay = (signal: NodeJS.Signals) => {
    stopping = true;
    stopAll(signal === 'SIGHUP' ? 'SIGTERM' : signal);
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, relay);
  onNpmGone(() => relay('SIGTERM'));
  const codes = await Promise.all(
    children.map(async (child) => {
      const [code] = (await once(child, 'exit')) as [number | null];
      if (!stopping) relay('SIGTERM');
      return code ?? 1;
    }),
  );
  return Math.max(...codes);
}

/**
 * npm (`npx`, `npm run`) starts a command through a shell, and a signal for npm ends that shell alone: that the parent
 * is another one than before is then all that tells that one should stop.
 */
function onNpmGone(stop: () => void): void {
  if (process.env['npm_command'] === undefined) return;
  const parent = process.ppid;
  const timer = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(timer);
    stop();
  }, 500);
  timer.unref();
}

function startForeground(args: readonly string[]): ChildProcess {
  const child = spawn(process.execPath, args, { detached: true, stdio: ['ignore', 'inherit', 'inherit'] });
  endWithThisProcess(child);
  return child;
}
