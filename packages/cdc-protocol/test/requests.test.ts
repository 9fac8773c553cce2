import { describe, expect, it } from 'vitest';
import { cdcErrorAdvice, connect } from '@afterimage/cdc-protocol';
import { formatAuthentication, formatDataRequest, formatRegistration } from '../src/requests.js';
import { codeOf } from './support.js';

const invalid = expect.objectContaining({ code: 'INVALID_ARGUMENT' }) as Error;

describe('commands', () => {
  it('authenticate with the hex of user, colon and the raw SHA-1 of the password, as recorded', () => {
    expect(formatAuthentication('maxuser', 'maxpwd')).toBe('6d6178757365723a4a8bbec273435b777d0f3d71441e173f8968e2f1');
  });

  it('register for JSON with a UUID', () => {
    expect(formatRegistration('XXX-YYY_YYY')).toBe('REGISTER UUID=XXX-YYY_YYY, TYPE=JSON');
  });

  it.each([
    [{ database: 'shop', table: 'orders' }, 'REQUEST-DATA shop.orders'],
    [{ database: 'shop', table: 'orders', version: 2 }, 'REQUEST-DATA shop.orders.000002'],
    [{ database: 'shop', table: 'orders', version: 1234567 }, 'REQUEST-DATA shop.orders.1234567'],
    [{ database: 'shop', table: 'orders', gtid: '0-1-7' }, 'REQUEST-DATA shop.orders 0-1-7'],
    [
      { database: 'Shöp', table: '_o$', version: 3, gtid: '4294967295-1-18446744073709551615' },
      'REQUEST-DATA Shöp._o$.000003 4294967295-1-18446744073709551615',
    ],
  ])('request a stream without a terminator: %o', (request, command) => {
    expect(formatDataRequest(request)).toBe(command);
  });

  it.each(['', ' ', 'a b', 'a\n', 'a\r', 'a\0', 'a\tb', 'a.b', 'a\u00a0', 'a\u2028'])('refuse the name %j', (name) => {
    expect(() => formatDataRequest({ database: name, table: 't' })).toThrow(invalid);
    expect(() => formatDataRequest({ database: 'd', table: name })).toThrow(invalid);
  });

  it.each([
    '',
    '0-1',
    '0-1-7-9',
    '0-1-7,1-1-1',
    '0-1-7:2',
    '0-1-7 ',
    ' 0-1-7',
    '0-1-7\n',
    '0-1--7',
    '+0-1-7',
    '0x0-1-7',
    'now',
    '4294967296-1-1',
    '0-4294967296-1',
    '0-1-18446744073709551616',
    '٠-1-1',
  ])('refuse the GTID %j: MaxScale would be silent for ever, or hang', (gtid) => {
    expect(() => formatDataRequest({ database: 'd', table: 't', gtid })).toThrow(invalid);
  });

  it.each([0, -1, 1.5, NaN, Infinity, 2 ** 31])('refuse the version %d', (version) => {
    expect(() => formatDataRequest({ database: 'd', table: 't', version })).toThrow(invalid);
  });
});

describe('options that cannot be meant', () => {
  const good = { host: '127.0.0.1', port: 4001, user: 'maxuser', password: 'secret' };
  it.each([
    { host: '' },
    { port: 0 },
    { port: 70_000 },
    { user: '' },
    { user: 'a:b' },
    { uuid: '' },
    { uuid: 'a b' },
    { uuid: 'a, TYPE=AVRO' },
    { timeouts: { dialMs: 0 } },
    { timeouts: { handshakeMs: -1 } },
    { timeouts: { writeMs: 2 ** 31 } },
    { timeouts: { idleMs: 0.5 } },
    { keepAliveMs: -1 },
    { maxLineBytes: 0 },
    { maxLineBytes: 2 ** 40 },
  ])('are refused before anything is dialled: %o', async (wrong) => {
    expect(await codeOf(connect({ ...good, ...wrong }))).toBe('INVALID_ARGUMENT');
  });
});

describe('error codes', () => {
  it('each tell the operator what to do, in sentences', () => {
    for (const advice of Object.values(cdcErrorAdvice)) expect(advice).toMatch(/^[A-Z].*\.$/);
  });
});
