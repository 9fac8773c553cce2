import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import type { FakeMaxScale } from '@afterimage/cdc-protocol/testing';
import { quoteName } from '@afterimage/replica';
import { type TestDatabase, type TestQueueBackend, uniqueName } from '../harness/databases.js';
import { ServiceProcess } from '../replay/service-process.js';

export type Role = 'reader' | 'writer-1' | 'writer-2';

/** A reader and two writers as processes, on a queue of their own. */
export class Pipeline {
  readonly #processes = new Map<Role, ServiceProcess>();
  readonly #database: TestDatabase;
  readonly #queue: TestQueueBackend;
  readonly #prefix = uniqueName('crash');
  #folder = '';

  constructor(database: TestDatabase, queue: TestQueueBackend) {
    this.#database = database;
    this.#queue = queue;
  }

  async start(server: FakeMaxScale): Promise<void> {
    this.#folder = await mkdtemp(join(tmpdir(), 'afterimage-crash-'));
    const config = {
      postgres: { url: this.#database.url },
      queue: {
        backend: this.#queue.backend,
        prefix: this.#prefix,
        ...(this.#queue.redisUrl === null ? {} : { url: this.#queue.redisUrl }),
      },
      sources: {
        main: {
          ...server.address,
          tables: { 'shop.orders': { key: ['id'] }, 'shop.items': { key: ['id'] }, 'shop.notes': null },
        },
      },
      reader: { maxBatchEvents: 20, lingerMs: 1 },
      service: { logLevel: 'info' },
    };
    await writeFile(join(this.#folder, 'afterimage.yaml'), JSON.stringify(config));
    for (const role of ['reader', 'writer-1', 'writer-2'] as const) this.#launch(role);
  }

  #launch(role: Role): void {
    this.#processes.set(
      role,
      new ServiceProcess(role === 'reader' ? 'reader' : 'writer', join(this.#folder, 'afterimage.yaml')),
    );
  }

  /** SIGKILL, then a new process at once. */
  async killAndRestart(role: Role): Promise<void> {
    await this.#processes.get(role)?.kill();
    this.#launch(role);
  }

  /** Empties the queue as a Redis without persistence does when it restarts. */
  async wipeQueue(): Promise<void> {
    if (this.#queue.redisUrl === null) {
      await this.#database.pool.query(`TRUNCATE ${quoteName(this.#prefix)}.job CASCADE`);
      return;
    }
    const redis = new Redis(this.#queue.redisUrl);
    const keys = await redis.keys(`${this.#prefix}:*`);
    if (keys.length > 0) await redis.del(...keys);
    redis.disconnect();
  }

  async applied(): Promise<number> {
    const { rows } = await this.#database.pool.query<{ n: number }>(
      'SELECT coalesce(sum(ordinal), 0)::int AS n FROM afterimage.offsets',
    );
    return rows[0]?.n ?? 0;
  }

  /** Resolves when that many events are applied; rejects at the deadline or when a process ended by itself. */
  async waitUntilApplied(events: number, deadlineMs: number): Promise<void> {
    const deadline = Date.now() + deadlineMs;
    for (;;) {
      const applied = await this.applied();
      if (applied >= events) return;
      const ended = [...this.#processes].filter(([, process]) => process.ended).map(([role]) => role);
      if (ended.length > 0 || Date.now() > deadline) {
        const output = [...this.#processes]
          .map(([role, process]) => `${role}:\n${process.output.slice(-3000)}`)
          .join('\n');
        throw new Error(`${applied} of ${events} events applied; ended: ${ended.join(', ') || 'none'}\n${output}`);
      }
      await sleep(50);
    }
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#processes.values()].map((process) => process.stop()));
    await rm(this.#folder, { recursive: true, force: true });
  }
}
