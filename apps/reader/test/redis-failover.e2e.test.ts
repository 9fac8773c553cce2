import { inserted } from '@afterimage/cdc-protocol/testing';
import { describe, expect, it, vi } from 'vitest';
// @boundaries-ignore the harness that all tests share
import { queueBackends } from '../../../test/harness/databases.js';
// @boundaries-ignore servers of certain kinds, for several packages
import { startWatchedRedis, type WatchedRedis, withRedis } from '../../../test/harness/redis-servers.js';
import { createRig, type ReaderRig } from './reader-rig.js';

const wait = { timeout: 45_000, interval: 50 };
const missing = queueBackends().some((backend) => backend.missing);

const readPid = async (port: number): Promise<number> =>
  Number(/process_id:(\d+)/.exec(await withRedis(port, (redis) => redis.info('server')))?.[1]);

async function strikeMaster(rig: ReaderRig, watched: WatchedRedis, signal: 'SIGKILL' | 'SIGSTOP'): Promise<void> {
  const table = rig.source.table('shop', 'orders');
  table.create([{ name: 'id', realType: 'int' }]);
  let id = 0;
  const fill = (count: number): void => {
    for (let n = 0; n < count; n += 1) table.append(inserted({ id: (id += 1) }));
  };
  const pid = await readPid(watched.master.port);
  rig.start({ reader: { maxBatchEvents: 10 } });
  const writer = await rig.write();
  fill(1300);
  await vi.waitFor(() => expect(writer.lines.length).toBeGreaterThan(400), { ...wait, interval: 1 });
  process.kill(pid, signal);
  fill(300);
  try {
    await vi.waitFor(() => expect(writer.lines).toHaveLength(1600), wait);
  } finally {
    if (signal === 'SIGSTOP') process.kill(pid, 'SIGCONT');
  }
  expect(writer.lines).toEqual(await rig.readSource(1600));
  const role = await withRedis(watched.replica.port, (redis) => redis.info('replication'));
  expect(role).toContain('role:master');
}

describe.skipIf(missing)('a Redis behind sentinels', () => {
  it.concurrent.each([
    ['dies', 'SIGKILL'],
    ['freezes with its connections open', 'SIGSTOP'],
  ] as const)(
    'whose master %s in the middle of a stream loses nothing, and the stream goes on with the next',
    async (_, signal) => {
      const watched = await startWatchedRedis();
      const redis = { sentinels: watched.sentinels.urls, masterName: 'shop' };
      const rig = await createRig({ backend: 'redis', redisUrl: null, redis });
      try {
        await strikeMaster(rig, watched, signal);
        await vi.waitFor(async () => expect(await rig.state()).toBe('streaming'), wait);
      } finally {
        await rig.close();
        await watched.stop();
      }
    },
    120_000,
  );
});
