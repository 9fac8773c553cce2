import { mkdir, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { inserted } from '@afterimage/cdc-protocol/testing';
import { type RedisServer, startRedisServer } from '@afterimage/local-servers';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
// @boundaries-ignore the harness that all tests share
import { queueBackends } from '../../../test/harness/databases.js';
// @boundaries-ignore servers of certain kinds, for several packages
import { withRedis } from '../../../test/harness/redis-servers.js';
import { createRig, type ReaderRig } from './reader-rig.js';

const wait = { timeout: 30_000, interval: 20 };
const missing = queueBackends().some((backend) => backend.missing);

describe.skipIf(missing)('a Redis that refuses to write', () => {
  let server: RedisServer;
  let rig: ReaderRig;
  let id = 0;

  beforeEach(async () => {
    const started = await startRedisServer();
    if (started === null) throw new Error('no redis-server on the PATH');
    server = started;
    rig = await createRig({ backend: 'redis', redisUrl: `redis://127.0.0.1:${server.port}` });
    rig.source.table('shop', 'orders').create([{ name: 'id', realType: 'int' }]);
  });

  afterEach(async () => {
    await rig.close();
    await server.stop();
  });

  const set = (name: string, value: string): Promise<unknown> =>
    withRedis(server.port, (redis) => redis.config('SET', name, value));
  const save = (): Promise<unknown> => withRedis(server.port, (redis) => redis.bgsave());
  const readPersistence = (): Promise<string> => withRedis(server.port, (redis) => redis.info('persistence'));

  const fill = (count: number): void => {
    for (let n = 0; n < count; n += 1) rig.source.table('shop', 'orders').append(inserted({ id: (id += 1) }));
  };

  const trouble = async (): Promise<string> => {
    const { rows } = await rig.database.pool.query<{ text: string }>(
      `SELECT concat_ws(' ', reader_state, reader_code, reader_message) AS text FROM afterimage.streams`,
    );
    return rows[0]?.text ?? '';
  };

  it.each([
    [
      'because its memory is full',
      /^retrying QUEUE_UNAVAILABLE .*OOM command not allowed.*Check Redis/,
      () => set('maxmemory', '1'),
      () => set('maxmemory', '0'),
    ],
    [
      'because it cannot save to its disk',
      /^retrying QUEUE_UNAVAILABLE .*MISCONF .*Check Redis/,
      async () => {
        await mkdir(join(server.directory, 'dump.rdb'));
        await set('save', '3600 1');
        await save();
        await expect.poll(readPersistence, wait).toContain('rdb_last_bgsave_status:err');
      },
      async () => {
        await rmdir(join(server.directory, 'dump.rdb'));
        await save();
      },
    ],
  ])('%s is told with advice, and nothing is lost when it writes again', async (_, told, refuse, relent) => {
    rig.start({ reader: { maxBatchEvents: 10 } });
    const writer = await rig.write();
    fill(50);
    await expect.poll(() => writer.lines.length, wait).toBe(50);
    await refuse();
    fill(200);
    await expect.poll(trouble, wait).toMatch(told);
    await relent();
    await expect.poll(() => writer.lines.length, wait).toBe(250);
    expect(writer.lines).toEqual(await rig.readSource(250));
    await expect.poll(() => rig.state(), wait).toBe('streaming');
    expect(rig.log).toContainEqual(expect.objectContaining({ level: 'warn', code: 'QUEUE_UNAVAILABLE' }));
  });
});
