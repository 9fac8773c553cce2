import {
  startFakeMaxScale,
  type FakeMaxScale,
  type FakeMaxScaleOptions,
  type ScriptedTable,
} from '@afterimage/cdc-protocol/testing';
import { onTestFinished } from 'vitest';

/** A fake MaxScale that ends with the test. */
export async function startServer(options: FakeMaxScaleOptions = {}): Promise<FakeMaxScale> {
  const server = await startFakeMaxScale(options);
  onTestFinished(() => server.close());
  return server;
}

export const orderColumns = [
  { name: 'id', realType: 'int' },
  { name: 'note', realType: 'varchar' },
];

/** `shop.orders` with that many rows, one per transaction, ids from 1. */
export function createOrders(server: FakeMaxScale, rows: number): ScriptedTable {
  const table = server.table('shop', 'orders');
  table.create(orderColumns);
  for (let id = 1; id <= rows; id++) table.append([{ operation: 'insert', values: { id, note: `note ${id}` } }]);
  return table;
}

export const orders = { database: 'shop', table: 'orders' };
