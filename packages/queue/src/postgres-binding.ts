import {
  type BackendFactory,
  PostgresConnection,
  type PostgresConnectionOptions,
  PostgresQueueBackend,
  runMigrations,
} from 'bullmq';
import pg from 'pg';
import { defaultAnswerMs } from './answer-time.js';
import type { BullBinding, QueueOptions } from './connection.js';
import { jobsChannel, type Listener, waitForWork } from './postgres-wait.js';

const defaultPoolSize = 8;

/**
 * The client of BullMQ's LISTEN. BullMQ listens for its errors only once it has awaited the connection; what a server
 * sends together with its first "ready", as when it is killed, comes before that and would end the process.
 */
class ListenClient extends pg.Client {
  /** An error that came before anybody else listened. */
  missed: Error | undefined;

  constructor(...args: ConstructorParameters<typeof pg.Client>) {
    super(...args);
    this.on('error', (error) => {
      if (this.listenerCount('error') === 1) this.missed = error;
    });
  }
}

/** The connection that all queues of a process share: one pool, one LISTEN client. */
export class SharedConnection extends PostgresConnection {
  readonly #prepared = new WeakSet<object>();
  readonly #listening = new WeakMap<object, Promise<unknown>>();

  constructor(options: PostgresConnectionOptions) {
    super(options);
    // BullMQ makes its LISTEN client of this, and nothing else.
    Object.assign(this, { pgModule: { Client: ListenClient } });
    // BullMQ borrows connections without listening for their errors: one that breaks then would end the process.
    this.pool.on('connect', (client) => client.on('error', () => undefined));
  }

  override async getListenClient(): Promise<Listener> {
    const client = await super.getListenClient();
    if (client instanceof pg.Client && !this.#prepared.has(client)) {
      this.#prepared.add(client);
      // Each consumer adds its listener to the one client; Node would warn from the eleventh on.
      client.setMaxListeners(0);
      queueQueries(client);
      // Now that BullMQ listens it must know, lest it keep a client that is of no use.
      if (client instanceof ListenClient && client.missed !== undefined) client.emit('error', client.missed);
    }
    return client;
  }

  /** The LISTEN client, once it hears of jobs. */
  async listenForJobs(): Promise<Listener> {
    const client = await this.getListenClient();
    const listening = this.#listening.get(client) ?? client.query(`LISTEN ${jobsChannel}`);
    this.#listening.set(client, listening);
    listening.catch(() => this.#listening.delete(client));
    await listening;
    return client;
  }
}

/** Makes queries of several callers wait for each other: pg deprecates that its clients do this themselves. */
function queueQueries(client: pg.Client): void {
  const query = client.query.bind(client) as (...args: unknown[]) => Promise<unknown>;
  let last: Promise<unknown> = Promise.resolve();
  const queued = (...args: unknown[]): Promise<unknown> => {
    last = last.catch(() => undefined).then(() => query(...args));
    return last;
  };
  client.query = queued as typeof client.query;
}

/** Only of a job that the caller holds. */
const lastInLineStatement = `UPDATE job SET seq = nextval('job_seq')
  WHERE queue = $1 AND id = $2 AND state = 'active' AND lock_token = $3`;

/**
 * BullMQ's backend on the shared connection. Upstream only a backend that owns its connection subscribes anew after the
 * LISTEN client was lost; this one does too. And it waits for work in a way of its own.
 */
class SharedBackend extends PostgresQueueBackend {
  readonly #connection: SharedConnection;
  #wait = new AbortController();
  #paused = false;

  constructor(
    connection: SharedConnection,
    name: string,
    options: ConstructorParameters<typeof PostgresQueueBackend>[2],
  ) {
    super(connection, name, options, false);
    this.#connection = connection;
    this.connection.on('listenerinvalidated', this.#endWait);
  }

  /** Ends the wait that is under way: the next one asks for a client that listens. */
  readonly #endWait = (): void => {
    this.#wait.abort();
    this.#wait = new AbortController();
  };

  override async waitForJob(blockTimeout: number): Promise<{ member: string; score: number } | null> {
    if (this.#paused) return null;
    const { signal } = this.#wait;
    const listener = await this.#connection.listenForJobs();
    const { pool } = this.connection;
    const found = await waitForWork({ pool, listener, queue: this.queueName, timeoutMs: blockTimeout * 1_000, signal });
    return found ? { member: this.queueName, score: 0 } : null;
  }

  /**
   * Upstream a job that comes again keeps its old place in line, on Redis it gets the last one. Where some wait for a batch
   * behind them, and trying them all takes longer than their delay, that batch would never have its turn.
   */
  override async moveToDelayed(
    ...[jobId, timestamp, delay, token, options]: Parameters<PostgresQueueBackend['moveToDelayed']>
  ): ReturnType<PostgresQueueBackend['moveToDelayed']> {
    await this.connection.pool.query(lastInLineStatement, [this.queueName, jobId, token]);
    return super.moveToDelayed(jobId, timestamp, delay, token, options);
  }

  override async disconnectBlocking(): Promise<void> {
    this.#paused = true;
    this.#endWait();
  }

  override async reconnectBlocking(): Promise<void> {
    this.#paused = false;
  }

  override async close(force?: boolean): Promise<void> {
    this.connection.off('listenerinvalidated', this.#endWait);
    await super.close(force);
  }
}

export async function createPostgresBinding(options: QueueOptions): Promise<BullBinding> {
  const { prefix: schema, url } = options;
  if (url === undefined) throw new Error('the queue needs the URL of its PostgreSQL');
  await migrateSchema(url, schema);
  const connection = new SharedConnection({
    connectionString: url,
    schema,
    max: options.poolSize ?? defaultPoolSize,
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
    connectionTimeoutMillis: 10_000,
    query_timeout: options.answerMs ?? defaultAnswerMs,
    application_name: 'afterimage queue',
  });
  connection.setMaxListeners(0);
  connection.on('error', options.onError);
  try {
    await connection.waitUntilReady();
  } catch (error) {
    await connection.close();
    throw error;
  }
  const factory: BackendFactory<PostgresQueueBackend, PostgresConnectionOptions> = (name, queueOptions) =>
    new SharedBackend(connection, name, queueOptions);
  return {
    factory,
    connection: {},
    wake: async (queue) => void (await connection.pool.query('SELECT pg_notify($1, $2)', [jobsChannel, queue])),
    close: () => connection.close(),
  };
}

async function migrateSchema(url: string, schema: string): Promise<void> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 10_000 });
  client.on('error', () => undefined);
  try {
    await client.connect();
    await client.query(`SET client_min_messages = warning`);
    await runMigrations(client, schema);
  } catch (error) {
    throw new Error(`cannot prepare the queue in PostgreSQL at ${client.host}:${client.port}: ${String(error)}`, {
      cause: error,
    });
  } finally {
    await client.end().catch(() => undefined);
  }
}
