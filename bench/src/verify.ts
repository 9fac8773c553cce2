import { type Batch, type Field, fingerprintOf } from '@afterimage/change-events';
import { startMariadb } from '@afterimage/local-servers';
import { openSourceDatabase } from '@afterimage/mariadb';
import { createApplier, migrate, registerStreams, type StreamRecord, type TableSettings } from '@afterimage/replica';
import { verifyTable } from '@afterimage/verification';
import type { Pool as SourcePool } from 'mariadb';
import { Pool } from 'pg';
import type { Servers } from './servers.js';
import { copyPlain, database, fillSource, table } from './source-table.js';
import { round } from './usage.js';

const fields: readonly Field[] = [
  { name: 'id', realType: 'bigint', avroType: 'long', unsigned: false },
  { name: 'name', realType: 'varchar', avroType: 'string', unsigned: false },
  { name: 'quantity', realType: 'int', avroType: 'int', unsigned: false },
  { name: 'seen', realType: 'datetime', avroType: 'string', unsigned: false },
  { name: 'price', realType: 'decimal', avroType: 'double', unsigned: false },
];
const settings: TableSettings = {
  mirror: { schema: database, table },
  historySuffix: '_history',
  key: ['id'],
  columns: { price: { type: 'decimal(10,2)' }, seen: { type: 'datetime' } },
  types: { timeZone: 'UTC', zeroDates: 'null', nulCharacters: 'remove' },
  rename: 'infer',
  onRefused: 'dead-letter',
  historyIndex: 'key',
  labels: 'check',
  indexes: 'none',
  hasSource: true,
};

export interface VerifyBench {
  readonly rows: number;
  readonly seconds: number;
  /** Rows per second of SELECT piped into COPY of a table without a key. */
  readonly plain: number;
  /** Rows per second of a comparison of equal tables. */
  readonly verify: number;
  readonly ratio: number;
}

/** A comparison against a plain copy of the same rows between the same servers, the best of some runs in turns. */
export async function measureVerify(servers: Servers, rows: number, repeat: number): Promise<VerifyBench> {
  const mariadb = await startMariadb({ settings: { innodb_buffer_pool_size: 512 * 1024 * 1024 } });
  const source = openSourceDatabase({ url: mariadb.url, connections: 3 });
  const writing = openSourceDatabase({ url: mariadb.url, connections: 1 });
  const url = await servers.fresh();
  await migrate(url);
  const pool = new Pool({ connectionString: url, max: 4 });
  try {
    await fillSource(writing, rows);
    const stream = await createMirror(pool);
    let plain = Infinity;
    let verify = Infinity;
    for (let run = 0; run < repeat; run += 1) {
      plain = Math.min(plain, await timed(() => copyPlain(pool, source)));
      if (run === 0) await fillMirror(pool);
      verify = Math.min(verify, await timed(() => compare(pool, source, { stream, rows })));
    }
    const perSecond = (seconds: number): number => Math.round(rows / seconds);
    return {
      rows,
      seconds: round(verify, 2),
      plain: perSecond(plain),
      verify: perSecond(verify),
      ratio: round(plain / verify, 2),
    };
  } finally {
    await Promise.all([source.end(), writing.end(), pool.end()]);
    await mariadb.stop();
  }
}

async function timed(work: () => Promise<void>): Promise<number> {
  const start = performance.now();
  await work();
  return (performance.now() - start) / 1000;
}

/** The first row comes as an event, so that there is a mirror. */
async function createMirror(pool: Pool): Promise<StreamRecord> {
  const [stream] = await registerStreams(pool, 'bench', [{ database, table }]);
  if (stream === undefined) throw new Error('the stream was not registered');
  const batch: Batch = {
    v: 2,
    stream: { id: stream.id, source: 'bench', database, table },
    partition: 0,
    layout: 1,
    epoch: '1',
    previous: '',
    last: '0-1-2:1',
    checkpoint: { gtid: '0-1-2', fileVersion: 1 },
    firstOrdinal: '1',
    lastOrdinal: '1',
    sequenceBases: {},
    schema: { fingerprint: fingerprintOf(fields), fields: [...fields], version: 1, gtid: '0-1-1', since: '1' },
    count: 1,
    firstTimestamp: 1,
    lastTimestamp: 1,
    enqueuedAt: 0,
    events: `{"domain": 0, "server_id": 1, "sequence": 2, "event_number": 1, "timestamp": 1, "event_type": "insert", "id": 1}`,
  };
  await createApplier(pool, () => settings).apply(batch);
  return stream;
}

async function fillMirror(pool: Pool): Promise<void> {
  await pool.query(`TRUNCATE ${database}.${table}`);
  await pool.query(`INSERT INTO ${database}.${table} SELECT * FROM plain`);
  await pool.query(`VACUUM (ANALYZE) ${database}.${table}`);
}

async function compare(
  pool: Pool,
  source: SourcePool,
  { stream, rows }: { stream: StreamRecord; rows: number },
): Promise<void> {
  const sides = { source, postgres: pool, settingsOf: () => settings };
  const result = await verifyTable({ sides, stream });
  if (result.outcome !== 'equal' || result.rows !== rows) throw new Error(`wrong: ${JSON.stringify(result)}`);
}
