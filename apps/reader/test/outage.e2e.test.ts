import { once } from 'node:events';
import { connect } from 'node:net';
import { inserted } from '@afterimage/cdc-protocol/testing';
import { type LocalRedis, startRedis } from '@afterimage/local-servers';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
// @boundaries-ignore the harness that all tests share
import { queueBackends } from '../../../test/harness/databases.js';
import { createRig, type ReaderRig } from './reader-rig.js';

const wait = { timeout: 30_000, interval: 20 };

describe.each(queueBackends())('the reader', ({ backend, missing }) => {
  describe.skipIf(missing)(`with its queue on ${backend}`, () => {
    let redis: LocalRedis | null = null;
    let rig: ReaderRig;

    beforeEach(async () => {
      // A Redis of its own, since all its connections are cut and all its data is wiped.
      if (backend === 'redis') redis = await startRedis({ PATH: process.env['PATH'] ?? '' });
      rig = await createRig({ backend, redisUrl: redis?.url ?? null });
    });

    afterEach(async () => {
      await rig.close();
      await redis?.stop();
    });

    /** Sends one inline command and waits for its answer. */
    const tellRedis = async (command: string): Promise<void> => {
      if (redis === null) return;
      const { hostname, port } = new URL(redis.url);
      const socket = connect({ host: hostname, port: Number(port) });
      socket.write(`${command}\r\n`);
      await once(socket, 'data');
      socket.destroy();
    };

    const cutAllConnections = async (): Promise<void> => {
      await tellRedis('CLIENT KILL TYPE normal');
      await rig.database.pool.query(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`,
      );
    };
    /** What a Redis without append-only file has after a crash: nothing. */
    const wipeQueue = async (): Promise<void> => {
      if (backend === 'redis') return tellRedis('FLUSHALL');
      await rig.database.pool.query(`TRUNCATE ${rig.queueOptions.prefix}.job, ${rig.queueOptions.prefix}.meta CASCADE`);
    };

    it('goes on when PostgreSQL and the queue drop every connection, its lock included, and when the queue is wiped', async () => {
      const table = rig.source.table('shop', 'orders');
      table.create([{ name: 'id', realType: 'int' }]);
      let id = 0;
      const fill = (count: number): void => {
        for (let i = 0; i < count; i += 1) table.append(inserted({ id: (id += 1) }));
      };
      rig.start({ reader: { maxBatchEvents: 10, maxQueuedBatches: 3 } });
      const writer = await rig.write();
      fill(100);
      await expect.poll(() => writer.lines.length, wait).toBe(100);
      for (let round = 1; round <= 3; round += 1) {
        fill(200);
        await cutAllConnections();
        fill(200);
        await wipeQueue();
        await expect.poll(() => writer.lines.length, wait).toBe(100 + round * 400);
      }
      expect(writer.lines).toEqual(await rig.readSource(1300));
      await expect.poll(() => rig.state(), wait).toBe('streaming');
    });

    it('waits while the source is away, tells so, and goes on when it is back', async () => {
      const table = rig.source.table('shop', 'orders');
      table.create([{ name: 'id', realType: 'int' }]);
      table.append(inserted({ id: 1 }));
      rig.start();
      const writer = await rig.write();
      await expect.poll(() => writer.lines.length, wait).toBe(1);
      rig.source.refuse();
      rig.source.disconnectAll();
      await expect.poll(() => rig.state(), wait).toBe('retrying CONNECTION_REFUSED');
      table.append(inserted({ id: 2 }));
      await rig.source.accept();
      await expect.poll(() => writer.lines.length, wait).toBe(2);
      await expect.poll(() => rig.state(), wait).toBe('streaming');
    });
  });
});
