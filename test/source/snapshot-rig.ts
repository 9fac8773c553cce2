import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type BinlogFeed, startBinlogFeed } from '@afterimage/binlog-feed';
import { type FakeMaxScale, startFakeMaxScale } from '@afterimage/cdc-protocol/testing';
import { type LocalMariadb, startMariadb } from '@afterimage/local-servers';
import {
  openSourceDatabase,
  parseMariadbUrl,
  type SourceValue,
  sourceValue,
  type TableKnowledge,
} from '@afterimage/mariadb';
import {
  configuredSettings,
  quoteName,
  rebuild,
  registerStreams,
  type StoredColumn,
  type StreamRecord,
  type TableSettingsProvider,
} from '@afterimage/replica';
import { loadConfig } from '@afterimage/service';
import { type SnapshotOptions, type SnapshotResult, snapshotTable } from '@afterimage/snapshot';
import { type Connection, createConnection } from 'mariadb';
import { expect, vi } from 'vitest';
import { createDatabase, type TestDatabase, uniqueName } from '../harness/databases.js';
import { ServiceProcess } from '../replay/service-process.js';

/** A MariaDB, and a MaxScale that streams its binlog: one for a whole file of tests. */
export interface Source {
  readonly mariadb: LocalMariadb;
  readonly maxscale: FakeMaxScale;
  readonly feed: BinlogFeed;
  readonly connection: Connection;
  stop(): Promise<void>;
}

export async function startSource(): Promise<Source> {
  const mariadb = await startMariadb({
    env: { PATH: process.env['PATH'] },
    settings: { max_allowed_packet: 67_108_864 },
  });
  const maxscale = await startFakeMaxScale();
  const feed = await startBinlogFeed({ maxscale, mariadbUrl: mariadb.url, blockBytes: 2 ** 26 });
  const connection = await createConnection({ ...parseMariadbUrl(mariadb.url), multipleStatements: true });
  return {
    mariadb,
    maxscale,
    feed,
    connection,
    stop: async () => {
      await feed.stop();
      await connection.end();
      await Promise.all([maxscale.close(), mariadb.stop()]);
    },
  };
}

export interface TableUnderTest {
  readonly name: string;
  readonly key?: readonly string[];
  readonly partitions?: number;
  readonly columns?: Readonly<Record<string, { readonly type: string; readonly postgres?: string }>>;
}

/** Changes rows until it is told to stop: each statement in a transaction of its own, or some in one. */
export async function changeUntil(
  source: Source,
  statement: (n: number) => string,
  isOver: () => boolean,
): Promise<number> {
  const connection = await createConnection(parseMariadbUrl(source.mariadb.url));
  let n = 0;
  try {
    while (!isOver()) {
      await connection.beginTransaction();
      for (let i = 0; i < 3; i += 1) await connection.query(statement(n++));
      if (n % 30 === 0) await connection.rollback();
      else await connection.commit();
    }
    return n;
  } finally {
    await connection.end();
  }
}

/** A replica of some tables in a PostgreSQL database of its own. */
export class Replica {
  readonly database: TestDatabase;
  readonly configPath: string;
  readonly settingsOf: TableSettingsProvider;
  readonly #source: Source;
  readonly #tables: readonly TableUnderTest[];
  readonly #schema: string;
  readonly #folder: string;
  readonly #processes: ServiceProcess[] = [];

  constructor(parts: {
    database: TestDatabase;
    configPath: string;
    folder: string;
    source: Source;
    schema: string;
    tables: readonly TableUnderTest[];
  }) {
    this.database = parts.database;
    this.configPath = parts.configPath;
    this.#folder = parts.folder;
    this.#source = parts.source;
    this.#schema = parts.schema;
    this.#tables = parts.tables;
    this.settingsOf = configuredSettings(loadConfig(parts.configPath, {}));
  }

  /** Reader, writers, or some of them. */
  start(...apps: readonly ('reader' | 'writer')[]): void {
    for (const app of apps) this.#processes.push(new ServiceProcess(app, this.configPath));
  }

