import pg from 'pg';
import { describe, expect, test } from 'vitest';
import { isRowRefused, isTransient } from '../src/errors.js';

function postgresError(state: string): pg.DatabaseError {
  const error = new pg.DatabaseError('as PostgreSQL says', 1, 'error');
  error.code = state;
  return error;
}

describe('an error that PostgreSQL sends', () => {
  test.each([
    ['53100', 'disk full'],
    ['53300', 'too many connections'],
    ['40P01', 'deadlock'],
    ['55P03', 'lock time-out'],
    ['57014', 'statement time-out'],
    ['57P01', 'shutdown'],
    ['57P05', 'idle session time-out'],
    ['25006', 'a standby that is not promoted yet'],
    ['28P01', 'wrong password'],
    ['25P04', 'transaction time-out'],
    ['58030', 'input or output failed'],
    ['08006', 'connection failure'],
  ])('%s (%s) is worth another try and says nothing about a row', (state) => {
    expect(isTransient(postgresError(state))).toBe(true);
    expect(isRowRefused(postgresError(state))).toBe(false);
  });

  test.each([
    ['22003', 'number out of range'],
    ['23505', 'unique'],
    ['54000', 'index row too big'],
    ['P0001', 'raised by a trigger'],
  ])('%s (%s) is about a row', (state) => {
    expect(isRowRefused(postgresError(state))).toBe(true);
    expect(isTransient(postgresError(state))).toBe(false);
  });

  test.each([
    ['54011', 'too many columns'],
    ['42501', 'privilege missing'],
    ['428C9', 'a column that is generated always'],
    ['2BP01', 'dependent objects'],
  ])('%s (%s) is for the operator', (state) => {
    expect(isRowRefused(postgresError(state))).toBe(false);
    expect(isTransient(postgresError(state))).toBe(false);
  });
});
