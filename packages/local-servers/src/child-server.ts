import { type ChildProcess, spawn } from 'node:child_process';
import { Socket } from 'node:net';

const keptLogBytes = 8 * 1024;
const graceMs = 10_000;

export interface ServerCommand {
  readonly name: string;
  readonly file: string;
  readonly args: readonly string[];
  readonly cwd: string;
  readonly env?: NodeJS.ProcessEnv;
  /** Run as this user; only root may ask for it. */
  readonly user?: { readonly uid: number; readonly gid: number } | undefined;
  /** What the server prints when it accepts connections. */
  readonly readyText: string;
  readonly readyTimeoutMs: number;
  /** Removed when this process ends without having called `stop`. */
  readonly temporaryDirectory: string;
  /** What ends the server when this process has ended without `stop`. Default SIGINT. */
  readonly endSignal?: WatchOptions['signal'];
}

export interface ChildServer {
  /** Ends the server and waits until it is gone. Safe to call twice. */
  stop(signal: NodeJS.Signals): Promise<void>;
}

/** Waits for the end of its standard input, then ends a process and removes a folder. */
const watchScript = `
while read -r line; do :; done
kill -"$1" "$2" 2>/dev/null
n=0
while kill -0 "$2" 2>/dev/null && [ $n -lt 100 ]; do sleep 0.1; n=$((n+1)); done
kill -KILL "$2" 2>/dev/null
[ -z "$3" ] || rm -rf -- "$3"`;

export interface WatchOptions {
  /** Default: SIGTERM. After 10 seconds follows SIGKILL. */
  readonly signal?: 'SIGTERM' | 'SIGINT' | 'SIGKILL';
  /** Removed when the process has ended. */
  readonly temporaryDirectory?: string;
}

/**
 * Ends `child` when this process is gone, however it went (SIGKILL included): a shell waits for the end of a pipe
 * that only this process holds. So no exit hook is needed, and none gets in the way of the application's own
 * signal handling. The shell ends with the child, and neither keeps this process alive.
 */
export function endWithThisProcess(child: ChildProcess, options: WatchOptions = {}): void {
  if (child.pid === undefined) return;
  const { signal = 'SIGTERM', temporaryDirectory = '' } = options;
  const args = ['-c', watchScript, 'sh', signal.slice('SIG'.length), String(child.pid), temporaryDirectory];
  const watch = spawn('/bin/sh', args, {
    cwd: '/',
    // Its few commands, whatever the caller's PATH is.
    env: { PATH: '/usr/bin:/bin' },
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  watch.on('error', () => undefined);
  watch.stdin?.on('error', () => undefined);
  if (watch.stdin instanceof Socket) watch.stdin.unref();
  watch.unref();
  child.once('exit', () => endWatch(watch));
}

function endWatch(watch: ChildProcess): void {
  if (watch.pid === undefined) return;
  try {
    process.kill(-watch.pid, 'SIGKILL');
  } catch {
    // Already gone: nothing is left to watch.
  }
}

function unrefPipes(child: ChildProcess): void {
  for (const pipe of [child.stdout, child.stderr]) {
    if (pipe instanceof Socket) pipe.unref();
  }
}

/**
 * Starts a server in a session of its own (a Ctrl-C on the terminal reaches only the application, which then ends
 * the server in its own order) and waits until it is ready. Its output is kept for the error only. Neither the
 * server nor its pipes keep this process alive.
 *
 * Rejects with an Error that holds the last output when the server ends or is silent before it is ready.
 */
export async function startChildServer(command: ServerCommand): Promise<ChildServer> {
  const child = spawn(command.file, command.args, {
    cwd: command.cwd,
    env: command.env ?? process.env,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(command.user === undefined ? {} : { uid: command.user.uid, gid: command.user.gid }),
  });
  const exited = new Promise<void>((resolve) => {
    child.once('exit', () => resolve());
    child.once('error', () => resolve());
  });
  const { endSignal = 'SIGINT', temporaryDirectory } = command;
  endWithThisProcess(child, { signal: endSignal, temporaryDirectory });

  const stop = async (signal: NodeJS.Signals): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null) child.kill(signal);
    const timer = setTimeout(() => child.kill('SIGKILL'), graceMs);
    await exited;
    clearTimeout(timer);
  };
  try {
    await waitUntilReady(child, command);
  } catch (error) {
    await stop('SIGKILL');
    throw error;
  }
  child.unref();
  unrefPipes(child);
  return {
    stop: async (signal) => {
      child.ref();
      await stop(signal);
    },
  };
}

async function waitUntilReady(child: ChildProcess, command: ServerCommand): Promise<void> {
  let log = '';
  await new Promise<void>((resolve, reject) => {
    const fail = (why: string) => reject(new Error(`${command.name} ${why}${log === '' ? '' : `:\n${log.trimEnd()}`}`));
    const timer = setTimeout(() => fail(`was not ready after ${command.readyTimeoutMs} ms`), command.readyTimeoutMs);
    timer.unref();
    const read = (chunk: Buffer) => {
      log = (log + chunk.toString('utf8')).slice(-keptLogBytes);
      if (!log.includes(command.readyText)) return;
      clearTimeout(timer);
      resolve();
    };
    child.stdout?.on('data', read);
    child.stderr?.on('data', read);
    child.once('error', (error) => fail(`could not be started (${error.message})`));
    child.once('close', (code, signal) => fail(`ended with ${signal ?? `exit code ${String(code)}`}`));
  });
}
