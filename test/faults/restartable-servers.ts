import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { type LocalPostgres, endWithThisProcess, findFreePort, startPostgres } from '@afterimage/local-servers';

const startDeadlineMs = 60_000;
const retryMs = 100;

/** A PostgreSQL that survives being killed, as one in production: it writes to disk, and keeps files and port. */
export class RestartablePostgres {
  readonly #folder: string;
  readonly #port: number;
  #running: LocalPostgres | undefined;
  #restarts: Promise<void> = Promise.resolve();

  private constructor(folder: string, port: number) {
    this.#folder = folder;
    this.#port = port;
  }

  static async start(): Promise<RestartablePostgres> {
    const parent = await mkdtemp(join(tmpdir(), 'afterimage-faults-'));
    // Started by root, PostgreSQL runs as another user, which must be able to enter.
    await chmod(parent, 0o711);
    const postgres = new RestartablePostgres(parent, await findFreePort());
    await postgres.#start();
    return postgres;
  }

  get adminUrl(): string {
    if (this.#running === undefined) throw new Error('PostgreSQL is not running');
    return this.#running.adminUrl;
  }

  /** After a kill a few backends may still be ending; until they are gone a start is refused. */
  async #start(): Promise<void> {
    const until = Date.now() + startDeadlineMs;
    for (;;) {
      try {
        this.#running = await startPostgres({
          dataDir: join(this.#folder, 'data'),
          port: this.#port,
          persistent: true,
          settings: { fsync: 'on', max_connections: 200, shared_buffers: '64MB', restart_after_crash: 'on' },
        });
        return;
      } catch (error) {
        if (Date.now() > until) throw error;
        await sleep(retryMs);
      }
    }
  }

  /** Ends it by SIGINT (a fast shutdown) or by SIGKILL and starts it after a pause. Restarts asked for at once take turns. */
  async restart(how: 'stop' | 'kill', pauseMs: number): Promise<void> {
    this.#restarts = this.#restarts.then(async () => {
      if (how === 'kill') await this.#kill();
      else await this.#running?.stop();
      await sleep(pauseMs);
      await this.#start();
    });
    await this.#restarts;
  }

  /** SIGKILL of the postmaster; its backends notice and end. */
  async #kill(): Promise<void> {
    const file = await readFile(join(this.#folder, 'data', 'postmaster.pid'), 'utf8');
    process.kill(Number.parseInt(file, 10), 'SIGKILL');
    await this.#running?.stop();
  }

  async remove(): Promise<void> {
    await this.#running?.stop();
    await rm(this.#folder, { recursive: true, force: true });
  }
}

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
    this.#restarts = this.#restarts.then(async () => {
      await this.#kill();
      if (forgets) await rm(join(this.#folder, 'appendonlydir'), { recursive: true, force: true });
      await sleep(pauseMs);
      await this.#start();
    });
    await this.#restarts;
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
