import { once } from 'node:events';
import { startMariadb } from '@afterimage/local-servers';
import { openSourceDatabase } from '@afterimage/mariadb';
import { migrate, registerStreams, type TableSettings } from '@afterimage/replica';
import { snapshotTable } from '@afterimage/snapshot';
import type { Pool as SourcePool } from 'mariadb';
import { Pool } from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import type { Servers } from './servers.js';
import { round } from './usage.js';

const table = 'customers';
const columns = 'id bigint, name text, quantity integer, seen timestamp, price numeric(10,2)';
const settings: TableSettings = {
  mirror: { schema: 'bench', table },
  historySuffix: '_history',
  key: null,
  columns: {},
  types: { timeZone: 'UTC', zeroDates: 'null', nulCharacters: 'remove' },
  rename: 'infer',
  onRefused: 'dead-letter',
  historyIndex: 'key',
  indexes: 'none',
  hasSource: true,
};

export interface SnapshotBench {
  readonly rows: number;
  /** Rows per second of SELECT piped into COPY of a table without key, history or anything else. */
  readonly plain: number;
  /** Rows per second of a whole snapshot: mirror with its key, history with its indexes, offset. */
  readonly snapshot: number;
  readonly ratio: number;
}

/** A whole snapshot against the plain limit of the same rows on the same servers, the best of some runs in turns. */
export async function measureSnapshot(servers: Servers, rows: number, repeat: number): Promise<SnapshotBench> {
  const mariadb = await startMariadb({ settings: { innodb_buffer_pool_size: 512 * 1024 * 1024 } });
  const source = openSourceDatabase({ url: mariadb.url, connections: 8 });
  const writing = openSourceDatabase({ url: mariadb.url, connections: 1 });
  try {
    await fill(writing, rows);
    let plain = 0;
    let snapshot = 0;
    for (let run = 0; run < repeat; run += 1) {
      plain = Math.max(plain, rows / (await timePlain(await servers.fresh(), source)));
      snapshot = Math.max(snapshot, rows / (await timeSnapshot(await servers.fresh(), source, rows)));
    }
    return { rows, plain: Math.round(plain), snapshot: Math.round(snapshot), ratio: round(snapshot / plain, 2) };
  } finally {
    await Promise.all([source.end(), writing.end()]);
    await mariadb.stop();
  }
}

async function fill(pool: SourcePool, rows: number): Promise<void> {
  const connection = await pool.getConnection();
  await connection.query('SET SESSION TRANSACTION READ WRITE');
  await connection.query('CREATE DATABASE bench');
  await connection.query(
    `CREATE TABLE bench.${table} (id bigint PRIMARY KEY, name varchar(32), quantity int, seen datetime, price decimal(10,2))`,
  );
  await connection.query(
    `INSERT INTO bench.${table} SELECT seq, CONCAT('customer ', seq), seq % 1000, '2024-01-01' + INTERVAL seq SECOND, seq / 7 FROM bench.seq_1_to_${rows}`,
  );
  await connection.query(`ANALYZE TABLE bench.${table}`);
  await connection.release();
}

/** Without pipelines, in which there is no COPY. */
function openPool(url: string): Pool {
  const pool = new Pool({ connectionString: url, max: 8 });
  pool.on('error', () => undefined);
  return pool;
}

async function timed(pool: Pool, work: () => Promise<void>): Promise<number> {
  const start = performance.now();
  try {
    await work();
    return (performance.now() - start) / 1000;
  } finally {
    await pool.end();
  }
}

/** One connection to each server, values as they come. */
async function timePlain(url: string, source: SourcePool): Promise<number> {
  const pool = openPool(url);
  await pool.query(`CREATE TABLE plain (${columns})`);
  return timed(pool, async () => {
    const client = await pool.connect();
    const connection = await source.getConnection();
    const target = client.query(copyFrom('COPY plain FROM STDIN'));
    let block: string[] = [];
    for await (const row of connection.queryStream({ sql: `SELECT * FROM bench.${table}`, rowsAsArray: true })) {
      block.push((row as unknown[]).join('\t'));
      if (block.length < 1_000) continue;
      if (!target.write(`${block.join('\n')}\n`)) await once(target, 'drain');
      block = [];
    }
    target.end(block.length === 0 ? '' : `${block.join('\n')}\n`);
    await once(target, 'finish');
    await connection.release();
    client.release();
  });
}

async function timeSnapshot(url: string, source: SourcePool, rows: number): Promise<number> {
  await migrate(url);
  const pool = openPool(url);
  return timed(pool, async () => {
    const [stream] = await registerStreams(pool, 'bench', [{ database: 'bench', table }]);
    if (stream === undefined) throw new Error('the stream was not registered');
    const { signal } = new AbortController();
    const result = await snapshotTable({ pool, source, stream, settingsOf: () => settings, signal });
    if (result.rows !== rows || result.kind !== 'adopted') throw new Error(`wrong: ${JSON.stringify(result)}`);
  });
}
