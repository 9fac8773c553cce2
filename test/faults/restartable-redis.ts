import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { endWithThisProcess, findFreePort } from '@afterimage/local-servers';

const startDeadlineMs = 60_000;
const retryMs = 100;

/** Name of the Redis server program on the PATH, or null. */
export function findRedisProgram(): string | null {
  return ['redis-server', 'valkey-server'].find((name) => spawnSync(name, ['--version']).status === 0) ?? null;
}

/** A Redis with an append-only file that can be killed, and come back with or without what it held. */
export class RestartableRedis {
  readonly #program: string;
  readonly #folder: string;
  readonly #port: number;
  #child: ChildProcess | undefined;
  #restarts: Promise<void> = Promise.resolve();

  private constructor(program: string, folder: string, port: number) {
    this.#program = program;
    this.#folder = folder;
    this.#port = port;
  }

  static async start(program: string): Promise<RestartableRedis> {
    const folder = await mkdtemp(join(tmpdir(), 'afterimage-faults-redis-'));
    const redis = new RestartableRedis(program, folder, await findFreePort());
    await redis.#start();
    return redis;
  }

  get url(): string {
    return `redis://127.0.0.1:${this.#port}`;
  }

  async #start(): Promise<void> {
    const settings = {
      port: this.#port,
      bind: '127.0.0.1',
      dir: this.#folder,
      save: '',
      appendonly: 'yes',
      'maxmemory-policy': 'noeviction',
    };
    const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)]);
    const child = spawn(this.#program, args, { cwd: this.#folder, detached: true, stdio: 'ignore' });
    endWithThisProcess(child);
    this.#child = child;
    await this.#waitUntilReady();
  }

  /** SIGKILL, then a new start after a pause, with what the append-only file has or with nothing. */
  async restart(pauseMs: number, forgets: boolean): Promise<void> {
    this.#restarts = this.#restarts
      .catch(() => undefined)
      .then(async () => {
        await this.#kill();
        if (forgets) await rm(join(this.#folder, 'appendonlydir'), { recursive: true, force: true });
        await sleep(pauseMs);
        await this.#start();
      });
    await this.#restarts;
  }

  /** CONFIG SET. */
  async configure(name: string, value: string): Promise<void> {
    const client = new Redis(this.url, { maxRetriesPerRequest: 1 });
    client.on('error', () => undefined);
    try {
      await client.config('SET', name, value);
    } finally {
      client.disconnect();
    }
  }

  async #kill(): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
  }

  async remove(): Promise<void> {
    await this.#kill();
    await rm(this.#folder, { recursive: true, force: true });
  }

  async #waitUntilReady(): Promise<void> {
    const client = new Redis(this.url, { retryStrategy: () => retryMs, maxRetriesPerRequest: null });
    client.on('error', () => undefined);
    const timer = setTimeout(() => client.disconnect(), startDeadlineMs);
    try {
      await client.ping();
    } finally {
      clearTimeout(timer);
      client.disconnect();
    }
  }
}
