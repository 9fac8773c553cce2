import { randomUUID } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  type BatchConsumer,
  consumeBatches,
  createQueueConnection,
  openBatchQueue,
  prepareQueue,
  type QueueConnection,
  type QueueOptions,
} from '@afterimage/queue';
import { makeBatch } from './sample-batch.js';
// @boundaries-ignore the harness that all tests share
import { queueBackends } from '../../../test/harness/databases.js';
// @boundaries-ignore servers of certain kinds, for several packages
import {
  hasOpenssl,
  makeCertificates,
  startCluster,
  startServer,
  withRedis,
} from '../../../test/harness/redis-servers.js';

const missing = queueBackends().some((backend) => backend.missing);

describe.skipIf(missing)('the queue', () => {
  let stops: (() => Promise<unknown>)[];
  let warnings: string[];
  let errors: Error[];

  beforeEach(() => {
    stops = [];
    warnings = [];
    errors = [];
  });

  afterEach(async () => {
    for (const stop of stops.toReversed()) await stop();
  });

  const connect = async (options: Pick<QueueOptions, 'url' | 'redis'>): Promise<QueueConnection> => {
    const connection = createQueueConnection({
      backend: 'redis',
      prefix: 'test',
      ...options,
      onError: () => undefined,
      onWarning: (text) => warnings.push(text),
    });
    stops.push(() => connection.close());
    await prepareQueue(connection);
    return connection;
  };

  /** Everything that a consumer of the stream finished, in order. */
  const collect = (connection: QueueConnection, streamId: string): string[] => {
    const done: string[] = [];
    const consumer: BatchConsumer = consumeBatches(connection, streamId, 0, {
      process: (batch) => {
        done.push(batch.firstOrdinal);
        return Promise.resolve({ kind: 'done' });
      },
      onInvalid: () => Promise.resolve({ kind: 'done' }),
      onError: (error) => errors.push(error),
    });
    stops.push(() => consumer.close(1_000));
    return done;
  };

  const ordinals = (count: number): string[] => Array.from({ length: count }, (_, n) => String(n + 1));

  it('works on a Redis Cluster, each stream on one node and the streams on all', async () => {
    const cluster = await startCluster();
    stops.push(() => cluster.stop());
    const connection = await connect({ redis: { cluster: cluster.urls.slice(0, 1) } });
    const done = new Map<string, string[]>();
    for (let n = 0; n < 12; n += 1) {
      // Always the same, which are known to fall on all nodes: twelve random ones miss a node once in 43 runs.
      const id = `00000000-0000-4000-8000-0000000000${n + 10}`;
      const queue = openBatchQueue(connection, id, 0);
      for (let ordinal = 1; ordinal <= 5; ordinal += 1) await queue.add(makeBatch(ordinal));
      expect(await queue.depth()).toBe(5);
      await queue.close();
    }
    const counts = await Promise.all(cluster.servers.map(({ port }) => withRedis(port, (redis) => redis.dbsize())));
    expect(Math.min(...counts)).toBeGreaterThan(0);
    const ids = await Promise.all(
      cluster.servers.map(({ port }) => withRedis(port, (redis) => redis.keys('test:*:wait'))),
    );
    for (const key of ids.flat()) {
      const id = /stream-([0-9a-f-]{36})-0/.exec(key)?.[1] ?? '';
      done.set(id, collect(connection, id));
    }
    expect(done.size).toBe(12);
    await expect
      .poll(() => [...done.values()], { timeout: 20_000 })
      .toEqual(Array.from({ length: 12 }, () => ordinals(5)));
    expect(warnings).toEqual([
      expect.stringMatching(/^Redis at 127\.0\.0\.1:\d+, .*, .* has appendonly no: a restart/),
    ]);
  });

  it.skipIf(!hasOpenssl)('speaks TLS with a certificate of its own, as an ACL user', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'afterimage-tls-'));
    stops.push(() => rm(folder, { recursive: true }));
    const { ca, cert, key } = await makeCertificates(folder);
    const files = ['--tls-ca-cert-file', ca, '--tls-cert-file', cert, '--tls-key-file', key];
    const server = await startServer({
      args: (port) => ['--port', '0', '--tls-port', String(port), ...files, '--appendonly', 'yes', ...acl],
    });
    stops.push(() => server.stop());
    const url = `rediss://localhost:${server.port}`;
    const pem = {
      ca: await readFile(ca, 'utf8'),
      cert: await readFile(cert, 'utf8'),
      key: await readFile(key, 'utf8'),
    };

    const connection = await connect({ url, redis: { user: 'app', password: 'p@ss/w', tls: pem } });
    const id = randomUUID();
    const queue = openBatchQueue(connection, id, 0);
    await queue.add(makeBatch(1));
    await queue.close();
    const done = collect(connection, id);
    await expect.poll(() => done, { timeout: 10_000 }).toEqual(['1']);
    // This user may not use CONFIG; INFO tells as much.
    expect(warnings).toEqual([]);

    await expect(connect({ url, redis: { user: 'app', password: 'p@ss/w' } })).rejects.toThrow(/certificate/);
    await expect(connect({ url, redis: { user: 'app', password: 'wrong', tls: pem } })).rejects.toThrow('WRONGPASS');
    const other = { ...pem, servername: 'redis.example' };
    await expect(connect({ url, redis: { user: 'app', password: 'p@ss/w', tls: other } })).rejects.toThrow(
      /cannot reach Redis at localhost:\d+: .*altname/i,
    );
  });
  const acl = [
    '--user',
    'default',
    'off',
    '--user',
    ...'app on >p@ss/w ~test:* &* +@all -@admin -@dangerous +info'.split(' '),
  ];

  it('asks a full Redis for work now and then only, and goes on when it has room', async () => {
    const server = await startServer();
    stops.push(() => server.stop());
    const connection = await connect({ url: `redis://127.0.0.1:${server.port}` });
    const id = randomUUID();
    const queue = openBatchQueue(connection, id, 0);
    stops.push(() => queue.close());
    await queue.add(makeBatch(1));
    await withRedis(server.port, (redis) => redis.config('SET', 'maxmemory', '1'));
    const done = collect(connection, id);
    const refused = () => errors.filter((error) => error.message.startsWith('OOM')).length;
    await expect.poll(refused, { timeout: 10_000 }).toBeGreaterThan(2);
    const before = refused();
    const from = performance.now();
    await expect.poll(refused, { timeout: 10_000 }).toBeGreaterThan(before);
    expect((refused() - before) / (performance.now() - from)).toBeLessThan(5 / 500);
    await withRedis(server.port, (redis) => redis.config('SET', 'maxmemory', '0'));
    await expect.poll(() => done, { timeout: 10_000 }).toEqual(['1']);
  });

  it('warns of settings that lose batches, or that a server does not tell', async () => {
    const eager = await startServer({ args: () => ['--maxmemory-policy', 'allkeys-lru', '--appendonly', 'yes'] });
    stops.push(() => eager.stop());
    await connect({ url: `redis://127.0.0.1:${eager.port}` });
    expect(warnings).toEqual([
      expect.stringMatching(
        /^Redis at 127\.0\.0\.1:\d+ has maxmemory-policy allkeys-lru: it may throw away batches when its memory is full\. To mend it, set maxmemory-policy noeviction/,
      ),
    ]);
    const silent = await startServer({
      args: () => ['--user', ...'default on nopass ~* &* +@all -config'.split(' '), '-info'],
    });
    stops.push(() => silent.stop());
    warnings.length = 0;
    await connect({ url: `redis://127.0.0.1:${silent.port}` });
    expect(warnings).toEqual([
      expect.stringContaining('does not tell its maxmemory-policy, so it was not checked'),
      expect.stringContaining('does not tell its appendonly, so it was not checked'),
    ]);
  });
});
