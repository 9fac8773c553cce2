import { Writable } from 'node:stream';
import { connect } from '@afterimage/cdc-protocol';
import { type FakeMaxScale, startFakeMaxScale } from '@afterimage/cdc-protocol/testing';
import { createQueueConnection, prepareQueue, type QueueConnection, type QueueOptions } from '@afterimage/queue';
import { registerStreams } from '@afterimage/replica';
import { configSchema, createLogger, createRegistry, type Registry } from '@afterimage/service';
// @boundaries-ignore the harness that all tests share
import {
  createDatabase,
  type TestDatabase,
  type TestQueueBackend,
  uniqueName,
} from '../../../test/harness/databases.js';
import { runReader } from '../src/reader.js';
import { RecordingWriter } from './recording-writer.js';

export interface RunningReader {
  readonly registry: Registry;
  /** Stops it as SIGTERM does and resolves when it has stopped. */
  stop(): Promise<void>;
}

export interface ReaderSettings {
  readonly reader?: Record<string, number>;
  readonly timeouts?: Record<string, number>;
  readonly tables?: readonly string[];
  /** Where the source is reached, when not directly. */
  readonly sourcePort?: number;
}

/** A source, a database and a queue, between which a test runs readers. */
export class ReaderRig {
  readonly database: TestDatabase;
  readonly source: FakeMaxScale;
  readonly queue: QueueConnection;
  readonly queueOptions: QueueOptions;
  /** Log lines of all readers. */
  readonly log: Record<string, unknown>[] = [];
  readonly #readers = new Set<RunningReader>();
  readonly #writers: RecordingWriter[] = [];

  constructor(database: TestDatabase, source: FakeMaxScale, queueOptions: QueueOptions) {
    this.database = database;
    this.source = source;
    this.queueOptions = queueOptions;
    this.queue = createQueueConnection(queueOptions);
  }

  start(settings: ReaderSettings = {}): RunningReader {
    const { tables = ['shop.orders'] } = settings;
    const { backend, url, prefix, redis } = this.queueOptions;
    const config = configSchema.parse({
      postgres: { url: this.database.url },
      queue: { backend, url, prefix, redis },
      sources: {
        main: {
          ...this.source.address,
          port: settings.sourcePort ?? this.source.port,
          tables: Object.fromEntries(tables.map((name) => [name, null])),
          timeouts: settings.timeouts ?? {},
        },
      },
      reader: settings.reader ?? {},
    });
    const stop = new AbortController();
    const registry = createRegistry('reader');
    const destination = new Writable({
      decodeStrings: false,
      write: (line: string, _encoding, done) => {
        this.log.push(JSON.parse(line) as Record<string, unknown>);
        done();
      },
    });
    const logger = createLogger({ name: 'reader', level: 'debug', destination });
    const running = runReader({ config, logger, registry, signal: stop.signal });
    running.catch(() => undefined);
    const reader = {
      registry,
      stop: async () => {
        this.#readers.delete(reader);
        stop.abort();
        await running;
      },
    };
    this.#readers.add(reader);
    return reader;
  }

  async streamId(table = 'orders'): Promise<string> {
    const [stream] = await registerStreams(this.database.pool, 'main', [{ database: 'shop', table }]);
    return stream?.id ?? '';
  }

  async write(table = 'orders'): Promise<RecordingWriter> {
    const writer = new RecordingWriter(this.database.pool, this.queue, await this.streamId(table));
    this.#writers.push(writer);
    return writer;
  }

  /** `state code` as the reader reports it. */
  async state(table = 'orders'): Promise<string> {
    const { rows } = await this.database.pool.query<{ text: string }>(
      `SELECT concat_ws(' ', reader_state, reader_code) AS text FROM afterimage.streams WHERE table_name = $1`,
      [table],
    );
    return rows[0]?.text ?? '';
  }

  /** When state or code changed last. */
  async since(table = 'orders'): Promise<Date | undefined> {
    const { rows } = await this.database.pool.query<{ since: Date }>(
      'SELECT reader_since AS since FROM afterimage.streams WHERE table_name = $1',
      [table],
    );
    return rows[0]?.since;
  }

  /** What the source has, read by a plain client: `count` lines from the first version that it has on. */
  async readSource(count: number, table = 'orders', version = 1): Promise<string[]> {
    const connection = await connect(this.source.address);
    await connection.requestData({ database: 'shop', table, version });
    const lines: string[] = [];
    for await (const message of connection) {
      if (message.kind === 'row') lines.push(message.raw);
      if (lines.length === count) break;
    }
    await connection.close();
    return lines;
  }

  async close(): Promise<void> {
    await Promise.all([...this.#readers].map((reader) => reader.stop()));
    await Promise.all(this.#writers.map((writer) => writer.close()));
    await this.source.close();
    await this.queue.close();
    await this.database.drop();
  }
}

type RigOptions = Pick<TestQueueBackend, 'backend' | 'redisUrl'> & Pick<QueueOptions, 'redis'>;

/** `redis` without `redisUrl`: a cluster, or sentinels. */
export async function createRig({ backend, redisUrl, redis }: RigOptions): Promise<ReaderRig> {
  const [database, source] = await Promise.all([createDatabase(), startFakeMaxScale()]);
  const rig = new ReaderRig(database, source, {
    backend,
    url: redis === undefined ? (redisUrl ?? database.url) : undefined,
    redis,
    prefix: uniqueName('reader'),
    onError: () => undefined,
  });
  await prepareQueue(rig.queue);
  return rig;
}
