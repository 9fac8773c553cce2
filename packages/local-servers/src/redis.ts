import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startChildServer } from './child-server.js';
import { findFreePort } from './free-port.js';
import { findProgram } from './programs.js';

const startAttempts = 5;

export interface LocalRedis {
  readonly url: string;
  /** Ends the server, unless it is the one that REDIS_URL names. Safe to call twice. */
  stop(): Promise<void>;
}

/**
 * A Redis to work with: the one that `REDIS_URL` names, else a private `redis-server` or `valkey-server` from the
 * PATH on a free port of 127.0.0.1, without persistence; null when there is neither. A private one ends with this
 * process, however that ends.
 */
export async function startRedis(env: NodeJS.ProcessEnv = process.env): Promise<LocalRedis | null> {
  const given = env['REDIS_URL'];
  if (given !== undefined && given !== '') return { url: given, stop: async () => undefined };
  const server = await startRedisServer({ env });
  return server && { url: `redis://127.0.0.1:${server.port}`, stop: () => server.stop() };
}

export interface RedisServerOptions {
  /** After those that every server here has; of two of the same name the later counts. */
  readonly args?: (port: number) => readonly string[];
  /** A sentinel, which monitors what this file says. */
  readonly sentinel?: string;
  readonly env?: NodeJS.ProcessEnv;
}

export interface RedisServer {
  readonly port: number;
  /** Removed by `stop`. */
  readonly directory: string;
  /** SIGKILL leaves it no time for anything. Safe to call twice. */
  stop(signal?: NodeJS.Signals): Promise<void>;
}

/** A private server as `startRedis` starts it, for tests that need one of a certain kind; null where there is none. */
export async function startRedisServer(options: RedisServerOptions = {}): Promise<RedisServer | null> {
  const { env = process.env } = options;
  const file = (await findProgram('redis-server', env)) ?? (await findProgram('valkey-server', env));
  return file === null ? null : startPrivately(file, options);
}

async function startPrivately(file: string, options: RedisServerOptions): Promise<RedisServer> {
  const directory = await mkdtemp(join(tmpdir(), 'afterimage-redis-'));
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await startOnce(file, directory, options);
    } catch (error) {
      const portTaken = error instanceof Error && error.message.includes('Address already in use');
      if (portTaken && attempt < startAttempts) continue;
      await rm(directory, { recursive: true, force: true });
      throw error;
    }
  }
}

const dataSettings = ['--save', '', '--appendonly', 'no', '--maxmemory-policy', 'noeviction'];

async function startOnce(
  file: string,
  directory: string,
  { args = () => [], sentinel }: RedisServerOptions,
): Promise<RedisServer> {
  const port = await findFreePort();
  const common = ['--port', String(port), '--bind', '127.0.0.1', '--dir', directory];
  const configuration = join(directory, 'sentinel.conf');
  if (sentinel !== undefined) await writeFile(configuration, sentinel);
  const server = await startChildServer({
    name: 'Redis',
    file,
    args:
      sentinel === undefined
        ? [...common, ...dataSettings, ...args(port)]
        : [configuration, '--sentinel', ...common, ...args(port)],
    cwd: directory,
    readyText: sentinel === undefined ? 'eady to accept connections' : 'Sentinel ID is',
    readyTimeoutMs: 20_000,
    temporaryDirectory: directory,
  });
  return {
    port,
    directory,
    stop: async (signal = 'SIGTERM') => {
      await server.stop(signal);
      await rm(directory, { recursive: true, force: true });
    },
  };
}
