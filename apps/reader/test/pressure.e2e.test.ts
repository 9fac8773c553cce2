import { openBatchQueue } from '@afterimage/queue';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
// @boundaries-ignore the harness that all tests share
import { queueBackends } from '../../../test/harness/databases.js';
import { createRig, type ReaderRig } from './reader-rig.js';

const total = 300_000;
const perTransaction = 100;
const wait = { timeout: 50_000, interval: 50 };

/** 40 MB of rows that are made as the reader takes them. */
function* makeRows(): Generator<Buffer> {
  for (let sequence = 1; sequence <= total / perTransaction; sequence += 1) {
    let text = '';
    for (let number = 1; number <= perTransaction; number += 1) {
      text += `{"domain": 0, "server_id": 1, "sequence": ${sequence}, "event_number": ${number}, "timestamp": 1795347409, "event_type": "insert", "id": ${sequence}}\n`;
    }
    yield Buffer.from(text);
  }
}

describe.each(queueBackends())('back-pressure', ({ backend, redisUrl, missing }) => {
  describe.skipIf(missing)(`with the queue on ${backend}`, () => {
    let rig: ReaderRig;

    beforeEach(async () => {
      rig = await createRig({ backend, redisUrl });
      const table = rig.source.table('shop', 'orders');
      table.create([{ name: 'id', realType: 'int' }]);
      table.source(makeRows);
    });

    afterEach(async () => {
      await rig.close();
    });

    it('stops the socket, not the memory, while no writer works, and lets go on when one does', async () => {
      rig.start({ reader: { maxBatchEvents: 1000, maxQueuedBatches: 6 } });
      const queue = openBatchQueue(rig.queue, await rig.streamId(), 0);
      await expect.poll(() => queue.depth(), wait).toBe(6);
      const sent = () => rig.source.connections[0]?.bytesSent ?? 0;
      // What the kernel's buffers take is sent too; then nothing moves any more.
      let before = -1;
      await expect
        .poll(
          () => {
            const still = sent() === before;
            before = sent();
            return still;
          },
          { ...wait, interval: 500 },
        )
        .toBe(true);
      expect(sent()).toBeLessThan(20_000_000);
      expect(await queue.depth()).toBe(6);
      const memory = process.memoryUsage().rss;
      const writer = await rig.write();
      await expect.poll(() => writer.lines.length, wait).toBe(total);
      expect(writer.gaps).toBe(0);
      // The recording writer itself keeps every line: some 150 bytes each.
      expect(process.memoryUsage().rss - memory).toBeLessThan(400_000_000);
      await queue.close();
    });

    it('counts bytes too', async () => {
      rig.start({ reader: { maxBatchEvents: 1000, maxQueuedBytes: 300_000 } });
      const queue = openBatchQueue(rig.queue, await rig.streamId(), 0);
      // 1,000 events of some 130 bytes: the third batch has no room.
      await expect.poll(() => queue.depth(), wait).toBe(2);
      await expect.poll(() => rig.source.connections[0]?.bytesWaiting, wait).toBeGreaterThan(0);
      expect(await queue.depth()).toBe(2);
      await queue.close();
    });
  });
});
