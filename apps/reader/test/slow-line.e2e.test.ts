import { inserted } from '@afterimage/cdc-protocol/testing';
import { expect, it } from 'vitest';
// @boundaries-ignore the harness that all tests share
import { FaultProxy } from '../../../test/harness/fault-proxy.js';
import { createRig } from './reader-rig.js';

it('a line that takes longer to arrive than a silent connection is kept arrives all the same', async () => {
  const rig = await createRig({ backend: 'postgres', redisUrl: null });
  const proxy = await FaultProxy.start({ targetPort: rig.source.port });
  try {
    const table = rig.source.table('shop', 'orders');
    table.create([{ name: 'body', realType: 'text' }]);
    table.append(inserted({ body: 'first' }));
    rig.start({ sourcePort: proxy.port, timeouts: { idleCheckMs: 500 } });
    const writer = await rig.write();
    await expect.poll(() => writer.lines.length, { timeout: 20_000 }).toBe(1);
    proxy.weather = { bytesPerSecond: 300 };
    table.append(inserted({ body: 'x'.repeat(500) }));
    await expect.poll(() => writer.lines.length, { timeout: 20_000 }).toBe(2);
  } finally {
    await rig.close();
    proxy.close();
  }
});
