import { describe, expect, it } from 'vitest';
import { offsetOf } from '../src/checks/mariadb-settings.js';
import { parseSize } from '../src/checks/source-tables.js';
import { streamChecks, type StreamSubject } from '../src/checks/streams.js';
import { parseGrant } from '../src/facts/mariadb.js';
import { type Finding, runChecks } from '../src/finding.js';
import { readWithin } from '../src/known.js';
import { groupFindings, isTroubled, makeReport } from '../src/report.js';
import { formatBytes, formatDuration, isBefore, parseVersion } from '../src/texts.js';

function finding(changes: Partial<Finding>): Finding {
  const place = { area: 'tables', subject: 'shop.orders', detail: null } as const;
  return { check: 'key', severity: 'warning', ...place, text: 'no key', fix: null, ...changes };
}

describe('a report', () => {
  it('has the parts in the order of the data, in each the gravest first', () => {
    const { findings, counts } = makeReport([
      finding({ area: 'PostgreSQL', severity: 'error' }),
      finding({ severity: 'ok' }),
      finding({ severity: 'notice' }),
      finding({ severity: 'unknown' }),
      finding({ severity: 'error' }),
    ]);
    expect(findings.map(({ area, severity }) => `${area} ${severity}`)).toEqual([
      'tables error',
      'tables unknown',
      'tables notice',
      'tables ok',
      'PostgreSQL error',
    ]);
    expect(counts).toEqual({ error: 2, warning: 0, unknown: 1, notice: 1, ok: 1 });
  });

  it('says the same words of several tables once', () => {
    const report = makeReport([
      finding({ detail: 'a, b' }),
      finding({ subject: 'shop.carts' }),
      finding({ subject: 'shop.carts', text: 'something else' }),
      finding({ severity: 'ok' }),
    ]);
    const [tables] = groupFindings(report, ['error', 'warning']);
    expect(tables?.groups.map(({ subjects, text }) => [subjects, text])).toEqual([
      [['shop.orders (a, b)', 'shop.carts'], 'no key'],
      [['shop.carts'], 'something else'],
    ]);
  });

  it('troubles a script by errors; by warnings and what was not checked only when it is strict', () => {
    const of = (severity: Finding['severity'], strict: boolean) =>
      isTroubled(makeReport([finding({ severity })]), { strict });
    expect([of('error', false), of('warning', false), of('unknown', false), of('notice', true)]).toEqual([
      true,
      false,
      false,
      false,
    ]);
    expect([of('warning', true), of('unknown', true)]).toEqual([true, true]);
  });
});

describe('what was applied', () => {
  const subject = (position: string, binlogPosition: string | null): StreamSubject => ({
    stream: { position, state: 'active', deadLetters: 0, unreliable: [] } as unknown as StreamSubject['stream'],
    isConfigured: true,
    isRead: false,
    binlogPosition,
    now: 0,
  });
  const judge = (position: string, binlog: string | null) =>
    runChecks(streamChecks, subject(position, binlog), { area: 'Afterimage', subject: 'shop.orders' })
      .filter(({ check }) => check === 'position')
      .map(({ severity }) => severity);

  it('must be part of what MariaDB has logged, in every domain, with any number of digits', () => {
    expect(judge('0-1-14:2', '0-1-14')).toEqual(['ok']);
    expect(judge('0-1-14:2,7-1-3:1', '7-2-4,0-1-20')).toEqual(['ok']);
    expect(judge('0-1-18446744073709551615:1', '0-1-18446744073709551614')).toEqual(['error']);
    expect(judge('0-1-14:2,7-1-3:1', '0-1-20')).toEqual(['error']);
    expect(judge('', '0-1-20')).toEqual([]);
    expect(judge('0-1-14:2', null)).toEqual([]);
  });
});

it('the time zone of a MaxScale is compared as it is now, with summer time', () => {
  expect(offsetOf('UTC', new Date())).toBe(0);
  expect(offsetOf('Europe/Berlin', new Date('2026-07-01T00:00:00Z'))).toBe(7200);
  expect(offsetOf('Europe/Berlin', new Date('2026-12-01T00:00:00Z'))).toBe(3600);
  expect(offsetOf('America/St_Johns', new Date('2026-12-01T00:00:00Z'))).toBe(-12_600);
});

it('sizes are read as MaxScale writes them, and written for people', () => {
  expect(['32Mi', '16384', '1M', '2Gi', '', undefined].map(parseSize)).toEqual([
    33_554_432, 16_384, 1_000_000, 2_147_483_648, 0, 0,
  ]);
  expect([0, 1023, 16_384, 1_610_612_736].map(formatBytes)).toEqual(['0 bytes', '1023 bytes', '16 KiB', '1.5 GiB']);
  expect([3.14, 180, 7200, 1_209_600].map(formatDuration)).toEqual(['3.1 s', '3 min', '2 h', '14 days']);
});

it('versions are compared by number', () => {
  expect(isBefore(parseVersion('10.4.34-MariaDB'), [10, 5])).toBe(true);
  expect(isBefore(parseVersion('10.11.19-MariaDB-log'), [10, 5])).toBe(false);
  expect(isBefore(parseVersion('17.10 (Debian)'), [15])).toBe(false);
  expect(isBefore(parseVersion('24.02.1'), [24, 2, 2])).toBe(true);
});

it('grants are read with columns, roles and passwords left out', () => {
  expect(parseGrant("GRANT SELECT (a, b), BINLOG MONITOR ON *.* TO `u`@`%` IDENTIFIED BY PASSWORD '*1234'")).toEqual([
    { privileges: ['SELECT (a, b)', 'BINLOG MONITOR'], on: '*.*' },
  ]);
  expect(parseGrant('GRANT ALL PRIVILEGES ON `shop`.* TO `u`@`%` WITH GRANT OPTION')).toEqual([
    { privileges: ['ALL PRIVILEGES', 'GRANT OPTION'], on: '`shop`.*' },
  ]);
  expect(parseGrant('GRANT `readers` TO `u`@`%`')).toEqual([]);
});

it('a cause has one line, no password, and says what fetch hides', async () => {
  const causeOf = async (error: unknown) => {
    const known = await readWithin(1000, () => Promise.reject(error as Error));
    return known.kind === 'unknown' ? known.cause : '';
  };
  expect(await causeOf(new Error('cannot reach redis://:hush@host\nand more'))).toBe('cannot reach redis://:***@host');
  expect(await causeOf(new TypeError('fetch failed', { cause: new Error('refused') }))).toBe('refused');
  expect(await causeOf(new AggregateError([new Error('first'), new Error('second')]))).toBe('first');
  const late = await readWithin(1, () => new Promise(() => undefined));
  expect(late).toMatchObject({ kind: 'unknown', code: 'NO_ANSWER' });
});
