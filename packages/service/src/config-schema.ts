import { z } from 'zod';

/**
 * The one configuration file, `afterimage.yaml`. Every setting has its default and its description here; the
 * commented file that `afterimage init` writes and docs/configuration.md are made from this schema, and the
 * settings that may come from the environment are applied to it in config.ts.
 */
const milliseconds = (value: number, description: string) => z.int().positive().default(value).describe(description);
const bytes = (value: number, description: string) => z.int().positive().default(value).describe(description);
const identifier = z.string().min(1).max(64);
const tableName = /^[^.]+\.[^.]+$/;

const renamePolicy = z.enum(['infer', 'drop-add', 'halt']);
const indexPolicy = z.enum(['none', 'same']);
const labelPolicy = z.enum(['check', 'enum', 'none']);
const refusedPolicy = z.enum(['dead-letter', 'halt']);

export const columnConfig = z.strictObject({
  type: z
    .string()
    .optional()
    .describe(
      "full MariaDB type, which the stream does not tell: decimal(20,4), enum('a','b'), set('x','y'), datetime(3), binary(16)",
    ),
  charset: z
    .enum(['utf8', 'latin1'])
    .optional()
    .describe('character set of a text column whose bytes are not UTF-8 (the stream sends those as hex)'),
  postgres: z.string().optional().describe('PostgreSQL type of the mirror column, instead of the default mapping'),
  lookup: z
    .boolean()
    .optional()
    .describe(
      "read its values from MariaDB by the row's key when a row changes; absent = where the stream loses or bends them (needs mariadb)",
    ),
});

export const tableConfig = z.strictObject({
  key: z
    .array(identifier)
    .min(1)
    .optional()
    .describe(
      'columns that identify a row; without it the primary key in MariaDB (needs mariadb), else rows are matched whole, which is slower',
    ),
  as: z
    .string()
    .regex(tableName, 'write schema.table')
    .optional()
    .describe('mirror name in PostgreSQL, schema.table, where it should differ from database.table'),
  columns: z.record(z.string(), columnConfig).optional().describe('what the stream does not tell about columns'),
  partitions: z
    .int()
    .min(1)
    .max(256)
    .optional()
    .describe(
      'lanes that writers work on at once, for a table with more changes than one writer applies; needs a key, here or in MariaDB (absent = 1)',
    ),
  labels: labelPolicy.optional().describe('overrides writer.labels for this table'),
  indexes: indexPolicy.optional().describe('overrides writer.indexes for this table'),
  rename: renamePolicy.optional().describe('overrides writer.rename for this table'),
  onRefused: refusedPolicy.optional().describe('overrides writer.onRefused for this table'),
});

const tlsConfig = z.strictObject({
  ca: z.string().optional().describe('path of the CA certificate, PEM; without it the system certificates are trusted'),
  cert: z.string().optional().describe('path of the client certificate, PEM'),
  key: z.string().optional().describe('path of the client key, PEM'),
  servername: z.string().optional().describe('name that the server certificate must have, where it is not the host'),
  rejectUnauthorized: z.boolean().default(true).describe('false accepts any server certificate: only for tests'),
});

const timeoutsConfig = z.strictObject({
  dialMs: milliseconds(10_000, 'to open the connection'),
  handshakeMs: milliseconds(30_000, 'for each answer of the handshake'),
  writeMs: milliseconds(10_000, 'to send one command'),
  resumeMs: milliseconds(30_000, 'for the first event after a resume, before other ways to resume are tried'),
  idleCheckMs: milliseconds(300_000, 'without any byte, after which the connection is opened anew'),
});

const isTimeZone = (name: string): boolean => {
  try {
    return new Intl.DateTimeFormat('en', { timeZone: name }).resolvedOptions().timeZone !== '';
  } catch {
    return false;
  }
};

/**
 * A password that is not percent-encoded can move the end of the host: what is left of it would be shown as the name of
 * the database. White space ends the URL for everything that hides passwords.
 */
const isUrlOf = (schemes: readonly string[]) => (text: string) => {
  if (!URL.canParse(text) || /[\s\p{C}]/u.test(text)) return false;
  const { protocol, pathname } = new URL(text);
  return schemes.includes(protocol) && !pathname.includes('@');
};
const encoding = '; write special characters of the password as %20 and the like';

const mariadbConfig = z.strictObject({
  url: z
    .string()
    .refine(isUrlOf(['mariadb:', 'mysql:']), `write mariadb://user:password@host:3306${encoding}`)
    .describe(
      'mariadb://user:password@host:3306, a user that may SELECT the tables (or AFTERIMAGE_SOURCE_<NAME>_MARIADB_URL)',
    ),
  tls: tlsConfig.optional().describe('absent = no TLS; `tls: {}` = TLS with the defaults'),
});

