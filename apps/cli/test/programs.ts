import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { cleanEnvironment, cliEntry } from './run-cli.js';

/** A process that runs until it is told to end. */
export interface Program {
  readonly child: ChildProcess;
  /** What it has printed. */
  readonly lines: string[];
  readonly exited: Promise<number | null>;
}

/** Starts the built command line. */
export function start(args: readonly string[]): Program {
  return startProgram(process.execPath, [cliEntry, ...args]);
}

export function startProgram(
  file: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Program {
  const child = spawn(file, args, {
    env: cleanEnvironment(env),
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const lines: string[] = [];
  createInterface(child.stdout).on('line', (line) => lines.push(line));
  const exited = once(child, 'close').then(([code]) => code as number | null);
  return { child, lines, exited };
}
