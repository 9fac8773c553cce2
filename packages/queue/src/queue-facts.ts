import type { Redis } from 'ioredis';
import pg from 'pg';
import type { QueueOptions } from './connection.js';
import { listMasters, readRedisSetting } from './redis-check.js';
import { describeTarget, openProbe, type RedisClient } from './redis-client.js';

/** What the store of the queues holds and how it is set, for diagnosis. Nothing is created by reading it. */
export interface QueueFacts {
  /** Each master of a Redis; none with PostgreSQL. */
  readonly servers: readonly RedisFacts[];
  /** False where BullMQ's tables are not there yet. */
  readonly isPrepared: boolean;
  /** Queues of the configured prefix that hold something or did. */
  readonly queues: readonly QueueContent[];
}

export interface RedisFacts {
  readonly place: string;
  readonly version: string;
  /** Null: it does not tell. */
  readonly policy: string | null;
  readonly appendOnly: string | null;
  readonly usedBytes: number;
  /** 0: as much as there is. */
  readonly maxBytes: number;
  readonly role: string;
  /** `ok`, or how its last attempt to save went. */
  readonly lastSave: string;
}

export interface QueueContent {
  /** `stream-<id>-<partition>` of this program, or anything that somebody else put there. */
  readonly name: string;
  /** Waiting, delayed or in work. */
  readonly waiting: number;
  readonly failed: number;
  readonly isPaused: boolean;
  /** Of the batch that has waited longest; null when there is none, or it is none of ours. */
  readonly oldest: { readonly layout: number; readonly enqueuedAt: number } | null;
}

const answerMs = 5_000;

/** Rejects when the store is away or refuses. */
export async function readQueueFacts(options: QueueOptions): Promise<QueueFacts> {
  return options.backend === 'redis' ? readRedis(options) : readPostgres(options);
}

async function readRedis(options: QueueOptions): Promise<QueueFacts> {
  const client = openProbe({ ...options, answerMs: options.answerMs ?? answerMs });
  let cause: unknown;
  client.on('error', (error: unknown) => (cause = error));
  try {
    await client.connect();
    await client.ping();
    const servers: RedisFacts[] = [];
    const queues: QueueContent[] = [];
    for (const { client: server, place } of listMasters(client, describeTarget(options))) {
      servers.push(await readServer(server, place));
      for (const name of await listQueues(server, options.prefix)) {
        queues.push(await readRedisQueue(client, `${options.prefix}:${name}`, untag(name)));
      }
    }
    return { servers, isPrepared: true, queues };
  } catch (error) {
    throw cause ?? error;
  } finally {
    client.disconnect();
  }
}

async function readServer(server: Redis, place: string): Promise<RedisFacts> {
  const info = String(await server.call('INFO'));
  const field = (name: string): string | undefined => new RegExp(`^${name}:(\\S+)`, 'm').exec(info)?.[1];
  return {
    place,
    version: field('valkey_version') ?? field('redis_version') ?? '',
    policy: (await readRedisSetting(server, 'maxmemory-policy').catch(() => undefined)) ?? null,
    appendOnly: (await readRedisSetting(server, 'appendonly').catch(() => undefined)) ?? null,
    usedBytes: Number(field('used_memory') ?? 0),
    maxBytes: Number(field('maxmemory') ?? 0),
    role: field('role') ?? 'master',
    lastSave:
      [field('rdb_last_bgsave_status'), field('aof_last_write_status')].find(
        (status) => status !== undefined && status !== 'ok',
      ) ?? 'ok',
  };
}

/** BullMQ keeps a key `<prefix>:<queue>:meta` for each queue. */
async function listQueues(server: Redis, prefix: string): Promise<string[]> {
  const names = new Set<string>();
  let cursor = '0';
  do {
    const [next, keys] = await server.scan(cursor, 'MATCH', `${prefix}:*:meta`, 'COUNT', 1000);
    for (const key of keys) names.add(key.slice(prefix.length + 1, -':meta'.length));
    cursor = next;
  } while (cursor !== '0');
  return [...names].sort();
}

async function readRedisQueue(client: RedisClient, key: string, name: string): Promise<QueueContent> {
  const [wait, paused, active, delayed, failed] = await Promise.all([
    client.llen(`${key}:wait`),
    client.llen(`${key}:paused`),
    client.llen(`${key}:active`),
    client.zcard(`${key}:delayed`),
    client.zcard(`${key}:failed`),
  ]);
  const job =
    (await client.lindex(`${key}:wait`, '-1')) ??
    (await client.zrange(`${key}:delayed`, '0', '0'))[0] ??
    (await client.lindex(`${key}:active`, '-1'));
  const payload = typeof job === 'string' ? await client.hget(`${key}:${job}`, 'data') : null;
  return {
    name,
    waiting: wait + paused + active + delayed,
    failed,
    isPaused: (await client.hexists(`${key}:meta`, 'paused')) === 1,
    oldest: payload === null ? null : describeJob(payload),
  };
}

async function readPostgres({ url, prefix }: QueueOptions): Promise<QueueFacts> {
  const client = new pg.Client({
    connectionString: url,
    connectionTimeoutMillis: answerMs,
    query_timeout: answerMs,
    application_name: 'afterimage doctor',
  });
  client.on('error', () => undefined);
  try {
    await client.connect();
    const schema = client.escapeIdentifier(prefix);
    const { rows: found } = await client.query<{ found: boolean }>('SELECT to_regclass($1) IS NOT NULL AS found', [
      `${schema}.job`,
    ]);
    if (found[0]?.found !== true) return { servers: [], isPrepared: false, queues: [] };
    const { rows } = await client.query<QueueRow>(`
      SELECT q.queue, count(j.id) FILTER (WHERE j.state IN ('waiting', 'active', 'delayed'))::int AS waiting,
             count(j.id) FILTER (WHERE j.state = 'failed')::int AS failed,
             EXISTS (SELECT FROM ${schema}.meta m WHERE m.queue = q.queue AND m.field = 'paused') AS "isPaused",
             (SELECT o.data::text FROM ${schema}.job o WHERE o.queue = q.queue AND o.state IN ('waiting', 'active', 'delayed')
              ORDER BY o.seq LIMIT 1) AS payload
      FROM (SELECT queue FROM ${schema}.meta UNION SELECT queue FROM ${schema}.job) AS q
      LEFT JOIN ${schema}.job j ON j.queue = q.queue
      GROUP BY q.queue ORDER BY q.queue`);
    const queues = rows.map(({ queue, payload, ...counts }) => ({
      name: untag(queue),
      ...counts,
      oldest: payload === null ? null : describeJob(payload),
    }));
    return { servers: [], isPrepared: true, queues };
  } finally {
    await client.end().catch(() => undefined);
  }
}

interface QueueRow {
  readonly queue: string;
  readonly waiting: number;
  readonly failed: number;
  readonly isPaused: boolean;
  readonly payload: string | null;
}

function untag(name: string): string {
  return name.replace(/^\{(.*)\}$/s, '$1');
}

/** Only what a person may want to know; whether it can be applied is the writers' business. */
function describeJob(payload: string): QueueContent['oldest'] {
  try {
    const outer = JSON.parse(payload) as { json?: unknown };
    const { layout, enqueuedAt } = (typeof outer.json === 'string' ? JSON.parse(outer.json) : outer) as {
      layout?: unknown;
      enqueuedAt?: unknown;
    };
    return typeof layout === 'number' && typeof enqueuedAt === 'number' ? { layout, enqueuedAt } : null;
  } catch {
    return null;
  }
}