const restConfig = z.strictObject({
  url: z
    .string()
    .refine(isUrlOf(['http:', 'https:']), 'write http://host:8989 or https://host:8989')
    .refine((text) => !URL.canParse(text) || new URL(text).username === '', 'write user and password as settings')
    .describe("http://host:8989, MaxScale's REST API; `afterimage doctor` looks at versions and settings there"),
  user: z.string().min(1).default('admin').describe('a user of the REST API; one that may only read is enough'),
  password: z
    .string()
    .default('')
    .describe('its password; better AFTERIMAGE_SOURCE_<NAME>_REST_PASSWORD in the environment'),
});

export const sourceConfig = z.strictObject({
  host: z.string().min(1).describe('host of the CDC listener'),
  port: z.int().min(1).max(65535).default(4001).describe('port of the CDC listener'),
  user: z.string().min(1).describe('CDC user'),
  password: z.string().describe('its password; better AFTERIMAGE_SOURCE_<NAME>_PASSWORD in the environment'),
  tls: tlsConfig.optional().describe('absent = no TLS; `tls: {}` = TLS with the defaults'),
  mariadb: mariadbConfig
    .optional()
    .describe(
      'the MariaDB server behind MaxScale, which knows what the stream does not tell: keys, exact types, labels; absent = only what is configured is known',
    ),
  rest: restConfig.optional().describe("MaxScale's REST API, for `afterimage doctor`; absent = it is not asked"),
  timeZone: z
    .string()
    .refine(isTimeZone, 'not a time zone name: write one like UTC or Europe/Berlin')
    .default('UTC')
    .describe('time zone of the MaxScale host: TIMESTAMP values arrive in it'),
  tables: z
    .record(z.string().regex(/^[^.]+\.[^.]+$/, 'write database.table or database.*'), tableConfig.nullable())
    .describe('tables to replicate: database.table, or database.* resolved against knownTables'),
  knownTables: z
    .array(z.string().regex(tableName, 'write database.table'))
    .default([])
    .describe('tables that a database.* pattern stands for, as database.table'),
  schemas: z
    .record(z.string(), identifier)
    .default({})
    .describe('source database → PostgreSQL schema, where the names differ'),
  timeouts: timeoutsConfig.prefault({}).describe('how long to wait for MaxScale'),
  maxLineBytes: bytes(64 * 1024 * 1024, 'longest event that is accepted'),
});

const redisUrl = z.string().refine(isUrlOf(['redis:', 'rediss:']), 'write redis://host:port or rediss://host:port');

const redisConfig = z.strictObject({
  cluster: z
    .array(redisUrl)
    .min(1)
    .optional()
    .describe('Redis Cluster, instead of queue.url: URLs of some of its nodes; the others are found through them'),
  sentinels: z
    .array(redisUrl)
    .min(1)
    .optional()
    .describe('Redis Sentinel, instead of queue.url: URLs of the sentinels, redis://host:26379'),
  masterName: z.string().min(1).optional().describe('name under which the sentinels know the master'),
  sentinelUser: z.string().min(1).optional().describe('ACL user of the sentinels'),
  sentinelPassword: z
    .string()
    .min(1)
    .optional()
    .describe('password of the sentinels; better AFTERIMAGE_REDIS_SENTINEL_PASSWORD in the environment'),
  user: z.string().min(1).optional().describe('ACL user, where no URL names one'),
  password: z
    .string()
    .min(1)
    .optional()
    .describe('password, where no URL has one; better AFTERIMAGE_REDIS_PASSWORD in the environment'),
  database: z
    .int()
    .min(0)
    .optional()
    .describe('database number with sentinels; a URL has it as its path, redis://host:6379/2'),
  tls: tlsConfig
    .optional()
    .describe('TLS on all connections, as with rediss:// but with these settings; absent = as the URLs say'),
});

const queueConfig = z.strictObject({
  backend: z.enum(['redis', 'postgres']).default('redis').describe('where BullMQ keeps the jobs'),
  url: z
    .string()
    .refine(
      isUrlOf(['redis:', 'rediss:', 'postgres:', 'postgresql:']),
      `write redis://host:6379 or postgres://…${encoding}`,
    )
    .optional()
    .describe('redis://… (or AFTERIMAGE_REDIS_URL); the postgres backend uses postgres.url when absent'),
  redis: redisConfig.optional().describe('what the URL of a Redis does not say: cluster, sentinels, TLS, password'),
  prefix: z
    .string()
    .regex(/^[A-Za-z_][A-Za-z0-9_]*$/, 'use letters, digits and _ only, and no digit at the start')
    .default('afterimage_queue')
    .describe('Redis key prefix, or PostgreSQL schema of the queue tables'),
});

const readerConfig = z.strictObject({
  maxBatchEvents: z.int().positive().default(2000).describe('events in one batch, at most'),
  maxBatchBytes: bytes(1024 * 1024, 'bytes of events in one batch, at most (one longer event still goes through)'),
  lingerMs: z.int().nonnegative().default(5).describe('how long a batch waits for more events'),
  maxQueuedBatches: z.int().positive().default(16).describe('per stream: batches sent and not yet applied'),
  maxQueuedBytes: bytes(16 * 1024 * 1024, 'per stream: bytes of events sent and not yet applied'),
});

