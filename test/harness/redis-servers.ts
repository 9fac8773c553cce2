import { execFile, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { findFreePort, type RedisServer, type RedisServerOptions, startRedisServer } from '@afterimage/local-servers';
import { Redis } from 'ioredis';
import { expect, vi } from 'vitest';

const run = promisify(execFile);

/** Some servers that belong together. */
export interface RedisServers {
  readonly servers: readonly RedisServer[];
  readonly urls: readonly string[];
  stop(): Promise<void>;
}

export async function withRedis<T>(port: number, work: (redis: Redis) => Promise<T>): Promise<T> {
  const redis = new Redis({ port, maxRetriesPerRequest: 1 });
  redis.on('error', () => undefined);
  try {
    return await work(redis);
  } finally {
    redis.disconnect();
  }
}

export async function startServer(options: RedisServerOptions = {}): Promise<RedisServer> {
  const server = await startRedisServer(options);
  if (server === null) throw new Error('no redis-server on the PATH');
  return server;
}

function together(servers: readonly RedisServer[]): RedisServers {
  return {
    servers,
    urls: servers.map(({ port }) => `redis://127.0.0.1:${port}`),
    stop: async () => void (await Promise.all(servers.map((server) => server.stop()))),
  };
}

const slots = 16_384;
/** Not `expect.poll`, which tests that run at the same time cannot share. */
const patience = { timeout: 20_000, interval: 50 };

/** Three masters, each with a third of the slots. */
export async function startCluster(): Promise<RedisServers> {
  const busPorts = [await findFreePort(), await findFreePort(), await findFreePort()];
  const servers = await Promise.all(
    busPorts.map((busPort) =>
      startServer({
        args: () => ['--cluster-enabled', 'yes', '--cluster-port', String(busPort), '--cluster-node-timeout', '2000'],
      }),
    ),
  );
  for (const [n, { port }] of servers.entries()) {
    const first = Math.ceil((n * slots) / servers.length);
    const last = Math.ceil(((n + 1) * slots) / servers.length) - 1;
    await withRedis(port, async (redis) => {
      await redis.call('CLUSTER', 'ADDSLOTSRANGE', first, last);
      for (const [m, other] of servers.entries()) {
        if (m !== n) await redis.call('CLUSTER', 'MEET', '127.0.0.1', other.port, busPorts[m] ?? 0);
      }
    });
  }
  for (const { port } of servers) {
    const state = () => withRedis(port, (redis) => redis.call('CLUSTER', 'INFO'));
    await vi.waitFor(async () => expect(await state()).toContain('cluster_state:ok'), patience);
  }
  return together(servers);
}

export interface WatchedRedis {
  /** The master of now and its replica, by their first roles. */
  readonly master: RedisServer;
  readonly replica: RedisServer;
  readonly sentinels: RedisServers;
  stop(): Promise<void>;
}

/** A master called `shop` with a replica, watched by three sentinels that give it up after a second. */
export async function startWatchedRedis(): Promise<WatchedRedis> {
  const master = await startServer();
  const replica = await startServer({ args: () => ['--replicaof', `127.0.0.1 ${master.port}`] });
  const linked = () => withRedis(replica.port, (redis) => redis.info('replication'));
  await vi.waitFor(async () => expect(await linked()).toContain('master_link_status:up'), patience);
  const sentinel = [
    `sentinel monitor shop 127.0.0.1 ${master.port} 2`,
    'sentinel down-after-milliseconds shop 1000',
    'sentinel failover-timeout shop 4000',
  ].join('\n');
  const sentinels = together(await Promise.all([1, 2, 3].map(() => startServer({ sentinel }))));
  for (const { port } of sentinels.servers) {
    const known = () => withRedis(port, (redis) => redis.info('sentinel'));
    await vi.waitFor(async () => expect(await known()).toMatch(/slaves=1,sentinels=3/), patience);
  }
  const all = together([...sentinels.servers, master, replica]);
  return { master, replica, sentinels, stop: () => all.stop() };
}

export interface Certificates {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

/** Whether `makeCertificates` can work here. */
export const hasOpenssl = spawnSync('openssl', ['version']).status === 0;

/** A certificate for `localhost` that signs itself, made in `folder`. */
export async function makeCertificates(folder: string): Promise<Certificates> {
  const [cert, key] = [join(folder, 'cert.pem'), join(folder, 'key.pem')];
  const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost'];
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1'];
  await run('openssl', ['req', '-x509', ...curve, '-nodes', '-days', '2', ...subject, '-keyout', key, '-out', cert]);
  return { ca: cert, cert, key };
}
