import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type FakeMaxScale, startFakeMaxScale } from '@afterimage/cdc-protocol/testing';
import { column, enumOf, int, money, timestamp, unsignedBigint, varchar } from '../src/demo/columns.js';
import { LagMeter } from '../src/demo/lag-meter.js';
import { commitLive } from '../src/demo/live-tables.js';
import { createRandom } from '../src/demo/random.js';
import { recordedKeys, replayRecordings } from '../src/demo/recordings.js';
import { Shop } from '../src/demo/shop.js';
import { ModelTable, type TableExpectation } from '../src/demo/source-model.js';

describe('a type of the model', () => {
  it('is sent as MaxScale sends it, and expected as PostgreSQL shows it', () => {
    const status = enumOf('new', 'paid');
    expect([status.toWire('paid'), status.toText('paid'), status.fullType]).toEqual([
      '02',
      'paid',
      "enum('new','paid')",
    ]);
    expect([money.toWire(-12345), money.toText(-12345), money.toText(5)]).toEqual([-123.45, '-123.45', '0.05']);
    expect([unsignedBigint.toWire('18446744073709551615'), timestamp.toText('2026-11-22 14:00:00')]).toEqual([
      2n ** 64n - 1n,
      '2026-11-22 14:00:00+00',
    ]);
  });
});

describe('the model of a table', () => {
  const at = { gtid: '0-1-1', eventNumber: 1, timestamp: 1 };
  const keyed = () =>
    new ModelTable({ database: 'd', table: 't', key: ['id'], columns: [column('id', int), column('name', varchar)] });

  it('follows a key that changes', () => {
    const model = keyed();
    model.apply({ ...at, operation: 'insert', row: { id: 1, name: 'a' } });
    model.apply({ ...at, operation: 'update_before', row: { id: 1, name: 'a' } });
    model.apply({ ...at, operation: 'update_after', row: { id: 2, name: 'a' } });
    expect(model.expectation().rows).toEqual([['2', 'a']]);
    expect(model.expectation().events).toHaveLength(3);
  });

  it('refuses a workload that cannot be', () => {
    const model = keyed();
    expect(() => model.apply({ ...at, operation: 'delete', row: { id: 1, name: 'a' } })).toThrow(
      'the workload does not make sense: delete of [1] in d.t',
    );
  });

  it('counts equal rows where there is no key', () => {
    const model = new ModelTable({ database: 'd', table: 't', key: null, columns: [column('a', int)] });
    for (const operation of ['insert', 'insert', 'delete'] as const) model.apply({ ...at, operation, row: { a: 1 } });
    expect(model.expectation().rows).toEqual([['1']]);
  });

  it('keeps the values of a renamed column, and not those of one dropped and added again', () => {
    const model = keyed();
    model.apply({ ...at, operation: 'insert', row: { id: 1, name: 'a' } });
    model.remember('0-1-1', 1);
    model.alter([
      column('id', int),
      { id: 'name', name: 'title', type: varchar },
      { id: 'name again', name: 'name', type: varchar },
    ]);
    const { columns, rows, events, moments } = model.expectation();
    expect(columns).toEqual(['id', 'title', 'name']);
    for (const found of [rows[0], events[0]?.values, moments[0]?.rows[0]]) expect(found).toEqual(['1', 'a', null]);
  });
});

describe('the source of the demo', () => {
  let maxscale: FakeMaxScale;
  beforeEach(async () => {
    maxscale = await startFakeMaxScale();
  });
  afterEach(() => maxscale.close());

  it('has a shop whose model is what its events add up to', () => {
    const shop = new Shop(maxscale, createRandom(7));
    for (let n = 0; n < 3000; n += 1) {
      if (n === 1500) shop.alterOrders();
      if (n === 2000) shop.renameNote();
      const changes = shop.next(1_800_000_000 + n);
      if (changes.length > 0) commitLive(maxscale, changes, 1_800_000_000 + n);
    }
    for (const { model } of shop.tables) {
      const expectation = model.expectation();
      expect(expectation.rows.length).toBeGreaterThan(100);
      expect(expectation.rows.map((row) => JSON.stringify(row)).toSorted()).toEqual(addUp(expectation).toSorted());
    }
    const orders = shop.orders.model.expectation();
    const kinds = new Set(orders.events.map(({ operation }) => operation));
    expect([...kinds].toSorted()).toEqual(['delete', 'insert', 'update_after', 'update_before']);
    expect(orders.columns).toContain('coupon');
  });

  it('gives the same rows for the same seed', async () => {
    const rowsOf = async (seed: number) => {
      const own = await startFakeMaxScale();
      const shop = new Shop(own, createRandom(seed));
      for (let n = 0; n < 200; n += 1) shop.next(1_800_000_000).map(({ row }) => row);
      const rows = shop.next(1_800_000_000).map(({ row }) => row);
      await own.close();
      return rows;
    };
    expect(await rowsOf(3)).toEqual(await rowsOf(3));
    expect(await rowsOf(3)).not.toEqual(await rowsOf(4));
  });

  it('has every recorded table, read from the bytes alone', async () => {
    const models = await replayRecordings(maxscale);
    expect(models.map(({ database, table }) => `${database}.${table}`)).toEqual(Object.keys(recordedKeys));
    const byName = new Map(models.map((model) => [model.table, model.expectation()]));
    expect(byName.get('upd_pk')).toMatchObject({ columns: ['id', 'a', 's'], rows: [['2', '21', 'b']] });
    // The column was dropped, and one of its name added later: rows from before have no value in it.
    expect(byName.get('alter_trx')?.columns).toEqual(['a', 'id', 's', 'x']);
    expect(byName.get('alter_trx')?.rows.find((row) => row[1] === '1')?.[0]).toBeNull();
  });
});

/** The rows that the events of an expectation give, as JSON, by the simplest reading there is. */
function addUp({ events }: TableExpectation): string[] {
  const rows: string[] = [];
  for (const { operation, values } of events) {
    const text = JSON.stringify(values);
    if (operation === 'insert' || operation === 'update_after') rows.push(text);
    else rows.splice(rows.indexOf(text), 1);
  }
  return rows;
}

describe('the lag', () => {
  it('is the age of the oldest event that is not applied', () => {
    const meter = new LagMeter();
    meter.observe({ t: 10 }, 0);
    meter.observe({ t: 20 }, 1000);
    meter.observe({ t: 20 }, 2000);
    meter.observe({ t: 30 }, 3000);
    expect(meter.lagSeconds('t', 5, 4000)).toBe(4);
    expect(meter.lagSeconds('t', 10, 4000)).toBe(3);
    expect(meter.lagSeconds('t', 25, 4000)).toBe(1);
    expect(meter.lagSeconds('t', 30, 9000)).toBe(0);
    expect(meter.lagSeconds('unknown', 0, 9000)).toBe(0);
  });
});
