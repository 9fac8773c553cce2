import { inserted } from '@afterimage/cdc-protocol/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
// @boundaries-ignore the harness that all tests share
import { queueBackends } from '../../../test/harness/databases.js';
// @boundaries-ignore servers of certain kinds, for several packages
import { startWatchedRedis, type WatchedRedis, withRedis } from '../../../test/harness/redis-servers.js';
import { createRig, type ReaderRig } from './reader-rig.js';

const wait = { timeout: 45_000, interval: 50 };
const missing = queueBackends().some((backend) => backend.missing);

describe.skipIf(missing)('a Redis behind sentinels', () => {
  let watched: WatchedRedis;
  let rig: ReaderRig;

  beforeEach(async () => {
    watched = await startWatchedRedis();
    const redis = { sentinels: watched.sentinels.urls, masterName: 'shop' };
    rig = await createRig({ backend: 'redis', redisUrl: null, redis });
  }, 60_000);

  afterEach(async () => {
    await rig.close();
    await watched.stop();
  });

  const readPid = async (port: number): Promise<number> =>
    Number(/process_id:(\d+)/.exec(await withRedis(port, (redis) => redis.info('server')))?.[1]);

  it.each([
    ['dies', 'SIGKILL'],
    ['freezes, its connections open', 'SIGSTOP'],
  ] as const)(
    'whose master %s in the middle of a stream loses nothing, and the stream goes on',
    async (_, signal) => {
      const table = rig.source.table('shop', 'orders');
      table.create([{ name: 'id', realType: 'int' }]);
      let id = 0;
      const fill = (count: number): void => {
        for (let n = 0; n < count; n += 1) table.append(inserted({ id: (id += 1) }));
      };
      rig.start({ reader: { maxBatchEvents: 10 } });
      const writer = await rig.write();
      fill(300);
      await expect.poll(() => writer.lines.length, wait).toBe(300);
      fill(1000);
      await expect.poll(() => writer.lines.length, { ...wait, interval: 1 }).toBeGreaterThan(400);
      const pid = await readPid(watched.master.port);
      process.kill(pid, signal);
      fill(300);
      await expect.poll(() => writer.lines.length, wait).toBe(1600);
      if (signal === 'SIGSTOP') process.kill(pid, 'SIGCONT');
      expect(writer.lines).toEqual(await rig.readSource(1600));
      const role = await withRedis(watched.replica.port, (redis) => redis.info('replication'));
      expect(role).toContain('role:master');
      await expect.poll(() => rig.state(), wait).toBe('streaming');
    },
    90_000,
  );
});
