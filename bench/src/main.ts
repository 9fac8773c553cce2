import { parseArgs } from 'node:util';
import { Client } from 'pg';
import { startPostgres, startRedis } from '@afterimage/local-servers';
import { benchDirect } from './direct.js';
import { benchEndToEnd } from './end-to-end.js';
import type { Mix } from './workload.js';

/**
 * Throughput: the same events applied straight to PostgreSQL from one connection, and from a fake MaxScale through reader,
 * queue and writer, each on a database of its own, in one run: the ratios are what counts, machines differ.
 */
const { values } = parseArgs({
  options: {
    events: { type: 'string', default: '1000000' },
    batch: { type: 'string', default: '2000' },
    writers: { type: 'string', default: '1' },
    /** Folder for CPU profiles of reader and writers. */
    profile: { type: 'string' },
  },
});

/** 4 inserts to 1 update to a quarter of a delete. */
function mixOf(events: number): Mix {
  const inserts = Math.round(events * 0.64);
  const updates = Math.round(events * 0.16);
  return { inserts, updates, deletes: events - inserts - 2 * updates };
}

const mix = mixOf(Number(values.events));
const writers = Number(values.writers);
const profiling = values.profile === undefined ? {} : { profileDir: values.profile };
// Durable as in production: fsync and synchronous_commit stay on.
const postgres = await startPostgres({ settings: { shared_buffers: '512MB', max_wal_size: '4GB' } });
const redis = await startRedis();
const urlOf = (database: string) => new URL(`/${database}`, postgres.adminUrl).href;
const admin = new Client({ connectionString: postgres.adminUrl });
await admin.connect();
const fresh = async (database: string) => {
  await admin.query(`CREATE DATABASE ${database}`);
  await admin.query('CHECKPOINT');
  return urlOf(database);
};

try {
  const direct = await benchDirect(await fresh('direct'), mix, Number(values.batch));
  const onPostgres = await benchEndToEnd({
    url: await fresh('on_postgres'),
    mix,
    queue: { backend: 'postgres' },
    writers,
    ...profiling,
  });
  const onRedis =
    redis === null
      ? null
      : await benchEndToEnd({
          url: await fresh('on_redis'),
          mix,
          queue: { backend: 'redis', url: redis.url },
          writers,
          ...profiling,
        });
  const ratio = (end: { eventsPerSecond: number }) => Number((end.eventsPerSecond / direct.eventsPerSecond).toFixed(2));
  const result = {
    mix,
    direct,
    endToEndPostgres: { ...onPostgres, toDirect: ratio(onPostgres) },
    endToEndRedis: onRedis === null ? 'no redis-server on the PATH' : { ...onRedis, toDirect: ratio(onRedis) },
  };
  process.stdout.write(`${JSON.stringify(result, null, 2)}\n`);
} finally {
  await admin.end();
  await redis?.stop();
  await postgres.stop();
}
