import { type Pool, type PoolConfig, createPool } from 'mariadb';
import { parseMariadbUrl } from './connection-config.js';

/** PEM texts, and the name that the server's certificate must have. */
export interface SourceTls {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly servername?: string;
  readonly rejectUnauthorized?: boolean;
}

export interface SourceDatabaseOptions {
  /** mariadb://user:password@host:port */
  readonly url: string;
  /** Absent: no TLS. */
  readonly tls?: SourceTls | undefined;
  /** Connections at most; they are opened when needed. Default 2. */
  readonly connections?: number;
  /** How long a query waits for a connection. Default 15 s. */
  readonly acquireTimeoutMs?: number;
}

/**
 * Sessions that only read, and read alike wherever the server stands: UTC, the same quoting of names, and no rewriting of
 * long IN lists, which would keep the key from being used. A pad of blanks never belongs to a CHAR.
 */
const sessionSetup = [
  `SET SESSION time_zone = '+00:00', sql_mode = 'NO_ENGINE_SUBSTITUTION', in_predicate_conversion_threshold = 0, ` +
    `tx_isolation = 'REPEATABLE-READ', group_concat_max_len = 1073741824`,
  'SET SESSION TRANSACTION READ ONLY',
];

/**
 * A pool of connections to the MariaDB server behind MaxScale. Nothing is connected before the first query; queries
 * reject with the connector's SqlError. Throws TypeError for a URL of another form.
 */
export function openSourceDatabase({
  url,
  tls,
  connections = 2,
  acquireTimeoutMs = 15_000,
}: SourceDatabaseOptions): Pool {
  return createPool({
    ...parseMariadbUrl(url),
    ...(tls === undefined ? {} : { ssl: { ...tls } as NonNullable<PoolConfig['ssl']> }),
    connectionLimit: connections,
    minimumIdle: 0,
    idleTimeout: 60,
    connectTimeout: 10_000,
    // A server whose network died without a word would be waited for for ever.
    keepAliveDelay: 10_000,
    acquireTimeout: acquireTimeoutMs,
    initSql: sessionSetup,
    noControlAfterUse: true,
  });
}
