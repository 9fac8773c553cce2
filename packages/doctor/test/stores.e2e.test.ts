import { type Batch, fingerprintOf } from '@afterimage/change-events';
import { startRedisServer } from '@afterimage/local-servers';
import { createQueueConnection, openBatchQueue, prepareQueue } from '@afterimage/queue';
import { acquireReaderLock, registerStreams } from '@afterimage/replica';
import pg from 'pg';
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
// @boundaries-ignore the harness that all tests share
import {
  createDatabase,
  createEmptyDatabase,
  queueBackends,
  type TestDatabase,
  uniqueName,
} from '../../../test/harness/databases.js';
import { parseConfig } from '@afterimage/service';
import { examine, type Report } from '../src/index.js';
import { told } from './world.js';

const sources = (tables: object = { 'shop.orders': { key: ['id'] } }) => ({
  shop: { host: '127.0.0.1', port: 1, user: 'cdc', password: 'hush', tables },
});

let database: TestDatabase;
beforeEach(async () => {
  database = await createDatabase();
});
const roles: string[] = [];
afterEach(async () => {
  for (const role of roles.splice(0)) await database.pool.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`);
  await database.drop();
});

async function look(changes: object = {}): Promise<Report> {
  const queue = { backend: 'postgres', prefix: 'queue' };
  const config = parseConfig(
    JSON.stringify({ postgres: { url: database.url }, queue, sources: sources(), ...changes }),
    'test',
    {},
  );
  return examine(config, { timeoutMs: 10_000 });
}

async function register(table = 'orders'): Promise<string> {
  const [stream] = await registerStreams(database.pool, 'shop', [{ database: 'shop', table }]);
  if (stream === undefined) throw new Error('not registered');
  return stream.id;
}

function batchOf(streamId: string, changes: Partial<Batch> = {}): Batch {
  const fields = [{ name: 'id', realType: 'int', avroType: 'int', unsigned: false }];
  return {
    v: 2,
    stream: { id: streamId, source: 'shop', database: 'shop', table: 'orders' },
    partition: 0,
    layout: 1,
    epoch: '1',
    previous: '',
    last: '0-1-1:1',
    lastOrdinal: '1',
    checkpoint: { gtid: '0-1-1', fileVersion: 1 },
    firstOrdinal: '1',
    sequenceBases: {},
    schema: { fingerprint: fingerprintOf(fields), fields, version: 1, gtid: '0-1-1', since: '1' },
    count: 0,
    firstTimestamp: 0,
    lastTimestamp: 0,
    enqueuedAt: Date.now(),
    events: '',
    ...changes,
  };
}

describe('PostgreSQL', () => {
  it('that is not there costs only its own checks', async () => {
    const report = await look({ postgres: { url: 'postgres://u:hush@127.0.0.1:1/d' } });
    expect(told(report, 'postgres-reachable')).toEqual([
      expect.stringContaining('error PostgreSQL: PostgreSQL at 127.0.0.1:1 cannot be used'),
      expect.stringContaining('unknown PostgreSQL: not checked because of that'),
    ]);
    expect(report.findings.some(({ area }) => area === 'MaxScale')).toBe(true);
    expect(JSON.stringify(report)).not.toContain('hush');
  });

  it('without control tables is told to be migrated', async () => {
    const empty = await createEmptyDatabase();
    onTestFinished(() => empty.drop());
    const report = await look({ postgres: { url: empty.url } });
    expect(told(report, 'migrations')[0]).toMatch(/^error PostgreSQL: the control tables lack \d+ migrations/);
    expect(report.findings.find(({ check }) => check === 'migrations')?.fix).toBe('afterimage migrate');
    expect(told(report, 'queue-prepared')).toEqual(['error queue in PostgreSQL: the queue has no tables yet']);
  });

  it('whose role lacks privileges is told which, with the statement that gives them', async () => {
    const role = uniqueName('weak');
    await database.pool
      .query(`CREATE ROLE ${role} LOGIN PASSWORD 'hush'; CREATE SCHEMA shop; CREATE TABLE shop.carts (id int);
      GRANT USAGE ON SCHEMA afterimage TO ${role}; GRANT SELECT ON ALL TABLES IN SCHEMA afterimage TO ${role}`);
    roles.push(role);
    const url = new URL(database.url);
    url.username = role;
    url.password = 'hush';
    const tables = { 'shop.orders': null, 'shop.carts': null };
    const report = await look({
      postgres: { url: url.href },
      queue: { backend: 'postgres', url: database.url, prefix: 'queue' },
      sources: sources(tables),
    });
    expect(told(report, 'postgres-privileges')).toEqual([
      `error PostgreSQL: role ${role} may not create schemas (shop_history)`,
      `error PostgreSQL: role ${role} may not create tables in shop`,
      `error PostgreSQL: role ${role} does not own shop.carts: it cannot change them with the source's`,
    ]);
    const [first] = report.findings.filter(({ check }) => check === 'postgres-privileges');
    expect(first?.fix).toBe(`GRANT CREATE ON DATABASE "${url.pathname.slice(1)}" TO "${role}";`);
    expect(told(report, 'mirror-names')).toEqual([
      expect.stringContaining('error PostgreSQL: shop.carts is there already'),
    ]);
  });

  it('whose role or URL has settings that end batches is told which', async () => {
    const role = uniqueName('hasty');
    await database.pool.query(`CREATE ROLE ${role} SUPERUSER LOGIN PASSWORD 'hush';
      ALTER ROLE ${role} SET statement_timeout = '5s'; ALTER ROLE ${role} SET session_replication_role = replica;
      ALTER ROLE ${role} SET transaction_timeout = '9s'; ALTER ROLE ${role} SET default_transaction_read_only = on`);
    roles.push(role);
    const url = new URL(database.url);
    url.username = role;
    url.password = 'hush';
    url.searchParams.set('options', '-c statement_timeout=20s');
    const report = await look({ postgres: { url: url.href } });
    expect(told(report, 'postgres-timeouts')).toEqual([
      expect.stringContaining('warning PostgreSQL: postgres.url sets statement_timeout to 20s'),
      expect.stringContaining(`warning PostgreSQL: transaction_timeout of role ${role} is 9 s`),
      expect.stringContaining(`notice PostgreSQL: statement_timeout of role ${role} is 20 s`),
    ]);
    expect(told(report, 'postgres-superuser')).toHaveLength(1);
    expect(told(report, 'postgres-read-only')).toHaveLength(1);
    expect(told(report, 'postgres-replication-role')).toHaveLength(1);
  });

  it('is told the types, triggers and prepared transactions that stand in the way', async () => {
    await database.pool.query(`CREATE SCHEMA shop; CREATE TABLE shop.orders (id int);
      CREATE FUNCTION shop.nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
      CREATE TRIGGER watch AFTER INSERT ON shop.orders EXECUTE FUNCTION shop.nothing()`);
    const tables = {
      'shop.orders': { columns: { at: { postgres: 'geometry(Point,4326)' }, n: { postgres: 'citext' } } },
    };
    const report = await look({ sources: sources(tables) });
    expect(told(report, 'postgres-types')[0]).toContain('gives a column type geometry(Point,4326)');
    expect(told(report, 'mirror-triggers')).toEqual([
      expect.stringContaining('triggers on mirror tables (shop.orders)'),
    ]);
  });

  it('with a transaction that is open for long is told whose', async () => {
    const { judge } = await import('../src/judge.js');
    const { readFacts } = await import('../src/read-facts.js');
    const config = parseConfig(
      JSON.stringify({ postgres: { url: database.url }, queue: { backend: 'postgres' }, sources: sources() }),
      'test',
      {},
    );
    const facts = await readFacts(config, {}, 10_000);
    if (facts.postgres.kind === 'unknown') throw new Error(facts.postgres.cause);
    const postgres = {
      kind: 'known',
      value: {
        ...facts.postgres.value,
        version: '14.2',
        encoding: 'LATIN1',
        isStandby: true,
        clockAheadMs: 90_000,
        connections: 299,
        longTransactions: [
          { pid: 42, user: 'reports', application: 'psql', state: 'idle in transaction', seconds: 9000 },
        ],
        preparedTransactions: [{ id: "it's", seconds: 7200 }],
        slots: [{ name: 'old', isActive: false, heldBytes: 20 * 2 ** 30 }],
        unvacuumed: [{ table: 'shop.orders', dead: 900_000, live: 10 }],
        settings: { ...facts.postgres.value.settings, fsync: 'off', max_connections: '300' },
      },
    } as const;
    const report = {
      findings: judge({ ...facts, postgres }),
      counts: { error: 0, warning: 0, unknown: 0, notice: 0, ok: 0 },
    };
    expect(told(report, 'long-transactions')[0]).toMatch(
      /^warning .*reports \(psql, idle in transaction\) is open for 3 h/,
    );
    expect(told(report, 'prepared-transactions')[0]).toContain('1 prepared transaction for 2 h');
    expect(told(report, 'replication-slots')[0]).toContain('slot old (nobody reads it) holds 20 GiB of WAL');
    expect(told(report, 'autovacuum')[0]).toContain('shop.orders 900,000');
    expect(told(report, 'postgres-version')[0]).toContain('error PostgreSQL: version 14.2');
    expect(told(report, 'postgres-encoding')[0]).toContain('LATIN1');
    expect(told(report, 'postgres-standby')).toHaveLength(1);
    expect(told(report, 'postgres-connections')[0]).toMatch(/^error PostgreSQL: 1 connections are free of 300/);
    expect(told(report, 'clock')).toEqual([expect.stringContaining('90 s ahead')]);
  });
});

