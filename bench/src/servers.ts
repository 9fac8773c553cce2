import { connect } from 'node:net';
import { once } from 'node:events';
import { Client, Pool } from 'pg';
import { startPostgres, startRedis } from '@afterimage/local-servers';
import { readParent } from './processes.js';

export interface Servers {
  /** A database of its own, after a checkpoint, so that no run pays for the one before. */
  fresh(): Promise<string>;
  /** Null when there is no redis-server on the PATH. */
  readonly redisUrl: string | null;
  readonly pids: { readonly postgres: number; readonly redis: number | undefined };
  stop(): Promise<void>;
}

/** Durable as in production (fsync and synchronous_commit stay on), with memory as on a small server. */
const settings = { shared_buffers: '512MB', max_wal_size: '4GB', shared_preload_libraries: 'pg_stat_statements' };

export async function startServers(): Promise<Servers> {
  const postgres = await startPostgres({ settings });
  const redis = await startRedis();
  const admin = new Client({ connectionString: postgres.adminUrl });
  await admin.connect();
  const { rows } = await admin.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
  let count = 0;
  return {
    fresh: async () => {
      const name = `bench_${(count += 1)}`;
      if (count > 1) await admin.query(`DROP DATABASE IF EXISTS bench_${count - 1} WITH (FORCE)`);
      await admin.query(`CREATE DATABASE ${name}`);
      await admin.query('CHECKPOINT');
      return new URL(`/${name}`, postgres.adminUrl).href;
    },
    redisUrl: redis?.url ?? null,
    pids: {
      postgres: readParent(rows[0]?.pid ?? 0),
      redis: redis === null ? undefined : await askRedisPid(redis.url),
    },
    stop: async () => {
      await admin.end();
      await redis?.stop();
      await postgres.stop();
    },
  };
}

async function askRedisPid(url: string): Promise<number | undefined> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  socket.write('INFO server\r\n');
  const [answer] = (await once(socket, 'data')) as [Buffer];
  socket.destroy();
  const [, pid] = /process_id:(\d+)/.exec(answer.toString()) ?? [];
  return pid === undefined ? undefined : Number(pid);
}

/** A pool that does not mind when its database is dropped while its connections are on their way out. */
export function openPool(url: string, connections: number): Pool {
  const pool = new Pool({ connectionString: url, max: connections, pipeline: true });
  pool.on('error', () => undefined);
  return pool;
}
