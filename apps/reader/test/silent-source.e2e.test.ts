import { inserted } from '@afterimage/cdc-protocol/testing';
import { expect, it } from 'vitest';
// @boundaries-ignore the harness that all tests share
import { FaultProxy } from '../../../test/harness/fault-proxy.js';
import { createRig } from './reader-rig.js';

const wait = { timeout: 20_000, interval: 10 };

it('a connection that dies without a word while the stream looks for its place is opened anew', async () => {
  const rig = await createRig({ backend: 'postgres', redisUrl: null });
  const proxy = await FaultProxy.start({ targetPort: rig.source.port });
  try {
    const table = rig.source.table('shop', 'orders');
    table.create([{ name: 'id', realType: 'int' }]);
    table.append(inserted({ id: 1 }), { gtid: '0-1-1' });
    const id = await rig.streamId();
    await rig.database.pool.query(
      `UPDATE afterimage.offsets SET position = '0-1-2:1', checkpoint_gtid = '0-1-2', file_version = 1, ordinal = 2 WHERE stream_id = $1`,
      [id],
    );
    rig.start({ sourcePort: proxy.port, timeouts: { resumeMs: 100, idleCheckMs: 1_500 } });
    await expect.poll(() => rig.state(), wait).toBe('connecting SEARCHING_POSITION');
    proxy.swallow('up', 'down');
    table.append(inserted({ id: 2 }), { gtid: '0-1-2' });
    table.append(inserted({ id: 3 }), { gtid: '0-1-3' });
    const writer = await rig.write();
    await expect.poll(() => writer.lines.length, wait).toBe(1);
    expect(writer.batches[0]).toMatchObject({ previous: '0-1-2:1', last: '0-1-3:1', firstOrdinal: '3' });
  } finally {
    await rig.close();
    proxy.close();
  }
});
