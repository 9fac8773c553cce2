import { Cluster, Redis, type RedisOptions } from 'ioredis';
import { defaultAnswerMs } from './answer-time.js';
import { PatientSentinelConnector } from './sentinel-connector.js';

/** Without what would change the form of replies under BullMQ. */
type Options = Omit<RedisOptions, 'replyMapping'>;

/** A certificate's text is PEM. */
export interface RedisTls {
  readonly ca?: string | undefined;
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
  readonly servername?: string | undefined;
  readonly rejectUnauthorized?: boolean | undefined;
}

/** What a Redis needs beside, or instead of, its URL. */
export interface RedisSettings {
  /** URLs of some nodes of a Redis Cluster; the others are found through them. */
  readonly cluster?: readonly string[] | undefined;
  /** URLs of the sentinels that know which server is the master called `masterName`. */
  readonly sentinels?: readonly string[] | undefined;
  readonly masterName?: string | undefined;
  readonly sentinelUser?: string | undefined;
  readonly sentinelPassword?: string | undefined;
  /** ACL user and password, before those of a URL. */
  readonly user?: string | undefined;
  readonly password?: string | undefined;
  /** Number of the database, with sentinels; a URL has it in its path, a cluster has only 0. */
  readonly database?: number | undefined;
  /** For every connection; sentinels included. `rediss://` stands for one with the defaults. */
  readonly tls?: RedisTls | undefined;
}

export interface RedisTarget {
  readonly url?: string | undefined;
  readonly redis?: RedisSettings | undefined;
  /** A connection that owes an answer for so long is given up for a new one. Default 15 s. */
  readonly answerMs?: number | undefined;
}

export type RedisClient = Redis | Cluster;

const dialTimeoutMs = 10_000;
/** Reconnect pause: 100 ms, growing to 2 s. */
const reconnectPauseMs = (attempt: number): number => Math.min(attempt * 100, 2_000);
const defaultPort = 6379;
const defaultSentinelPort = 26379;

/** A client that connects again for as long as it takes. */
export function openRedis(target: RedisTarget): RedisClient {
  return create(target, {
    // Commands wait for the connection to come back instead of failing; BullMQ's workers insist on it.
    maxRetriesPerRequest: null,
    retry: reconnectPauseMs,
  });
}

/** A client that is not connected yet, and tries once. */
export function openProbe(target: RedisTarget): RedisClient {
  return create(target, { maxRetriesPerRequest: 0, retry: () => null });
}

interface Patience {
  readonly maxRetriesPerRequest: number | null;
  readonly retry: (attempt: number) => number | null;
}

function create(target: RedisTarget, { maxRetriesPerRequest, retry }: Patience): RedisClient {
  const lazyConnect = maxRetriesPerRequest !== null;
  const { cluster, sentinels, tls } = target.redis ?? {};
  const common: Options = {
    connectTimeout: dialTimeoutMs,
    keepAlive: 10_000,
    socketTimeout: target.answerMs ?? defaultAnswerMs,
    maxRetriesPerRequest,
    ...(tls === undefined ? {} : { tls: dropUndefined(tls) }),
  };
  if (cluster !== undefined) {
    return new Cluster(
      cluster.map((url) => hostOf(url, defaultPort)),
      {
        redisOptions: { ...common, ...(tls === undefined ? tlsOf(cluster) : {}), ...credentialsOf(target, cluster) },
        clusterRetryStrategy: retry,
        slotsRefreshTimeout: dialTimeoutMs,
        // Certificates are for names: nodes that are announced by name must not be reached by address.
        dnsLookup: (host, done) => done(null, host),
        lazyConnect,
      },
    );
  }
  const single: Options = { ...common, retryStrategy: retry, reconnectOnError: wasDemoted, lazyConnect };
  if (sentinels === undefined) return new Redis(withCredentials(target), single);
  return new Redis({ ...single, ...sentinelOptions(target, sentinels), sentinelRetryStrategy: retry });
}

function sentinelOptions(target: RedisTarget, sentinels: readonly string[]): Options {
  const { masterName, sentinelUser, sentinelPassword, database, tls } = target.redis ?? {};
  const overTls = tls === undefined ? tlsOf(sentinels).tls : dropUndefined(tls);
  return {
    sentinels: sentinels.map((url) => hostOf(url, defaultSentinelPort)),
    name: masterName ?? '',
    ...dropUndefined({ sentinelUsername: sentinelUser, sentinelPassword, db: database }),
    ...dropUndefined({ username: target.redis?.user, password: target.redis?.password }),
    ...(overTls === undefined ? {} : { tls: overTls, sentinelTLS: overTls, enableTLSForSentinelMode: true }),
    // A master that is cut off, not dead, leaves its connections open: the sentinels tell.
    failoverDetector: true,
    Connector: PatientSentinelConnector,
  };
}

/** A server that was the master and is none any more: connect anew, and send the command again. */
const wasDemoted = (error: Error): false | 2 => (error.message.startsWith('READONLY ') ? 2 : false);

/** Where the servers are, for messages: never with a password. */
export function describeTarget({ url, redis = {} }: RedisTarget): string {
  const list = (urls: readonly string[], port: number): string =>
    urls.map((one) => formatHost(hostOf(one, port))).join(', ');
  if (redis.cluster !== undefined) return `the Redis Cluster at ${list(redis.cluster, defaultPort)}`;
  if (redis.sentinels === undefined) return `Redis at ${list([url ?? ''], defaultPort)}`;
  return `the Redis master "${redis.masterName}" that the sentinels know at ${list(redis.sentinels, defaultSentinelPort)}`;
}

interface Host {
  readonly host: string;
  readonly port: number;
}

const formatHost = ({ host, port }: Host): string => `${host}:${port}`;

function hostOf(url: string, port: number): Host {
  if (!URL.canParse(url)) return { host: url, port };
  const { hostname, port: given } = new URL(url);
  return { host: hostname.replace(/^\[(.*)\]$/, '$1') || 'localhost', port: given === '' ? port : Number(given) };
}

function tlsOf(urls: readonly string[]): { readonly tls?: object } {
  return urls.some((url) => url.startsWith('rediss:')) ? { tls: {} } : {};
}

/** The settings', else those of the first URL that has some. */
function credentialsOf({ redis = {} }: RedisTarget, urls: readonly string[]): Options {
  const found = urls.map((url) => new URL(url)).find(({ username, password }) => `${username}${password}` !== '');
  const user = redis.user ?? decodeURIComponent(found?.username ?? '');
  const password = redis.password ?? decodeURIComponent(found?.password ?? '');
  return { ...(user === '' ? {} : { username: user }), ...(password === '' ? {} : { password }) };
}

function withCredentials({ url = '', redis = {} }: RedisTarget): string {
  if (redis.user === undefined && redis.password === undefined) return url;
  const complete = new URL(url);
  if (redis.user !== undefined) complete.username = encodeURIComponent(redis.user);
  if (redis.password !== undefined) complete.password = encodeURIComponent(redis.password);
  return complete.href;
}

type Defined<T> = { [K in keyof T]?: Exclude<T[K], undefined> };

function dropUndefined<T extends object>(settings: T): Defined<T> {
  return Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== undefined)) as Defined<T>;
}
