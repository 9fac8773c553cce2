import { once } from 'node:events';
import { Writable } from 'node:stream';
import { createQueueConnection, prepareQueue } from '@afterimage/queue';
import { registerStreams, undivided } from '@afterimage/replica';
import { createLogger, createRegistry } from '@afterimage/service';
import type { Pool } from 'pg';
import { expect, it } from 'vitest';
// @boundaries-ignore the harness that all tests share
import { createDatabase, uniqueName } from '../../../test/harness/databases.js';
import type { Change, ChangeSource } from '../src/change-source.js';
import { createReaderMetrics } from '../src/metrics.js';
import { readStream } from '../src/stream-reader.js';

/** A source that never has anything. */
const silentSource: ChangeSource = {
  open: async function* ({ signal }): AsyncGenerator<readonly Change[]> {
    if (!signal.aborted) await once(signal, 'abort');
    yield [];
  },
};

it('a stream ends although it was told to while it read its offset, before there was a feed to end', async () => {
  const database = await createDatabase();
  const queue = createQueueConnection({
    backend: 'postgres',
    url: database.url,
    prefix: uniqueName('stop'),
    onError: () => undefined,
  });
  await prepareQueue(queue);
  const [record] = await registerStreams(database.pool, 'main', [{ database: 'shop', table: 'orders' }]);
  if (record === undefined) throw new Error('no stream');
  const stop = new AbortController();
  const query = database.pool.query.bind(database.pool) as (...args: unknown[]) => Promise<unknown>;
  const pool = Object.assign(Object.create(database.pool) as Pool, {
    query: async (...args: unknown[]) => {
      const result = await query(...args);
      stop.abort();
      return result;
    },
  });
  const watched: string[] = [];
  await readStream({
    record,
    division: undivided,
    source: silentSource,
    pool,
    queue,
    progress: {
      watch: (id) => {
        watched.push(id);
        return () => watched.pop();
      },
      wake: () => undefined,
      hurry: () => undefined,
    },
    limits: { maxBatchEvents: 1, maxBatchBytes: 1, lingerMs: 1, maxQueuedBatches: 1, maxQueuedBytes: 1 },
    epoch: 1n,
    recheckMs: 1_000,
    logger: createLogger({
      name: 'reader',
      level: 'error',
      destination: new Writable({ write: (_c, _e, done) => done() }),
    }),
    metrics: createReaderMetrics(createRegistry('reader')),
    signal: stop.signal,
  });
  expect(watched).toEqual([]);
  await queue.close();
  await database.drop();
}, 10_000);
