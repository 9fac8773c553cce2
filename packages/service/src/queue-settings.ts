import type { Config } from './config-schema.js';
import { redactUrl } from './redact.js';
import { readTlsFiles, type TlsFiles } from './tls-files.js';

interface SettingProblem {
  readonly path: readonly string[];
  readonly text: string;
}

type Group = Readonly<Record<string, unknown>>;

function isGroup(value: unknown): value is Group {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** What is wrong between the settings of `queue`, as the file and the environment have them. */
export function findQueueProblems(queue: unknown = {}): SettingProblem[] {
  if (!isGroup(queue)) return [];
  const scheme = typeof queue['url'] === 'string' ? queue['url'].split(':')[0] : undefined;
  if ((queue['backend'] ?? 'redis') !== 'redis') return findPostgresProblems(queue, scheme);
  const problems = isGroup(queue['redis']) ? findRedisProblems(queue['redis']) : [];
  return [...findAddressProblems(queue, scheme), ...problems];
}

function findPostgresProblems(queue: Group, scheme: string | undefined): SettingProblem[] {
  const problems: SettingProblem[] = [];
  const add = (name: string, text: string): void => void problems.push({ path: ['queue', name], text });
  if (queue['prefix'] === 'afterimage') add('prefix', 'is the schema of the control tables: choose another');
  if (queue['redis'] !== undefined) add('redis', 'has no meaning with `backend: postgres`: remove one of the two');
  if (scheme?.startsWith('redis')) add('url', 'is a Redis: write postgres://… or remove `backend: postgres`');
  return problems;
}

/** Exactly one of URL, cluster and sentinels says where Redis is. */
function findAddressProblems(queue: Group, scheme: string | undefined): SettingProblem[] {
  const redis = isGroup(queue['redis']) ? queue['redis'] : {};
  const places = [
    ...(queue['url'] === undefined ? [] : ['queue.url']),
    ...['cluster', 'sentinels'].filter((name) => redis[name] !== undefined).map((name) => `queue.redis.${name}`),
  ];
  if (places.length > 1) {
    const text = `: only one of queue.url, queue.redis.cluster and queue.redis.sentinels can say where Redis is, but there are ${places.join(' and ')}`;
    return [{ path: places[0]?.split('.') ?? [], text }];
  }
  if (places.length === 0) {
    const text =
      'is missing: write redis://host:6379 or set AFTERIMAGE_REDIS_URL, or use `backend: postgres`, which needs no Redis';
    return [{ path: ['queue', 'url'], text }];
  }
  if (!scheme?.startsWith('postgres')) return [];
  return [{ path: ['queue', 'url'], text: 'is a PostgreSQL: write redis://host:6379 or add `backend: postgres`' }];
}

function findRedisProblems(redis: Group): SettingProblem[] {
  const found = [...findSentinelProblems(redis), ...findUrlProblems(redis)];
  const { tls } = redis;
  if (isGroup(tls) && (tls['cert'] === undefined) !== (tls['key'] === undefined)) {
    found.push(['tls', 'has only one of cert and key: a client certificate needs both']);
  }
  return found.map(([name, text]) => ({ path: ['queue', 'redis', name], text }));
}

/** Name of the setting and what is wrong. */
type Finding = readonly [name: string, text: string];

function findSentinelProblems(redis: Group): Finding[] {
  if (redis['sentinels'] === undefined) {
    const useless = ['masterName', 'sentinelUser', 'sentinelPassword', 'database'];
    return useless.filter((name) => redis[name] !== undefined).map((name) => [name, onlyWithSentinels(name)]);
  }
  if (redis['masterName'] !== undefined) return [];
  return [['masterName', 'is missing: write the name that the sentinels monitor, as in `sentinel monitor <name> …`']];
}

function findUrlProblems(redis: Group): Finding[] {
  const found: Finding[] = [];
  const namesDatabase = ({ pathname }: URL): boolean => pathname.length > 1;
  const sentinels = listUrls(redis['sentinels']);
  if (listUrls(redis['cluster']).some(namesDatabase)) {
    found.push(['cluster', 'names a database: a cluster has only one']);
  }
  if (sentinels.some(namesDatabase)) found.push(['sentinels', 'names a database: write it as `database`']);
  if (sentinels.some(({ username, password }) => `${username}${password}` !== '')) {
    const text =
      'holds a user or password: write sentinelUser and sentinelPassword, and user and password for the master';
    found.push(['sentinels', text]);
  }
  return found;
}

function onlyWithSentinels(name: string): string {
  const instead = name === 'database' ? ': write it as the path of queue.url, redis://host:6379/2' : '';
  return `has a meaning with \`sentinels\` only${instead}`;
}

function listUrls(value: unknown): URL[] {
  if (!Array.isArray(value)) return [];
  const urls = value
    .filter((text) => typeof text === 'string' && URL.canParse(text))
    .map((text) => new URL(String(text)));
  return urls.filter(({ protocol }) => protocol === 'redis:' || protocol === 'rediss:');
}

/** Where the queue is and how to get there. */
export interface QueueStore {
  readonly backend: 'redis' | 'postgres';
  readonly prefix: string;
  /** Undefined for a cluster, or behind sentinels. */
  readonly url: string | undefined;
  readonly redis: (Omit<NonNullable<Config['queue']['redis']>, 'tls'> & { readonly tls?: TlsFiles }) | undefined;
}

/** Where the configured queue is, for people: without passwords. */
export function describeQueueStore(config: Config): string {
  const { backend, prefix, url, redis } = config.queue;
  if (backend === 'postgres') return `postgres ${redactUrl(url ?? config.postgres.url)} (schema ${prefix})`;
  const servers =
    redis?.cluster !== undefined
      ? `cluster ${redis.cluster.join(', ')}`
      : redis?.sentinels !== undefined
        ? `master ${redis.masterName} of the sentinels ${redis.sentinels.join(', ')}`
        : url;
  return `redis ${redactUrl(servers ?? '')} (prefix ${prefix})`;
}

/** What a connection to the configured queue needs. Throws when a certificate file cannot be read. */
export function resolveQueueStore(config: Config): QueueStore {
  const { backend, prefix, url, redis } = config.queue;
  if (backend === 'postgres') return { backend, prefix, url: url ?? config.postgres.url, redis: undefined };
  if (redis === undefined) return { backend, prefix, url, redis };
  const { tls, ...rest } = redis;
  return { backend, prefix, url, redis: { ...rest, ...(tls === undefined ? {} : { tls: readTlsFiles(tls) }) } };
}
