import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { type FakeMaxScale, startFakeMaxScale } from '@afterimage/cdc-protocol/testing';
import { type BatchQueue, createQueueConnection, openBatchQueue, prepareQueue } from '@afterimage/queue';
import { listStreamRecords } from '@afterimage/replica';
import type { Pool } from 'pg';
import { type CliResult, runCli } from '../../apps/cli/test/run-cli.js';
import { createDatabase, type TestDatabase, type TestQueueBackend, uniqueName } from '../harness/databases.js';
import { ServiceProcess } from '../replay/service-process.js';

const guard = pathToFileURL(fileURLToPath(new URL('prototype-guard.mjs', import.meta.url))).href;
/** Every process of the suite says at its end whether prototypes were polluted. */
const guardedEnv = { NODE_OPTIONS: `--import=${guard}` };

export interface RigOptions {
  readonly queue: TestQueueBackend;
  /** Settings of the source beside its address: tables, schemas. */
  readonly source: object;
  /** More sections of the configuration, over the rig's. */
  readonly config?: (rig: { readonly database: TestDatabase }) => object;
  /** MaxScale's users; default: its own. */
  readonly users?: Record<string, string>;
  /** Where the programs find PostgreSQL, if not where the test does. */
  readonly postgresUrl?: (database: TestDatabase) => string;
}

export interface StreamState {
  readonly database: string;
  readonly table: string;
  readonly ordinal: number;
  readonly state: string;
  readonly stateCode: string | null;
  readonly stateMessage: string | null;
  readonly readerState: string;
  readonly readerCode: string | null;
  readonly readerMessage: string | null;
}

/**
 * Scripted MaxScale, reader and writer processes at log level debug, PostgreSQL and the command line, as in production.
 * The tables must be scripted before `start`, or as it goes.
 */
export class SecurityRig {
  readonly server: FakeMaxScale;
  readonly database: TestDatabase;
  readonly config: Readonly<Record<string, unknown>>;
  readonly configPath: string;
  readonly prefix: string;
  readonly #folder: string;
  readonly #queue: TestQueueBackend;
  #processes: ServiceProcess[] = [];
  #stopped: ServiceProcess[] = [];

  private constructor(
    parts: Pick<SecurityRig, 'server' | 'database' | 'config' | 'prefix'>,
    folder: string,
    queue: TestQueueBackend,
  ) {
    this.server = parts.server;
    this.database = parts.database;
    this.config = parts.config;
    this.prefix = parts.prefix;
    this.#folder = folder;
    this.#queue = queue;
    this.configPath = join(folder, 'afterimage.yaml');
  }

  static async create(options: RigOptions): Promise<SecurityRig> {
    const { queue, source, users } = options;
    const [server, database, folder] = await Promise.all([
      startFakeMaxScale(users === undefined ? {} : { users }),
      createDatabase(),
      mkdtemp(join(tmpdir(), 'afterimage-security-')),
    ]);
    const prefix = uniqueName('security');
    const config = {
      postgres: { url: options.postgresUrl?.(database) ?? database.url },
      queue: { backend: queue.backend, prefix, ...(queue.redisUrl === null ? {} : { url: queue.redisUrl }) },
      sources: { main: { ...server.address, ...source } },
      service: { logLevel: 'debug' },
      ...options.config?.({ database }),
    };
    const rig = new SecurityRig({ server, database, config, prefix }, folder, queue);
    await writeFile(rig.configPath, JSON.stringify(config));
    return rig;
  }

  get pool(): Pool {
    return this.database.pool;
  }

  start(roles: readonly ('reader' | 'writer')[] = ['reader', 'writer']): void {
    const options = { env: guardedEnv, outputLimit: 50_000_000 };
    this.#processes.push(...roles.map((role) => new ServiceProcess(role, this.configPath, options)));
  }

  get pids(): number[] {
    return this.#processes.flatMap(({ pid }) => pid ?? []);
  }

