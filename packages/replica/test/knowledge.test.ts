import { describe, expect, test } from 'vitest';
import type { TableKnowledge } from '@afterimage/mariadb';
import type { Field } from '@afterimage/change-events';
import { chooseKnowledge, type StoredKnowledge } from '../src/apply/source.js';
import { field } from './batches.js';
import { integer, tableOf } from './known.js';

const table = (...names: string[]): TableKnowledge => ({
  ...tableOf(
    null,
    names.map((name) => integer(name)),
  ),
  comment: names.join(),
});
const seen = (id: string, at: string, ...names: string[]) => ({
  id,
  table: table(...names),
  lastSeen: new Date(`2026-01-01T${at}Z`),
  firstPosition: null,
  lastPosition: null,
  definedAt: null,
});
const choose = (records: StoredKnowledge[], wanted: Field[], time: Date, ofRows: readonly string[] = []) => {
  const chosen = chooseKnowledge(records, { fields: wanted, time, isOfRows: ({ id }) => ofRows.includes(id) });
  return chosen?.knowledge.id ?? null;
};
const at = (time: string) => new Date(`2026-01-01T${time}Z`);
const fields = (...names: string[]) => names.map((name) => field(name, 'int', 'int'));

describe('what was known of a table when its events happened', () => {
  const records = [
    seen('1', '10:00:00', 'id'),
    seen('2', '11:00:00', 'id', 'a'),
    seen('3', '12:00:00', 'id', 'a'),
    seen('4', '13:00:00', 'id', 'a', 'b'),
  ];
  test('is the first that was seen after them with their columns', () => {
    expect(choose(records, fields('id', 'a'), at('10:30:00'))).toBe('2');
    expect(choose(records, fields('id', 'a'), at('11:30:00'))).toBe('3');
  });
  test('is what was seen last with their columns, where everything was seen before them', () => {
    expect(choose(records, fields('id', 'a'), at('12:30:00'))).toBe('3');
    expect(choose(records, fields('id'), at('12:30:00'))).toBe('1');
  });
  test('is what was seen last, where nothing has their columns', () => {
    expect(choose(records, fields('id', 'z'), at('12:30:00'))).toBe('4');
  });
  test('is what was seen before and after them, whatever the names', () => {
    const swapped = [...records.slice(0, 3), seen('5', '12:30:00', 'a', 'id')];
    expect(choose(swapped, fields('id', 'a'), at('12:30:00'), ['5'])).toBe('5');
    expect(choose(swapped, fields('id', 'a'), at('12:30:00'), ['1'])).toBe('3');
  });
  test('is nothing, where nothing was seen', () => {
    expect(choose([], fields('id'), at('12:30:00'))).toBeNull();
  });
});
