import { type FakeMaxScale, startFakeMaxScale } from '@afterimage/cdc-protocol/testing';
import { type LocalMariadb, startMariadb } from '@afterimage/local-servers';
import { parseMariadbUrl } from '@afterimage/mariadb';
import { parseConfig } from '@afterimage/service';
import { type Connection, createConnection } from 'mariadb';
// @boundaries-ignore the harness that all tests share
import { createDatabase, type TestDatabase, uniqueName } from '../../../test/harness/databases.js';
import { examine, type ExamineOptions, type Finding, type Report } from '../src/index.js';
import { FakeRest } from './fake-rest.js';

type Tree = { readonly [name: string]: unknown };

/** Servers that are set up as they should be, with one source `shop`. */
export class World {
  readonly mariadb: LocalMariadb;
  /** With all privileges. */
  readonly source: Connection;
  readonly maxscale: FakeMaxScale;
  readonly rest: FakeRest;
  readonly database: TestDatabase;
  /** PostgreSQL as the role that docs recommend. */
  readonly postgresUrl: string;
  readonly #role: string;
  readonly #restServer: { readonly url: string; stop(): Promise<void> };

  private constructor(parts: {
    mariadb: LocalMariadb;
    source: Connection;
    maxscale: FakeMaxScale;
    rest: FakeRest;
    restServer: { readonly url: string; stop(): Promise<void> };
    database: TestDatabase;
    role: string;
  }) {
    this.mariadb = parts.mariadb;
    this.source = parts.source;
    this.maxscale = parts.maxscale;
    this.rest = parts.rest;
    this.#restServer = parts.restServer;
    this.database = parts.database;
    this.#role = parts.role;
    const url = new URL(parts.database.url);
    url.username = parts.role;
    url.password = 'hush-postgres';
    this.postgresUrl = url.href;
  }

  static async start(): Promise<World> {
    const mariadb = await startMariadb({
      env: { PATH: process.env['PATH'] },
      settings: { gtid_strict_mode: 'ON', expire_logs_days: 14 },
    });
    const source = await createConnection({ ...parseMariadbUrl(mariadb.url), multipleStatements: true });
    await source.query(`
      CREATE USER watcher@'%' IDENTIFIED BY 'hush-mariadb'; GRANT BINLOG MONITOR ON *.* TO watcher@'%';
      CREATE USER maxscale@'%' IDENTIFIED BY 'hush-maxscale';
      GRANT REPLICATION SLAVE, BINLOG MONITOR ON *.* TO maxscale@'%';
      CREATE DATABASE shop; GRANT SELECT ON shop.* TO watcher@'%';
      CREATE TABLE shop.orders (id int PRIMARY KEY, status varchar(20) NOT NULL, total decimal(9,2));
      INSERT INTO shop.orders VALUES (1, 'new', 1.50)`);
    const maxscale = await startFakeMaxScale();
    const rest = new FakeRest();
    rest.port = maxscale.port;
    rest.parameters = { block_size: '32Mi' };
    const restServer = await rest.start();
    const database = await createDatabase();
    const role = uniqueName('doctor');
    await database.pool.query(`
      CREATE ROLE ${role} LOGIN PASSWORD 'hush-postgres'; GRANT CREATE ON DATABASE ${new URL(database.url).pathname.slice(1)} TO ${role};
      GRANT USAGE, CREATE ON SCHEMA afterimage TO ${role}; GRANT ALL ON ALL TABLES IN SCHEMA afterimage TO ${role}`);
    return new World({ mariadb, source, maxscale, rest, restServer, database, role });
  }

  /** The settings of source `shop`, with changes. */
  settings(changes: Tree = {}): Tree {
    const { host, port, user, password } = this.maxscale.address;
    const mariadb = new URL(this.mariadb.url);
    mariadb.username = 'watcher';
    mariadb.password = 'hush-mariadb';
    const rest = { url: this.#restServer.url, user: this.rest.user, password: this.rest.password };
    const tables = { 'shop.orders': null };
    return { host, port, user, password, mariadb: { url: mariadb.href }, rest, tables, ...changes };
  }

  config({ source = {}, ...changes }: Tree & { readonly source?: Tree } = {}): Tree {
    return {
      postgres: { url: this.postgresUrl },
      queue: { backend: 'postgres', url: this.database.url, prefix: 'queue' },
      sources: { shop: this.settings(source) },
      ...changes,
    };
  }

  async examine(
    changes: Tree & { readonly source?: Tree } = {},
    options: Partial<ExamineOptions> = {},
  ): Promise<Report> {
    const config = parseConfig(JSON.stringify(this.config(changes)), 'test', {});
    return examine(config, { timeoutMs: 10_000, ...options });
  }

  async stop(): Promise<void> {
    await this.source.end();
    await Promise.all([this.mariadb.stop(), this.maxscale.close(), this.#restServer.stop()]);
    const { pool } = this.database;
    await pool.query(`DROP OWNED BY ${this.#role}; DROP ROLE ${this.#role}`);
    await this.database.drop();
  }
}

/** The findings of one check that say something, in short: `error shop.orders: …`. */
export function told({ findings }: Report, check: string): string[] {
  return findings.filter((finding) => finding.check === check && finding.severity !== 'ok').map(shorten);
}

export function shorten({ severity, subject, text }: Finding): string {
  return `${severity} ${subject}: ${text}`;
}
