import { type ChildProcess, fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { endWithThisProcess } from '@afterimage/local-servers';
import { heapArguments } from '@afterimage/service';
import { CommandError } from '../failures.js';
import { type AppName, locateApp } from '../child-programs.js';

const stopTimeoutMs = 20_000;
const shownLogLines = 15;

/** A process of the demo; its output goes to a file. */
export interface DemoProcess {
  readonly name: string;
  readonly child: ChildProcess;
  readonly logFile: string;
  /** Resolves when the process has ended, with what to say about it. */
  readonly ended: Promise<string>;
  /** SIGTERM, and SIGKILL when that does not help. Resolves with whether it ended by itself with code 0. */
  stop(): Promise<boolean>;
}

export interface CrewOptions {
  readonly configPath: string;
  readonly logFolder: string;
  /** Removed when the demo's process is gone without having stopped the crew. */
  readonly temporaryDirectory?: string;
}

async function startApp(app: AppName, options: CrewOptions & { readonly name: string }): Promise<DemoProcess> {
  const { name, configPath, logFolder, temporaryDirectory } = options;
  const logFile = join(logFolder, `${name}.log`);
  const log = await open(logFile, 'a');
  try {
    const args = [...heapArguments(), locateApp(app), '--config', configPath];
    // In a session of its own: a Ctrl-C on the terminal reaches the demo only, which then stops all in order.
    const child = spawn(process.execPath, args, { detached: true, stdio: ['ignore', log.fd, log.fd] });
    return attend(name, child, logFile, temporaryDirectory);
  } finally {
    await log.close();
  }
}

export interface SourceOptions {
  readonly expectationsFile: string;
  readonly seed: number;
  readonly logFolder: string;
  /** Removed when the demo's process is gone without having stopped the source. */
  readonly temporaryDirectory: string;
}

export async function startSource(options: SourceOptions): Promise<DemoProcess> {
  const logFile = join(options.logFolder, 'source.log');
  const log = await open(logFile, 'a');
  try {
    const args = ['demo-source', '--expectations', options.expectationsFile, '--seed', String(options.seed)];
    const child = fork(process.argv[1] ?? '', args, { detached: true, stdio: ['ignore', log.fd, log.fd, 'ipc'] });
    return attend('source', child, logFile, options.temporaryDirectory);
  } finally {
    await log.close();
  }
}

function attend(name: string, child: ChildProcess, logFile: string, temporaryDirectory = ''): DemoProcess {
  endWithThisProcess(child, { temporaryDirectory });
  const exited = once(child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>;
  return {
    name,
    child,
    logFile,
    ended: exited.then(([code, signal]) => `the ${name} ended with ${signal ?? `exit code ${code}`}`),
    stop: async () => {
      const timer = setTimeout(() => child.kill('SIGKILL'), stopTimeoutMs);
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM');
      const [code] = await exited;
      clearTimeout(timer);
      return code === 0;
    },
  };
}

/** The reader and the writers: started, killed and started again, stopped. */
export class Crew {
  readonly #options: CrewOptions;
  readonly #members = new Map<string, DemoProcess>();
  readonly #failure: Promise<never>;
  #fail: (error: Error) => void = () => undefined;

  constructor(options: CrewOptions) {
    this.#options = options;
    this.#failure = new Promise((_resolve, reject) => {
      this.#fail = reject;
    });
    this.#failure.catch(() => undefined);
  }

  async start(app: AppName, name: string): Promise<void> {
    this.watch(await startApp(app, { ...this.#options, name }));
  }

  /** Makes the crew fail, with the end of the process's log, when it ends without having been told to. */
  watch(member: DemoProcess): void {
    this.#members.set(member.name, member);
    void member.ended.then(async (why) => {
      if (this.#members.get(member.name) !== member) return;
      const log = (await readFile(member.logFile, 'utf8')).trimEnd().split('\n').slice(-shownLogLines);
      this.#fail(new CommandError(`${why} in the middle of the demo. The end of its log:\n${log.join('\n')}`));
    });
  }

  /** kill -9, and a new one in its place. */
  async crash(app: AppName, name: string): Promise<void> {
    const member = this.#members.get(name);
    this.#members.delete(name);
    member?.child.kill('SIGKILL');
    await member?.ended;
    await this.start(app, name);
  }

  /** The work's result; rejects as soon as a member ends by itself. */
  async whileRunning<T>(work: Promise<T>): Promise<T> {
    return Promise.race([work, this.#failure]);
  }

  /** Resolves with whether all ended in order. Safe to call twice. */
  async stop(): Promise<boolean> {
    const members = [...this.#members.values()];
    this.#members.clear();
    const orderly = await Promise.all(members.map((member) => member.stop()));
    return orderly.every(Boolean);
  }
}
