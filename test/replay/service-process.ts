import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { endWithThisProcess } from '@afterimage/local-servers';

export interface ServiceProcessOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** How many characters of its output are kept. */
  readonly outputLimit?: number;
}

/** A reader, writer or watcher as a process of its own, from the built code, as in production. */
export class ServiceProcess {
  readonly #child: ChildProcess;
  #output = '';

  constructor(app: 'reader' | 'writer' | 'watcher', configPath: string, options: ServiceProcessOptions = {}) {
    const { env = {}, outputLimit = 20_000 } = options;
    const main = fileURLToPath(new URL(`../../apps/${app}/dist/main.js`, import.meta.url));
    this.#child = spawn(process.execPath, [main, '--config', configPath], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...env },
    });
    endWithThisProcess(this.#child);
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.#output = (this.#output + text).slice(-outputLimit);
      });
    }
  }

  /** The end of what it wrote, for the message of a test that failed. */
  get output(): string {
    return this.#output;
  }

  get ended(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** SIGSTOP: it stands still wherever it is, with its connections open; SIGCONT: it goes on. */
  signal(signal: 'SIGSTOP' | 'SIGCONT' | 'SIGKILL'): void {
    if (!this.ended) this.#child.kill(signal);
  }

  /** Ends it at once, wherever it is. */
  async kill(): Promise<void> {
    if (this.ended) return;
    const exited = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await exited;
  }

  /** Ends it in good order; resolves with its exit code. */
  async stop(): Promise<number | null> {
    if (!this.ended) {
      const exited = once(this.#child, 'exit');
      this.#child.kill('SIGTERM');
      await exited;
    }
    return this.#child.exitCode;
  }
}
