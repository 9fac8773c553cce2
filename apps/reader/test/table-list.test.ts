import { expect, it } from 'vitest';
import { listTables } from '../src/table-list.js';

it('a pattern stands for the known tables of its database, and each table is read once', () => {
  const source = {
    tables: { 'shop.orders': null, 'shop.*': null, 'hr.people': null },
    knownTables: ['shop.items', 'shop.orders', 'shopping.lists', 'hr.secret'],
  };
  expect(listTables(source).tables).toEqual([
    { database: 'shop', table: 'orders' },
    { database: 'shop', table: 'items' },
    { database: 'hr', table: 'people' },
  ]);
});

it('a pattern that stands for nothing is told', () => {
  expect(listTables({ tables: { 'shop.*': null }, knownTables: [] })).toEqual({
    tables: [],
    emptyPatterns: ['shop.*'],
  });
});
