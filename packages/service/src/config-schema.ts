import { z } from 'zod';

/**
 * The one configuration file, `afterimage.yaml`. Every setting has its default and its description here; the
 * commented file that `afterimage init` writes and docs/configuration.md are made from this schema.
 */
const duration = (ms: number) => z.int().positive().default(ms);
const identifier = z.string().min(1).max(64);

export const columnConfig = z.strictObject({
  type: z.string().optional().describe("full MariaDB type where the stream does not tell it: decimal(20,4), enum('a','b'), datetime(3), binary(16)"),
  charset: z.enum(['utf8', 'latin1']).optional().describe('character set of a text column whose bytes are not UTF-8 (the stream sends those as hex)'),
  postgres: z.string().optional().describe('PostgreSQL type of the mirror column, instead of the default mapping'),
});

export const tableConfig = z.strictObject({
  key: z.array(identifier).min(1).optional().describe('columns that identify a row; without it rows are matched whole'),
  as: z.string().regex(/^[^.]+\.[^.]+$/).optional().describe('mirror name in PostgreSQL, schema.table'),
  columns: z.record(z.string(), columnConfig).optional(),
  rename: z.enum(['infer', 'drop-add', 'halt']).optional().describe('a column that leaves while another of the same type comes at its place'),
  onRefused: z.enum(['dead-letter', 'halt']).optional().describe('what to do with a row that PostgreSQL refuses'),
});

const tlsConfig = z.strictObject({
  ca: z.string().optional().describe('path of the CA certificate, PEM'),
  cert: z.string().optional(),
  key: z.string().optional(),
  servername: z.string().optional(),
  rejectUnauthorized: z.boolean().default(true),
});

export const sourceConfig = z.strictObject({
  host: z.string().min(1),
  port: z.int().min(1).max(65535).default(4001),
  user: z.string().min(1),
  password: z.string().describe('or AFTERIMAGE_SOURCE_<NAME>_PASSWORD in the environment'),
  tls: tlsConfig.optional(),
  timeZone: z.string().default('UTC').describe('time zone of the MaxScale host: TIMESTAMP values arrive in it'),
  tables: z
    .record(z.string().regex(/^[^.]+\.[^.]+$/, 'write database.table or database.*'), tableConfig.nullable())
    .describe('tables to replicate: database.table, or database.* resolved against knownTables'),
  knownTables: z.array(z.string()).default([]).describe('what patterns are resolved against'),
  schemas: z.record(z.string(), z.string()).default({}).describe('source database → PostgreSQL schema, where the names differ'),
  timeouts: z
    .strictObject({ dialMs: duration(10_000), handshakeMs: duration(30_000), writeMs: duration(10_000), resumeMs: duration(30_000), idleCheckMs: duration(300_000) })
    .prefault({}),
  maxLineBytes: z.int().positive().default(64 * 1024 * 1024),
});

export const configSchema = z.strictObject({
  postgres: z.strictObject({ url: z.string().min(1).describe('or AFTERIMAGE_POSTGRES_URL') }),
  queue: z
    .strictObject({
      backend: z.enum(['redis', 'postgres']).default('redis'),
      url: z.string().optional().describe('redis://… (or AFTERIMAGE_REDIS_URL); the postgres backend uses postgres.url when absent'),
      prefix: z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/).default('afterimage').describe('Redis key prefix, or PostgreSQL schema of the queue tables'),
    })
    .prefault({}),
  sources: z.record(z.string().regex(/^[a-z][a-z0-9_-]{0,30}$/), sourceConfig),
  reader: z
    .strictObject({
      maxBatchEvents: z.int().positive().default(2000),
      maxBatchBytes: z.int().positive().default(1024 * 1024),
      lingerMs: z.int().nonnegative().default(5),
      maxQueuedBatches: z.int().positive().default(16).describe('per stream: batches sent and not yet applied'),
      maxQueuedBytes: z.int().positive().default(16 * 1024 * 1024).describe('per stream'),
    })
    .prefault({}),
  writer: z
    .strictObject({
      connections: z.int().positive().default(4).describe('PostgreSQL connections of one writer process'),
      zeroDates: z.enum(['null', '-infinity']).default('null'),
      nulCharacters: z.enum(['remove', 'replace']).default('remove').describe('NUL inside text, which PostgreSQL cannot store: remove it or put U+FFFD'),
      rename: z.enum(['infer', 'drop-add', 'halt']).default('infer'),
      onRefused: z.enum(['dead-letter', 'halt']).default('dead-letter'),
      historySuffix: z.string().default('_history').describe('history of schema shop lives in shop_history'),
      historyIndex: z.enum(['key', 'none']).default('key').describe('index history segments by key, for the history of one row'),
    })
    .prefault({}),
  service: z
    .strictObject({
      logLevel: z.enum(['debug', 'info', 'warn', 'error']).default('info'),
      httpHost: z.string().default('127.0.0.1'),
      readerPort: z.int().min(0).max(65535).optional().describe('health and metrics of the reader; absent = none'),
      writerPort: z.int().min(0).max(65535).optional(),
    })
    .prefault({}),
});

export type Config = z.infer<typeof configSchema>;
export type SourceConfig = z.infer<typeof sourceConfig>;
export type TableConfig = z.infer<typeof tableConfig>;
export type ColumnConfig = z.infer<typeof columnConfig>;