describe.each(queueBackends())('the queue on $backend', ({ backend, redisUrl, missing }) => {
  it.skipIf(missing)('is told leftovers, failed jobs, former layouts and batches that wait for long', async () => {
    const prefix = uniqueName('queue');
    const url = redisUrl ?? database.url;
    const connection = createQueueConnection({ backend, url, prefix, onError: () => undefined });
    await prepareQueue(connection);
    const id = await register();
    await database.pool.query('UPDATE afterimage.offsets SET layout = 2');
    const queue = openBatchQueue(connection, id, 0);
    await queue.add(batchOf(id, { enqueuedAt: Date.now() - 3_600_000 }));
    const gone = openBatchQueue(connection, '6f0f6b4e-31a5-4c34-8a0d-0d1df6ac1c11', 0);
    await gone.add(batchOf('6f0f6b4e-31a5-4c34-8a0d-0d1df6ac1c11'));
    await Promise.all([queue.close(), gone.close()]);
    await connection.close();
    const report = await look({ queue: { backend, url, prefix } });
    expect(told(report, 'queue-leftovers')[0]).toContain(
      '1 job of streams that this database does not have: stream-6f0f6b4e',
    );
    expect(told(report, 'queue-layout')[0]).toContain(`a former division into partitions wait in stream-${id}-0`);
    expect(told(report, 'queue-age')[0]).toMatch(/^warning .*2 batches wait, the oldest for 60 min/);
    expect(told(report, 'queue-failed')).toEqual([]);
    expect(JSON.stringify(report)).not.toContain('hush');
  });
});