const writerConfig = z.strictObject({
  connections: z.int().positive().default(4).describe('PostgreSQL connections of one writer process'),
  zeroDates: z.enum(['null', '-infinity']).default('null').describe("what MariaDB's 0000-00-00 becomes"),
  nulCharacters: z
    .enum(['remove', 'replace'])
    .default('remove')
    .describe('NUL inside text, which PostgreSQL cannot store: remove it or put U+FFFD'),
  rename: renamePolicy
    .default('infer')
    .describe(
      'a column that leaves while another of the same type comes at its place: rename it, drop and add, or halt',
    ),
  onRefused: refusedPolicy
    .default('dead-letter')
    .describe('a row that PostgreSQL refuses: keep it as a dead letter and go on, or halt the stream'),
  historySuffix: z.string().min(1).default('_history').describe('history of schema shop lives in shop_history'),
  labels: labelPolicy
    .default('check')
    .describe(
      'mirror columns of ENUM and SET, where their labels are known: text with a CHECK of them (needs mariadb), a PostgreSQL enum type (SET stays text with a CHECK), or plain text',
    ),
  indexes: indexPolicy
    .default('none')
    .describe(
      "same: mirrors get the indexes that MariaDB's tables have besides the key; unique ones are enforced at commit in tables with one partition, plain otherwise (needs mariadb)",
    ),
  historyIndex: z
    .enum(['key', 'none'])
    .default('key')
    .describe('index history segments by key, for the history of one row'),
});

const changePolicy = z.enum(['resync', 'repair', 'halt', 'ignore']);

const watcherConfig = z.strictObject({
  intervalMs: milliseconds(10_000, 'how often MariaDB is asked what its tables look like'),
  quietMs: milliseconds(3000, 'a table, or source, without events for so long has come to what MariaDB says now'),
  replaced: changePolicy
    .default('resync')
    .describe(
      'rows of a table that may have been replaced without events (TRUNCATE, EXCHANGE PARTITION, a table dropped and created anew): compare, and copy the table again where it differs; compare and rewrite single rows; stop its stream; or only record it',
    ),
  filled: changePolicy
    .default('resync')
    .describe(
      'a column that was added: rows that were there may have other values than its definition tells, such as uuid() or a default that was changed since',
    ),
  modified: changePolicy.default('resync').describe('a column that was altered, which may have changed values'),
  renamed: changePolicy
    .default('resync')
    .describe(
      'columns that were renamed, or may have been: their mirror columns are called as MariaDB calls them in any case, when it is known which is which',
    ),
  gone: z
    .enum(['halt', 'ignore'])
    .default('ignore')
    .describe('a table that was dropped or renamed: stop its stream, or only record it; the mirror keeps its rows'),
});

const serviceConfig = z.strictObject({
  logLevel: z.enum(['debug', 'info', 'warn', 'error']).default('info').describe('least level that is logged'),
  httpHost: z.string().default('127.0.0.1').describe('address of the health and metrics endpoints'),
  readerPort: z
    .int()
    .min(0)
    .max(65535)
    .optional()
    .describe('port of /healthz, /readyz and /metrics of the reader; absent = none, 0 = any free one'),
  writerPort: z
    .int()
    .min(0)
    .max(65535)
    .optional()
    .describe('the same of the writer; `writer --count` gives each further one the next port'),
  watcherPort: z.int().min(0).max(65535).optional().describe('the same of the watcher'),
});

export const configSchema = z.strictObject({
  postgres: z
    .strictObject({
      url: z
        .string()
        .refine(isUrlOf(['postgres:', 'postgresql:']), `write postgres://user:password@host:5432/database${encoding}`)
        .describe('postgres://user:password@host:5432/database (or AFTERIMAGE_POSTGRES_URL)'),
    })
    .describe('the database of mirror, history and progress'),
  queue: queueConfig.prefault({}).describe('BullMQ, between reader and writers'),
  sources: z
    .record(
      z.string().regex(/^[a-z][a-z0-9_-]{0,30}$/, 'name a source with small letters, digits, - and _, a letter first'),
      sourceConfig,
    )
    .refine((sources) => Object.keys(sources).length > 0, 'name at least one source')
    .describe('MaxScale servers by a name of your own'),
  reader: readerConfig.prefault({}).describe('how events become batches'),
  writer: writerConfig.prefault({}).describe('how batches become rows'),
  watcher: watcherConfig
    .prefault({})
    .describe('what `afterimage watcher` does about changes in MariaDB that its stream does not tell of'),
  service: serviceConfig.prefault({}).describe('logging, health and metrics'),
});

export type Config = z.infer<typeof configSchema>;
export type TlsConfig = z.infer<typeof tlsConfig>;
export type SourceConfig = z.infer<typeof sourceConfig>;
export type TableConfig = z.infer<typeof tableConfig>;
export type ColumnConfig = z.infer<typeof columnConfig>;