  async stop(): Promise<void> {
    await Promise.all(this.#processes.splice(0).map((process) => process.stop()));
  }

  async drop(): Promise<void> {
    await this.stop();
    await this.database.drop();
    await rm(this.#folder, { recursive: true });
  }

  get output(): string {
    return this.#processes.map((process) => process.output).join('\n');
  }

  async stream(table: string): Promise<StreamRecord> {
    const [stream] = await registerStreams(this.database.pool, 'shop', [{ database: this.#schema, table }]);
    if (stream === undefined) throw new Error('not registered');
    return stream;
  }

  async snapshot(table: string, options: Partial<SnapshotOptions> = {}): Promise<SnapshotResult> {
    const source = openSourceDatabase({ url: this.#source.mariadb.url, connections: 6 });
    try {
      return await snapshotTable({
        pool: this.database.pool,
        source,
        stream: await this.stream(table),
        settingsOf: this.settingsOf,
        signal: new AbortController().signal,
        patienceMs: 1_000,
        ...options,
      });
    } finally {
      await source.end();
    }
  }

  /** Waits until each mirror has its table's rows, and checks that history gives the mirror. */
  async expectEqual(): Promise<void> {
    await this.#source.feed.catchUp();
    for (const { name } of this.#tables) {
      const expected = await this.#readSource(name);
      await vi.waitFor(async () => expect(await this.#readMirror(name), this.output).toEqual(expected), {
        timeout: 30_000,
        interval: 100,
      });
      const rebuilt = await rebuild(this.database.pool, {
        stream: await this.stream(name),
        settingsOf: this.settingsOf,
        apply: false,
      });
      expect(rebuilt, name).toMatchObject({ equal: true, rows: expected.length });
    }
    const { rows } = await this.database.pool.query('SELECT message FROM afterimage.dead_letters');
    expect(rows).toEqual([]);
  }

  /** One text a row, of every type alike on both servers. */
  async readSourceForms(table: string): Promise<unknown[]> {
    const source = openSourceDatabase({ url: this.#source.mariadb.url });
    try {
      const { values } = await this.#describe(table);
      return await source.query({
        sql: `SELECT CAST(id AS CHAR) AS id, ${values.map(({ sourceForm }, i) => `${sourceForm} AS v${i}`).join(', ')} FROM ${this.#schema}.${table} ORDER BY 0 + id`,
      } as unknown as string);
    } finally {
      await source.end();
    }
  }

  async readForms(table: string): Promise<unknown[]> {
    const { values, mirrors } = await this.#describe(table);
    const { rows } = await this.database.pool.query<Record<string, string | null>>(
      `SELECT id::text, ${values.map(({ mirrorForm }, i) => `${mirrorForm(quoteName(mirrors[i] ?? ''))} AS v${i}`).join(', ')} FROM ${this.#schema}.${table} ORDER BY ${table}.id`,
    );
    return rows;
  }

  async #describe(table: string): Promise<{ values: SourceValue[]; mirrors: string[] }> {
    const { rows } = await this.database.pool.query<{ columns: StoredColumn[]; knowledge: TableKnowledge }>(
      'SELECT columns, knowledge FROM afterimage.schema_versions v JOIN afterimage.table_knowledge k ON k.id = v.knowledge_id WHERE stream_id = $1',
      [(await this.stream(table)).id],
    );
    const [found] = rows;
    const columns = found?.columns ?? [];
    const knowledge = found?.knowledge;
    const values = columns.flatMap(({ name, postgresType }) => {
      const known = knowledge?.columns.find(({ streamName }) => streamName === name);
      return known === undefined
        ? []
        : [sourceValue(known, postgresType, { zeroDates: 'null', nulCharacters: 'remove' })];
    });
    return { values, mirrors: columns.map(({ mirror }) => mirror) };
  }

  async #readSource(table: string): Promise<string[]> {
    const sql = `SELECT * FROM ${this.#schema}.${table}`;
    const rows = await this.#source.connection.query<unknown[][]>({ sql, rowsAsArray: true });
    return rows.map((row) => JSON.stringify(row.map(print))).sort();
  }

  async #readMirror(table: string): Promise<string[]> {
    const text = `SELECT * FROM ${this.#schema}.${table}`;
    const { rows } = await this.database.pool.query<unknown[]>({ text, rowMode: 'array', types: asText });
    return rows.map((row) => JSON.stringify(row.map(print))).sort();
  }
}

const asText = { getTypeParser: () => (value: unknown) => value };

function print(value: unknown): string | null {
  if (value === null || typeof value === 'string') return value;
  return Buffer.isBuffer(value) ? `\\x${value.toString('hex')}` : `${value as number | bigint}`;
}

export async function createReplica(
  source: Source,
  schema: string,
  tables: readonly TableUnderTest[],
): Promise<Replica> {
  const database = await createDatabase();
  const folder = await mkdtemp(join(tmpdir(), 'afterimage-snapshot-'));
  const configPath = join(folder, 'afterimage.yaml');
  const config = {
    postgres: { url: database.url },
    queue: { backend: 'postgres', prefix: uniqueName('snapshot') },
    sources: {
      shop: {
        ...source.maxscale.address,
        mariadb: { url: source.mariadb.url },
        tables: Object.fromEntries(tables.map(({ name, ...settings }) => [`${schema}.${name}`, settings])),
      },
    },
    service: { logLevel: 'warn' },
  };
  await writeFile(configPath, JSON.stringify(config));
  return new Replica({ database, configPath, folder, source, schema, tables });
}
