import { startMariadb } from '@afterimage/local-servers';
import { openSourceDatabase } from '@afterimage/mariadb';
import { migrate, registerStreams, type TableSettings } from '@afterimage/replica';
import { snapshotTable } from '@afterimage/snapshot';
import type { Pool as SourcePool } from 'mariadb';
import { Pool } from 'pg';
import type { Servers } from './servers.js';
import { copyPlain, database, fillSource, table } from './source-table.js';
import { round } from './usage.js';

const settings: TableSettings = {
  mirror: { schema: database, table },
  historySuffix: '_history',
  key: null,
  columns: {},
  types: { timeZone: 'UTC', zeroDates: 'null', nulCharacters: 'remove' },
  rename: 'infer',
  onRefused: 'dead-letter',
  historyIndex: 'key',
  labels: 'check',
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
    await fillSource(writing, rows);
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

async function timePlain(url: string, source: SourcePool): Promise<number> {
  const pool = openPool(url);
  return timed(pool, () => copyPlain(pool, source));
}

async function timeSnapshot(url: string, source: SourcePool, rows: number): Promise<number> {
  await migrate(url);
  const pool = openPool(url);
  return timed(pool, async () => {
    const [stream] = await registerStreams(pool, 'bench', [{ database, table }]);
    if (stream === undefined) throw new Error('the stream was not registered');
    const { signal } = new AbortController();
    const result = await snapshotTable({ pool, source, stream, settingsOf: () => settings, signal });
    if (result.rows !== rows || result.kind !== 'adopted') throw new Error(`wrong: ${JSON.stringify(result)}`);
  });
}
