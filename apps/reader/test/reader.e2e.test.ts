import { deleted, inserted, type ScriptedTable, updated } from '@afterimage/cdc-protocol/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
// @boundaries-ignore the harness that all tests share
import { queueBackends } from '../../../test/harness/databases.js';
import { createRig, type ReaderRig } from './reader-rig.js';

const columns = [
  { name: 'id', realType: 'int' },
  { name: 'note', realType: 'varchar' },
];
const wait = { timeout: 20_000, interval: 10 };

describe.each(queueBackends())('the reader', ({ backend, redisUrl, missing }) => {
  describe.skipIf(missing)(`with its queue on ${backend}`, () => {
    let rig: ReaderRig;
    let table: ScriptedTable;
    let next = 1;

    beforeEach(async () => {
      rig = await createRig({ backend, redisUrl });
      table = rig.source.table('shop', 'orders');
      next = 1;
    });

    afterEach(async () => {
      await rig.close();
    });

    /** `count` transactions of three events each: insert, and the two halves of an update. */
    const fill = (count: number): void => {
      for (let i = 0; i < count; i += 1) {
        const row = { id: next, note: `été ${next} \u2028 "quoted"` };
        table.append([...inserted(row), ...updated(row, { ...row, note: null })]);
        next += 1;
      }
    };

    it('brings every line to the writer exactly as the source sent it, once and in order', async () => {
      table.create(columns);
      fill(400);
      rig.start({ reader: { maxBatchEvents: 100 } });
      const writer = await rig.write();
      await expect.poll(() => writer.lines.length, wait).toBe(1200);
      fill(10);
      await expect.poll(() => writer.lines.length, wait).toBe(1230);
      expect(writer.lines).toEqual(await rig.readSource(1230));
      expect(writer.gaps).toBe(0);
      for (const batch of writer.batches) expect(batch.count).toBeLessThanOrEqual(100);
      expect(await rig.state()).toBe('streaming');
    });

    it('goes on after the last applied event, wherever it was stopped', async () => {
      table.create(columns);
      fill(100);
      const writer = await rig.write();
      for (let round = 1; round <= 6; round += 1) {
        const reader = rig.start({ reader: { maxBatchEvents: 7 + round } });
        fill(50);
        const target = Math.min(round * 97, 100 * 3 + round * 150);
        await expect.poll(() => writer.lines.length, wait).toBeGreaterThanOrEqual(target);
        await reader.stop();
        expect(await rig.state()).toBe('idle');
      }
      rig.start();
      await expect.poll(() => writer.lines.length, wait).toBe(1200);
      expect(writer.lines).toEqual(await rig.readSource(1200));
    });

    it('loses nothing and doubles nothing when connections are cut at any byte', async () => {
      table.create(columns);
      fill(60);
      for (const bytes of [30, 200, 700, 1500, 4000, 9000]) {
        rig.source.inject({ at: { bytes }, action: { kind: bytes % 200 === 0 ? 'reset' : 'drop' } });
      }
      rig.start({ reader: { maxBatchEvents: 5 } });
      const writer = await rig.write();
      await expect.poll(() => writer.lines.length, wait).toBe(180);
      expect(writer.lines).toEqual(await rig.readSource(180));
      expect(writer.gaps).toBe(0);
    });

    it('follows file versions: a rotation changes no columns, an ALTER begins a batch of its own', async () => {
      table.create(columns);
      fill(3);
      rig.start();
      const writer = await rig.write();
      await expect.poll(() => writer.lines.length, wait).toBe(9);
      table.rotate();
      fill(1);
      table.alter([...columns, { name: 'price', realType: 'decimal' }]);
      table.append(inserted({ id: 1000, note: 'x', price: 1.5 }));
      await expect.poll(() => writer.lines.length, wait).toBe(13);
      const versions = writer.batches.map((b) => `${b.checkpoint.fileVersion} ${b.schema.fields.length}`);
      expect([...new Set(versions)]).toEqual(['1 2', '2 2', '3 3']);
      expect(writer.batches.at(-1)?.count).toBe(1);
    });

    it('waits for a table that has no row yet, and begins with its first one', async () => {
      const reader = rig.start({ timeouts: { resumeMs: 60_000 } });
      await expect.poll(() => rig.state(), wait).toBe('waiting NO_SUCH_FILE');
      const writer = await rig.write();
      table.create(columns);
      fill(2);
      await expect.poll(() => writer.lines.length, wait).toBe(6);
      expect(writer.lines).toEqual(await rig.readSource(6));
      await reader.stop();
    });

    it('finds the first file of a quiet table soon, also where it is not version 1 and nothing wakes the request', async () => {
      const reader = rig.start({ timeouts: { resumeMs: 60_000 } });
      await expect.poll(() => rig.state(), wait).toBe('waiting NO_SUCH_FILE');
      const writer = await rig.write();
      table.create(columns);
      // CREATE, DROP, CREATE.
      table.create(columns);
      fill(1);
      await expect.poll(() => writer.lines.length, { timeout: 6_000, interval: 10 }).toBe(3);
      expect(writer.lines).toEqual(await rig.readSource(3, 'orders', 2));
      await reader.stop();
    });

    it('finds a table whose first file versions are gone', async () => {
      table.create(columns);
      fill(1);
      table.rotate();
      fill(1);
      table.rotate();
      fill(1);
      table.prune(1);
      table.prune(2);
      rig.start();
      const writer = await rig.write();
      await expect.poll(() => writer.lines.length, wait).toBe(3);
      expect(writer.lines).toEqual(await rig.readSource(3, 'orders', 3));
    });

    it('drops what a restarted MaxScale sends twice', async () => {
      table.create(columns);
      table.append(inserted(...Array.from({ length: 50 }, (_, id) => ({ id, note: 'a' }))), { gtid: '0-1-10' });
      const once = (await rig.readSource(50)).map((line) => `${line}\n`);
      table.appendLines(once.join(''));
      table.append(deleted({ id: 1, note: 'a' }), { gtid: '0-1-11' });
      rig.start({ reader: { maxBatchEvents: 8 } });
      const writer = await rig.write();
      await expect.poll(() => writer.lines.length, wait).toBe(51);
      expect(writer.lines).toEqual([...once.map((line) => line.trimEnd()), (await rig.readSource(101)).at(-1)]);
    });

    it('halts with LOST_POSITION, queueing nothing, when the source has newer events but not the last applied one', async () => {
      table.create(columns);
      table.append(inserted({ id: 1, note: 'a' }), { gtid: '0-1-100' });
      table.append(inserted({ id: 2, note: 'b' }), { gtid: '0-1-101' });
      const id = await rig.streamId();
      await rig.database.pool.query(
        `UPDATE afterimage.offsets SET position = '0-1-50:1', checkpoint_gtid = '0-1-50', file_version = 3, ordinal = 7 WHERE stream_id = $1`,
        [id],
      );
      rig.start({ timeouts: { resumeMs: 200 } });
      await expect.poll(() => rig.state(), wait).toBe('halted LOST_POSITION');
      const writer = await rig.write();
      expect(writer.batches).toEqual([]);
      // The operator sets the offset to a place that is there: the stream goes on by itself.
      await rig.database.pool.query(
        `UPDATE afterimage.offsets SET position = '0-1-100:1', checkpoint_gtid = '0-1-100', file_version = 1 WHERE stream_id = $1`,
        [id],
      );
      await expect.poll(() => writer.lines.length, wait).toBe(1);
      expect(writer.batches[0]?.firstOrdinal).toBe('8');
    });

    it('halts with SOURCE_RESET, queueing nothing, when the source has begun a new history', async () => {
      const early = Date.UTC(2026, 0, 1) / 1000;
      table.create(columns);
      table.append(inserted({ id: 1, note: 'a' }), { gtid: '0-1-100', timestamp: early });
      rig.start({ timeouts: { resumeMs: 100 } });
      const writer = await rig.write();
      await expect.poll(() => writer.lines.length, wait).toBe(1);
      // A repetition is as old as what it repeats, a new history is not.
      table.append(inserted({ id: 1, note: 'a' }), { gtid: '0-1-99', timestamp: early });
      table.append(inserted({ id: 2, note: 'b' }), { gtid: '0-1-101', timestamp: early + 60 });
      await expect.poll(() => writer.lines.length, wait).toBe(2);
      table.append(inserted({ id: 1, note: 'another' }), { gtid: '0-1-5', timestamp: early + 3600 });
      await expect.poll(() => rig.state(), wait).toBe('halted SOURCE_RESET');
      expect(writer.lines).toHaveLength(2);
    });

    it('halts with SOURCE_RESET when a new history has an event of the same name as the last applied one', async () => {
      const early = Date.UTC(2026, 0, 1) / 1000;
      table.create(columns);
      table.append(inserted({ id: 1, note: 'a' }), { gtid: '0-1-1', timestamp: early + 30 });
      table.append(inserted({ id: 2, note: 'another' }), { gtid: '0-1-2', timestamp: early + 31 });
      table.append(inserted({ id: 3, note: 'another' }), { gtid: '0-1-3', timestamp: early + 32 });
      const id = await rig.streamId();
      await rig.database.pool.query(
        `UPDATE afterimage.offsets SET position = '0-1-2:1', checkpoint_gtid = '0-1-2', file_version = 1, ordinal = 2,
           source_time = to_timestamp($2) WHERE stream_id = $1`,
        [id, early + 20],
      );
      const writer = await rig.write();
      rig.start({ timeouts: { resumeMs: 100 } });
      await expect.poll(() => rig.state(), wait).toBe('halted SOURCE_RESET');
      expect(writer.lines).toEqual([]);
    });

    it('tells that it looks for its place when the source is behind it, and goes on when the place comes', async () => {
      table.create(columns);
      table.append(inserted({ id: 1, note: 'a' }), { gtid: '0-1-1' });
      const id = await rig.streamId();
      await rig.database.pool.query(
        `UPDATE afterimage.offsets SET position = '0-1-3:1', checkpoint_gtid = '0-1-3', file_version = 1, ordinal = 3 WHERE stream_id = $1`,
        [id],
      );
      rig.start({ timeouts: { resumeMs: 100 } });
      await expect.poll(() => rig.state(), wait).toBe('connecting SEARCHING_POSITION');
      for (let sequence = 2; sequence <= 4; sequence += 1) {
        table.append(inserted({ id: sequence, note: 'b' }), { gtid: `0-1-${sequence}` });
      }
      const writer = await rig.write();
      await expect.poll(() => writer.lines.length, wait).toBe(1);
      expect(writer.batches[0]).toMatchObject({ previous: '0-1-3:1', last: '0-1-4:1', firstOrdinal: '4' });
      await expect.poll(() => rig.state(), wait).toBe('streaming');
    });

    it('finds its place from the start of the files when MaxScale does not honour the GTID', async () => {
      table.create(columns);
      fill(5);
      table.rotate();
      fill(5);
      const writer = await rig.write();
      const reader = rig.start();
      await expect.poll(() => writer.lines.length, wait).toBe(30);
      await reader.stop();
      // As after a failover or a new numbering: that GTID is answered with silence, that version does not exist.
      await rig.database.pool.query(`UPDATE afterimage.offsets SET checkpoint_gtid = '0-9-9999', file_version = 7`);
      await rig.database.pool.query(
        `UPDATE afterimage.offsets SET checkpoint_gtid = substring(position from '^[^:]*'), file_version = 7`,
      );
      rig.start({ timeouts: { resumeMs: 200 } });
      fill(1);
      await expect.poll(() => writer.lines.length, wait).toBe(33);
      expect(writer.lines).toEqual(await rig.readSource(33));
    });

    it('delivers what comes before a damaged place, and says that the source is broken there', async () => {
      table.create(columns);
      fill(4);
      table.fail('MAXAVRO_ERR_IO');
      rig.start();
      const writer = await rig.write();
      await expect.poll(() => writer.lines.length, wait).toBe(12);
      await expect.poll(() => rig.state(), wait).toBe('retrying SOURCE_FATAL');
    });

    it('takes no row whose columns are not the announced ones', async () => {
      table.create(columns);
      fill(1);
      rig.start();
      const writer = await rig.write();
      await expect.poll(() => writer.lines.length, wait).toBe(3);
      table.appendLines(
        '{"domain": 0, "server_id": 1, "sequence": 999, "event_number": 1, "timestamp": 1, "event_type": "insert", "id": 1, "renamed": "x"}\n',
      );
      fill(1);
      const mismatches = () => rig.log.filter((line) => line['code'] === 'COLUMNS_MISMATCH').length;
      await expect.poll(() => rig.state(), wait).toBe('retrying COLUMNS_MISMATCH');
      const since = await rig.since();
      // Nor what comes after it, however often it is read.
      await expect.poll(mismatches, wait).toBeGreaterThanOrEqual(3);
      expect(writer.lines).toHaveLength(3);
      // That it comes as far as that each time does not make it well: whoever asks sees for how long it has not been.
      await expect.poll(() => rig.state(), wait).toBe('retrying COLUMNS_MISMATCH');
      expect(await rig.since()).toEqual(since);
    });

    it('sends again what a wiped queue lost', async () => {
      table.create(columns);
      fill(100);
      rig.start({ reader: { maxBatchEvents: 10, maxQueuedBatches: 4 } });
      const id = await rig.streamId();
      const { openBatchQueue, destroyQueue } = await import('@afterimage/queue');
      const queue = openBatchQueue(rig.queue, id, 0);
      await expect.poll(() => queue.depth(), wait).toBe(4);
      await destroyQueue(rig.queue, id, 0);
      const writer = await rig.write();
      await expect.poll(() => writer.lines.length, wait).toBe(300);
      expect(writer.lines).toEqual(await rig.readSource(300));
      expect(rig.log.some((line) => line['code'] === 'QUEUE_LOST_JOBS')).toBe(true);
      await queue.close();
    });

    it('leaves a source to its active reader and takes over when that one stops', async () => {
      table.create(columns);
      fill(10);
      const writer = await rig.write();
      const first = rig.start();
      await expect.poll(() => writer.lines.length, wait).toBe(30);
      const second = rig.start();
      await expect.poll(() => rig.log.some((line) => String(line['msg']).includes('standby')), wait).toBe(true);
      expect(rig.source.connections).toHaveLength(1);
      await first.stop();
      fill(10);
      await expect.poll(() => writer.lines.length, wait).toBe(60);
      expect(writer.batches.map((b) => b.epoch)).toContain('2');
      expect(writer.lines).toEqual(await rig.readSource(60));
      await second.stop();
    });

    it('puts into the queue what it has read when it is told to stop', async () => {
      table.create(columns);
      fill(3);
      const reader = rig.start({ reader: { lingerMs: 60_000 } });
      await expect.poll(() => rig.state(), wait).toBe('streaming');
      await expect.poll(() => rig.source.connections[0]?.bytesWaiting, wait).toBe(0);
      await reader.stop();
      const writer = await rig.write();
      await expect.poll(() => writer.lines.length, wait).toBe(9);
      expect(rig.source.connections).toHaveLength(0);
    });

    it('opens a silent connection anew from time to time and finds its place each time', async () => {
      table.create(columns);
      fill(2);
      rig.start({ timeouts: { idleCheckMs: 100 } });
      const writer = await rig.write();
      await expect.poll(() => writer.lines.length, wait).toBe(6);
      const requests = new Set<unknown>();
      await expect
        .poll(() => {
          for (const connection of rig.source.connections) requests.add(connection);
          return requests.size;
        }, wait)
        .toBeGreaterThan(3);
      fill(1);
      await expect.poll(() => writer.lines.length, wait).toBe(9);
      expect(writer.duplicates).toBe(0);
    });
  });
});
