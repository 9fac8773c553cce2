import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createQueueConnection, openBatchQueue, prepareQueue, type QueueConnection } from '@afterimage/queue';
import { registerStreams } from '@afterimage/replica';
// @boundaries-ignore the harness is the repository's, for all tests
// @boundaries-ignore the harness that all tests share
import { type TestDatabase, createDatabase, queueBackends, uniqueName } from '../../../test/harness/databases.js';
// @boundaries-ignore programs as processes, as in production
// @boundaries-ignore the harness that all tests share
import { ServiceProcess } from '../../../test/replay/service-process.js';
// @boundaries-ignore batches as a reader would cut them
// @boundaries-ignore the harness that all tests share
import { ScriptedStream } from '../../../packages/replica/test/batches.js';

describe.each(queueBackends())('a writer process with the queue on $backend', ({ backend, redisUrl, missing }) => {
  let database: TestDatabase;
  let folder: string;
  let queue: QueueConnection;
  let writer: ServiceProcess;
  let source: ScriptedStream;

  beforeEach(async () => {
    if (missing) return;
    database = await createDatabase();
    folder = await mkdtemp(join(tmpdir(), 'afterimage-writer-'));
    const prefix = uniqueName('writer');
    const sources = {
      main: { host: '127.0.0.1', user: 'nobody', password: 'none', tables: { 'shop.orders': { key: ['id'] } } },
    };
    const url = redisUrl ?? database.url;
    await writeFile(
      join(folder, 'config.yaml'),
      JSON.stringify({ postgres: { url: database.url }, queue: { backend, url, prefix }, sources }),
    );
    queue = createQueueConnection({ backend, url, prefix, onError: () => undefined });
    await prepareQueue(queue);
    const [stream] = await registerStreams(database.pool, 'main', [{ database: 'shop', table: 'orders' }]);
    if (stream === undefined) throw new Error('not registered');
    const { id, source: name, database: schema, table } = stream;
    source = new ScriptedStream({ id, source: name, database: schema, table });
    writer = new ServiceProcess('writer', join(folder, 'config.yaml'));
  });
  afterEach(async () => {
    if (missing) return;
    await writer.kill();
    await queue.close();
    await database.drop();
    await rm(folder, { recursive: true, force: true });
  });

  const applied = async () =>
    (await database.pool.query<{ n: number }>('SELECT ordinal::int AS n FROM afterimage.offsets')).rows[0]?.n;
  async function until(condition: () => Promise<boolean>): Promise<void> {
    while (!(await condition())) {
      if (writer.ended) throw new Error(writer.output);
      await sleep(20);
    }
  }

  test.skipIf(missing)('takes batches that arrive out of order, in order, and forgets them when done', async () => {
    const batches = [1, 2, 3, 4].map((id) => source.transaction(['insert', id, 'a', id]).cut());
    const { id } = source.stream;
    const sender = openBatchQueue(queue, id, 0);
    for (const index of [2, 0, 3, 1]) await sender.add(batches[index] ?? source.cut());
    await until(async () => (await applied()) === 4 && (await sender.depth()) === 0);
    await sender.close();
    const { rows } = await database.pool.query('SELECT id FROM shop_history.orders ORDER BY stream_ordinal');
    expect(rows).toEqual([{ id: 1 }, { id: 2 }, { id: 3 }, { id: 4 }]);
  });

  test.skipIf(missing)('ends with 0 on SIGTERM, and leaves what it has not applied in the queue', async () => {
    const sender = openBatchQueue(queue, source.stream.id, 0);
    await sender.add(source.transaction(['insert', 1, 'a', 1]).cut());
    await until(async () => (await applied()) === 1);
    const skipped = source.transaction(['insert', 2, 'b', 2]).cut();
    await sender.add(source.transaction(['insert', 3, 'c', 3]).cut());
    expect(await writer.stop()).toBe(0);
    expect(await sender.depth()).toBe(1);
    expect(skipped.count).toBe(1);
    await sender.close();
  });
});