it('a Redis with settings that endanger batches is told which, and one that is away only costs its own checks', async () => {
  const redis = await startRedisServer({
    args: () => ['--maxmemory-policy', 'allkeys-lru', '--maxmemory', '4mb', '--requirepass', 'hush'],
  });
  if (redis === null) return;
  const queue = { backend: 'redis', url: `redis://:hush@127.0.0.1:${redis.port}` };
  const report = await look({ queue });
  expect(told(report, 'redis-policy')[0]).toMatch(/^error Redis at 127\.0\.0\.1:\d+: maxmemory-policy is allkeys-lru/);
  expect(told(report, 'redis-append-only')[0]).toContain('warning Redis at');
  const refused = await look({ queue: { ...queue, url: `redis://:hush-hush@127.0.0.1:${redis.port}` } });
  expect(told(refused, 'queue-reachable')[0]).toMatch(/^error Redis: .*WRONGPASS/);
  await redis.stop();
  const away = await look({ queue });
  expect(told(away, 'queue-reachable')[0]).toContain('ECONNREFUSED');
  expect(away.findings.find(({ check }) => check === 'postgres-version')?.severity).toBe('ok');
  expect(JSON.stringify([report, refused, away])).not.toContain('hush');
});

describe('streams', () => {
  it('that stand, wait or lost something are told with what to do', async () => {
    const id = await register();
    const other = await register('carts');
    await database.pool.query(
      `UPDATE afterimage.streams SET state = 'halted', state_code = 'SCHEMA_REFUSED', state_message = 'a view depends on it' WHERE id = $1`,
      [id],
    );
    await database.pool.query(
      `UPDATE afterimage.streams SET reader_state = 'retrying', reader_code = 'AUTH_FAILED', reader_message = 'refused',
              reader_since = now() - interval '1 hour' WHERE id = $1`,
      [other],
    );
    await database.pool.query(
      `INSERT INTO afterimage.dead_letters (stream_id, partition, schema_version, ordinal, position, raw, sequence_bases, sqlstate, message)
       VALUES ($1, 0, 1, 1, '0-1-1:1', '{}', '{}', '22003', 'out of range')`,
      [id],
    );
    await database.pool.query(
      `INSERT INTO afterimage.unreliable_columns (stream_id, column_name, reason, values) VALUES ($1, 'flags', 'bit', 12)`,
      [id],
    );
    await database.pool.query(`UPDATE afterimage.offsets SET schema_version = 1 WHERE stream_id = $1`, [id]);
    const tables = { 'shop.orders': null, 'shop.carts': null };
    const alone = await look({ sources: sources(tables) });
    expect(told(alone, 'reader-present')).toEqual(['error processes: no reader reads source shop']);
    expect(told(alone, 'writer-present')).toEqual(['error processes: no writer is running']);
    expect(told(alone, 'reader-state')).toEqual([]);
    const signal = new AbortController().signal;
    const lock = await acquireReaderLock({ url: database.url, source: 'shop', instance: 'test', signal });
    const writer = new pg.Client({ connectionString: database.url, application_name: 'afterimage-writer' });
    await writer.connect();
    const report = await look({ sources: sources(tables) });
    await lock.release();
    await writer.end();
    expect(told(report, 'reader-present')).toEqual([]);
    expect(told(report, 'writer-present')).toEqual([]);
    expect(told(report, 'writer-state')[0]).toMatch(
      /^error shop\.orders: halted for .* \(SCHEMA_REFUSED\): a view depends on it/,
    );
    expect(told(report, 'reader-state')[0]).toContain(
      'warning shop.carts: the reader has been trying again for 60 min (AUTH_FAILED)',
    );
    expect(told(report, 'dead-letters')[0]).toContain('warning shop.orders: 1 row that PostgreSQL refused waits');
    expect(told(report, 'lost-values')[0]).toContain('flags 12');
    const removed = await look({ sources: sources({ 'shop.carts': null }) });
    expect(told(removed, 'reader-state')).toEqual([
      'notice shop.orders: it is not in the configuration any more: nothing is read or applied',
    ]);
  });
});