  /** All that reader and writer have written. */
  get output(): string {
    return [...this.#stopped, ...this.#processes].map(({ output }) => output).join('\n');
  }

  /** Runs a command of the command line on this configuration. */
  async cli(...args: string[]): Promise<CliResult> {
    return runCli([...args, '--config', this.configPath], { env: guardedEnv });
  }

  async streams(): Promise<StreamState[]> {
    const { rows } = await this.pool.query<StreamState>(
      `SELECT database_name AS database, table_name AS "table", coalesce((SELECT max(ordinal) FROM afterimage.offsets o WHERE o.stream_id = s.id), 0)::int AS ordinal,
              state, state_code AS "stateCode", state_message AS "stateMessage",
              reader_state AS "readerState", reader_code AS "readerCode", reader_message AS "readerMessage"
       FROM afterimage.streams s`,
    );
    return rows;
  }

  /** Lends `work` the sending side of the queue of the table's first partition, as its reader has it. */
  async withQueue<T>(table: string, work: (queue: BatchQueue) => Promise<T>): Promise<T> {
    const stream = (await listStreamRecords(this.pool)).find((record) => record.table === table);
    if (stream === undefined) throw new Error(`no stream ${table}`);
    const { backend, redisUrl } = this.#queue;
    const url = redisUrl ?? this.database.url;
    const connection = createQueueConnection({ backend, url, prefix: this.prefix, onError: () => undefined });
    await prepareQueue(connection);
    const queue = openBatchQueue(connection, stream.id, 0);
    try {
      return await work(queue);
    } finally {
      await queue.close();
      await connection.close();
    }
  }

  /** Waits until it holds for the streams; rejects at the deadline, or when a process ends by itself, with what they said. */
  async waitFor(
    condition: (streams: readonly StreamState[]) => boolean | Promise<boolean>,
    deadlineMs = 100_000,
  ): Promise<void> {
    const deadline = Date.now() + deadlineMs;
    for (;;) {
      const streams = await this.streams();
      if (await condition(streams)) return;
      const ended = this.#processes.some((process) => process.ended);
      if (ended || Date.now() > deadline) {
        const why = ended ? 'a process ended by itself' : 'not in time';
        throw new Error(`${why}: ${JSON.stringify(streams, null, 1)}\n${this.output.slice(-6_000)}`);
      }
      await sleep(50);
    }
  }

  /** Waits until so many events of each table (`database.table`) are applied. */
  async waitForEvents(expected: ReadonlyMap<string, number>): Promise<void> {
    await this.waitFor((streams) => {
      const applied = new Map(streams.map(({ database, table, ordinal }) => [`${database}.${table}`, ordinal]));
      return [...expected].every(([name, events]) => (applied.get(name) ?? 0) >= events);
    });
  }

  /** Ends reader and writer in good order. Gives their exit codes. */
  async stop(): Promise<(number | null)[]> {
    const ending = this.#processes;
    this.#processes = [];
    this.#stopped.push(...ending);
    return Promise.all(ending.map((process) => process.stop()));
  }

  async close(): Promise<void> {
    await this.stop();
    await this.server.close();
    await this.database.drop();
    await rm(this.#folder, { recursive: true, force: true });
  }
}

/** Characters that a terminal or a viewer of logs obeys instead of showing; a line's end is one only inside a line. */
const obeyed = /[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]/u;

/** Lines of a program's output that hold such a character, as JSON. */
export function findObeyed(output: string): string[] {
  return output
    .split('\n')
    .filter((line) => obeyed.test(line))
    .map((line) => JSON.stringify(line));
}

/** Lines of a log that are not one of the program's own objects. */
export function findForeignLines(output: string): string[] {
  const isOwn = (line: string): boolean => {
    try {
      const { time, level, name, msg } = JSON.parse(line) as Record<string, unknown>;
      const names = ['reader', 'writer', 'guard'];
      return [time, level, msg].every((part) => typeof part === 'string') && names.includes(String(name));
    } catch {
      return false;
    }
  };
  return output.split('\n').filter((line) => line !== '' && !isOwn(line));
}
