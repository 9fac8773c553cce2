import { Cluster, type Redis } from 'ioredis';
import type { RedisClient } from './redis-client.js';

export interface Server {
  readonly client: Redis;
  readonly place: string;
}

interface Setting {
  readonly name: string;
  /** Where INFO says it, for servers that do not allow CONFIG. */
  readonly section: string;
  readonly field: string;
  readonly isRight: (value: string) => boolean;
  readonly risk: string;
  readonly cure: string;
}

/** What a Redis must be set to, lest it lose batches in daily life. */
const settings: readonly Setting[] = [
  {
    name: 'maxmemory-policy',
    section: 'memory',
    field: 'maxmemory_policy',
    isRight: (value) => value === 'noeviction',
    risk: 'it may throw away batches when its memory is full',
    cure: 'set maxmemory-policy noeviction (CONFIG SET at once, redis.conf for good, or the parameter group of a managed Redis)',
  },
  {
    name: 'appendonly',
    section: 'persistence',
    field: 'aof_enabled',
    isRight: (value) => value === 'yes' || value === '1',
    risk: 'a restart loses the batches it holds, which the readers then read again',
    cure: 'set appendonly yes and appendfsync everysec (CONFIG SET at once, redis.conf for good)',
  },
];

/**
 * What is wrong with the settings of a Redis, or of each master of a cluster: complete sentences for the log, none when
 * all is well. What a server does not tell is a sentence too. Never rejects. `place` is where the client connects to.
 */
export async function findRedisRisks(client: RedisClient, place: string): Promise<string[]> {
  const risks = new Map<string, string[]>();
  for (const server of listMasters(client, place)) {
    for (const setting of settings) {
      const value = await readSetting(server.client, setting).catch(() => undefined);
      if (value !== undefined && setting.isRight(value)) continue;
      const text = describe(setting, value);
      risks.set(text, [...(risks.get(text) ?? []), server.place]);
    }
  }
  return [...risks].map(([text, places]) => `${places.join(', ')} ${text}`);
}

/** Each server that holds data of its own. */
export function listMasters(client: RedisClient, place: string): Server[] {
  if (!(client instanceof Cluster)) return [{ client, place }];
  return client.nodes('master').map((node) => {
    const { host, port } = node.options as { host?: string; port?: number };
    return { client: node, place: `Redis at ${host}:${port}` };
  });
}

function describe({ name, risk, cure }: Setting, value: string | undefined): string {
  if (value === undefined) return `does not tell its ${name}, so it was not checked; if it is wrong, ${risk}: ${cure}`;
  return `has ${name} ${value}: ${risk}. To mend it, ${cure}`;
}

/** The setting of this name, by CONFIG or else by INFO; undefined when the server tells neither. */
export async function readRedisSetting(
  server: Redis,
  name: 'maxmemory-policy' | 'appendonly',
): Promise<string | undefined> {
  const setting = settings.find((known) => known.name === name);
  return setting && readSetting(server, setting);
}

async function readSetting(server: Redis, { name, section, field }: Setting): Promise<string | undefined> {
  const configured = await server.call('CONFIG', 'GET', name).catch(() => undefined);
  if (Array.isArray(configured) && configured[0] === name) return String(configured[1]);
  const told = String(await server.call('INFO', section));
  return new RegExp(`^${field}:(\\S+)`, 'm').exec(told)?.[1];
}
