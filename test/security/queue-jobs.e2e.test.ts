import { randomUUID } from 'node:crypto';
import { inserted } from '@afterimage/cdc-protocol/testing';
import { type Batch, fingerprintOf } from '@afterimage/change-events';
import { listStreamRecords } from '@afterimage/replica';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { queueBackends } from '../harness/databases.js';
import { findForeignLines, findObeyed, SecurityRig } from './security-rig.js';

const fields = [{ name: 'id', realType: 'int', avroType: 'int', unsigned: false }];
const hostileFields = [{ ...fields[0], name: '"; DROP TABLE public.canary; --' }] as typeof fields;
const event = (sequence: number, columns = '"id": 666') =>
  `{"domain": 0, "server_id": 1, "sequence": ${sequence}, "event_number": 1, "timestamp": 1795347409, "event_type": "insert", ${columns}}`;

// Several programs at once: a busy machine takes its time.
vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

describe.each(queueBackends())('a job that no reader made, on $backend', (queue) => {
  describe.skipIf(queue.missing)('the queue', () => {
    let rig: SecurityRig;
    const table = (name: string) => rig.server.table('shop', name);

    const fetchTables = async (): Promise<unknown> => {
      const parts = ['orders', 'customers'].map(async (name) => {
        const { rows } = await rig.pool.query(`SELECT * FROM shop.${name} ORDER BY id`);
        const { rows: history } = await rig.pool.query(`SELECT * FROM shop_history.${name} ORDER BY stream_ordinal`);
        return { rows, history };
      });
      const versions = await rig.pool.query(
        'SELECT stream_id, version, fingerprint, fields FROM afterimage.schema_versions ORDER BY 1, 2',
      );
      const offsets = await rig.pool.query('SELECT stream_id, position, ordinal FROM afterimage.offsets ORDER BY 1');
      return { tables: await Promise.all(parts), versions: versions.rows, offsets: offsets.rows };
    };

    /** A batch that would follow what is applied, but for what `change` makes of it. */
    const makeJobs = (own: Batch['stream'], other: Batch['stream'], sequence: number): Record<string, unknown> => {
      const good: Batch = {
        v: 2,
        stream: own,
        partition: 0,
        layout: 1,
        epoch: '1',
        previous: '',
        last: `0-1-${sequence}:1`,
        checkpoint: { gtid: `0-1-${sequence}`, fileVersion: 1 },
        lastOrdinal: '2',
        firstOrdinal: '2',
        sequenceBases: {},
        schema: { fingerprint: fingerprintOf(fields), fields, version: 1, gtid: '0-1-1', since: '1' },
        count: 1,
        firstTimestamp: 1_795_347_409,
        lastTimestamp: 1_795_347_409,
        enqueuedAt: 1,
        events: event(sequence),
      };
      return {
        'another stream’s id': { ...good, stream: { ...own, id: other.id } },
        'all of another stream': { ...good, stream: other },
        'another stream’s table': { ...good, stream: { ...own, table: other.table } },
        'another database': { ...good, stream: { ...own, database: 'pg_catalog' } },
        'a stream that nobody knows': { ...good, stream: { ...own, id: randomUUID() } },
        'another partition': { ...good, partition: 1 },
        'a huge count': { ...good, count: 2_000_000_000 },
        'more lines than it says': { ...good, events: `${event(sequence)}\n${event(sequence)}` },
        'other ordinals than events': { ...good, ordinals: [0, 1] },
        'the fingerprint of other fields': { ...good, schema: { ...good.schema, fields: hostileFields } },
        'an unknown version': { ...good, v: 99 },
        'keys that nobody knows': { ...good, constructor: { prototype: { polluted: 1 } } },
        'a name of its own prototype': JSON.parse(
          JSON.stringify(good).replace('"v":2', '"v":2,"__proto__":{"polluted":1},"x":1'),
        ) as unknown,
        'a text that is no JSON': { json: '{"v": 1', events: '' },
        'a forged log line': { json: '\n{"level":"fatal","msg":"forged"}\u001b[2J', events: '' },
        'a position that is none': { ...good, previous: "'; DROP TABLE public.canary; --" },
        'no fields': { ...good, schema: { ...good.schema, fields: [] } },
        'a number': { json: '7', events: '' },
        'a list': { json: JSON.stringify([good]), events: '' },
      };
    };
    const jobCount = 19;

    beforeAll(async () => {
      rig = await SecurityRig.create({
        queue,
        source: { tables: { 'shop.orders': { key: ['id'] }, 'shop.customers': { key: ['id'] } } },
      });
      await rig.pool.query('CREATE TABLE public.canary AS SELECT 1 AS alive');
      for (const name of ['orders', 'customers']) {
        table(name).create([{ name: 'id', realType: 'int' }]);
        table(name).append(inserted({ id: 1 }));
      }
      rig.start();
      await rig.waitForEvents(
        new Map([
          ['shop.orders', 1],
          ['shop.customers', 1],
        ]),
      );
    });
    afterAll(() => rig?.close());

    it('is not trusted: what does not fit its queue is refused, kept, and logged in one clear line each', async () => {
      const before = await fetchTables();
      const records = await listStreamRecords(rig.pool);
      const [own, other] = ['orders', 'customers'].map((name) => {
        const found = records.find((record) => record.table === name);
        if (found === undefined) throw new Error(`no stream ${name}`);
        const { id, source, database } = found;
        return { id, source, database, table: name };
      });
      if (own === undefined || other === undefined) throw new Error('no streams');
      const jobs = makeJobs(own, other, 5_000);
      expect(Object.keys(jobs)).toHaveLength(jobCount);
      await rig.withQueue('orders', async (sender) => {
        for (const job of Object.values(jobs)) await sender.add(job as Batch);
        const refused = () => rig.output.match(/a job holds no batch of this stream/g)?.length ?? 0;
        await rig.waitFor(() => refused() >= jobCount);
        expect(await sender.depth()).toBe(jobCount);
        expect(await fetchTables()).toEqual(before);
      });
      expect(findObeyed(rig.output)).toEqual([]);
      expect(findForeignLines(rig.output)).toEqual([]);
      expect((await rig.pool.query('SELECT alive FROM public.canary')).rows).toEqual([{ alive: 1 }]);
    });

    it('goes on with the batches of the reader meanwhile', async () => {
      table('orders').append(inserted({ id: 2 }));
      await rig.waitForEvents(new Map([['shop.orders', 2]]));
      expect((await rig.pool.query('SELECT id FROM shop.orders ORDER BY id')).rows).toEqual([{ id: 1 }, { id: 2 }]);
      expect((await rig.streams()).map(({ state }) => state)).toEqual(['active', 'active']);
      await rig.stop();
      expect(rig.output.match(/prototypes as before/g)).toHaveLength(2);
    });
  });
});
