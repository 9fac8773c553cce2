import { mkdtemp, rm } from 'node:fs/promises';
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
  const file = (await findProgram('redis-server', env)) ?? (await findProgram('valkey-server', env));
  return file === null ? null : startPrivately(file);
}

async function startPrivately(file: string): Promise<LocalRedis> {
  const directory = await mkdtemp(join(tmpdir(), 'afterimage-redis-'));
  for (let attempt = 1; ; attempt += 1) {
    const port = await findFreePort();
    try {
      const server = await startChildServer({
        name: 'Redis',
        file,
        args: [
          '--port',
          String(port),
          '--bind',
          '127.0.0.1',
          '--dir',
          directory,
          '--save',
          '',
          '--appendonly',
          'no',
          '--maxmemory-policy',
          'noeviction',
        ],
        cwd: directory,
        readyText: 'eady to accept connections',
        readyTimeoutMs: 20_000,
        temporaryDirectory: directory,
      });
      return {
        url: `redis://127.0.0.1:${port}`,
        stop: async () => {
          await server.stop('SIGTERM');
          await rm(directory, { recursive: true, force: true });
        },
      };
    } catch (error) {
      const portTaken = error instanceof Error && error.message.includes('Address already in use');
      if (portTaken && attempt < startAttempts) continue;
      await rm(directory, { recursive: true, force: true });
      throw error;
    }
  }
}
