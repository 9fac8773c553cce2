import type { SourceColumn, TypeFamily } from './column-mapping.js';
import { AMBIGUOUS_FRACTION, fixFraction, fractionDigits, isAmbiguousFraction } from './fractions.js';

/**
 * A TIME is stored as hours (10 bits), minutes and seconds (6 each) and a fraction of 1, 2 or 3 bytes, the whole negated
 * when the time is negative; MaxScale prints the bits as if none ever were. So a negative time shows 2^22 less its
 * seconds' bits, one less yet if there is a fraction, and as fraction 2^8, 2^16 or 2^24 less the right one.
 */
const BITS = '4194304';

/** Per number of decimals: what a negative fraction was subtracted from, in the unit that is printed. */
const FRACTION_SPANS: Readonly<Record<number, number>> = {
  1: 25_600_000,
  2: 2_560_000,
  3: 65_536_000,
  4: 6_553_600,
  5: 167_772_160,
  6: 16_777_216,
};

export const timeFamily: TypeFamily = {
  words: ['time'],
  notes: [
    {
      mariadb: 'TIME, TIME(n)',
      postgres: 'interval',
      arrives: 'text; negative times garbled: -00:00:01 as `1023:63:63`; fractions as for DATETIME',
      done: 'garbled times are recognised by hours above 838, minutes or seconds above 59 or an impossible fraction, and undone',
      lost: 'whole-second times below -185 h that read as a positive time above 185 h, taken as positive (counted)',
      configure: '`type: time(3)`; `postgres: time` where it is always a time of day',
    },
  ],
  map: (column) => ({
    postgresType: 'interval',
    jsonType: 'text',
    value: (ref) => convertTime(ref, fractionDigits(column.known)),
    lost: (ref) => isAmbiguousTime(ref, column),
    unreliable: noteTime(column),
  }),
};

function noteTime(column: SourceColumn): string {
  const sign = 'times beyond 185 hours may be negative ones that MaxScale garbled';
  return fractionDigits(column.known) === null ? `${sign}; ${AMBIGUOUS_FRACTION}` : sign;
}

/** Two digits of hours are always a positive time: the hours of a garbled one lie between 185 and 1023. */
function convertTime(ref: string, digits: number | null): string {
  return (
    `CASE WHEN ${ref} IS NULL THEN NULL WHEN strpos(${ref}, ':') = 3 THEN (${fixFraction(ref, digits)})::interval ` +
    `ELSE (SELECT CASE WHEN ${isReadAsPositive(digits)} THEN (${fixFraction('t.v', digits)})::interval ` +
    `WHEN t.negative THEN ((t.w >> 12) * 3600 + ((t.w >> 6) & 63) * 60 + (t.w & 63)) * interval '-1 second' ` +
    `- t.micros * interval '1 microsecond' END FROM ${takeApart(ref, digits)} t) END`
  );
}

function isAmbiguousTime(ref: string, column: SourceColumn): string {
  const digits = fractionDigits(column.known);
  const either = digits === null ? '(t.f = 0 OR t.f BETWEEN 1000000 AND 9999999)' : 't.f = 0';
  const sign =
    `strpos(${ref}, ':') > 3 AND (SELECT t.positive AND t.negative AND ${either} ` +
    `OR NOT (${isReadAsPositive(digits)} OR t.negative) FROM ${takeApart(ref, digits)} t)`;
  return digits === null ? `(${sign} OR ${isAmbiguousFraction(ref)})` : `(${sign})`;
}

/** Whether to take the printed time as it stands, where it can be. */
function isReadAsPositive(digits: number | null): string {
  if (digits === null) {
    return '(t.positive AND t.f < 10000000)';
  }
  return `(t.positive AND t.f < ${digits % 2 === 1 ? '10000000' : '1000000'})`;
}

/**
 * A derived table over one time: v the text, f the printed fraction, w the whole seconds' bits if it is negative, micros
 * its fraction then, and whether it can be positive or negative.
 */
function takeApart(ref: string, digits: number | null): string {
  const fields =
    `SELECT ${ref} AS v, split_part(${ref}, ':', 1)::int AS h, split_part(${ref}, ':', 2)::int AS m, ` +
    `split_part(split_part(${ref}, ':', 3), '.', 1)::int AS s, coalesce(nullif(split_part(${ref}, '.', 2), ''), '0')::bigint AS f`;
  const undone =
    `SELECT a.v, a.f, a.h <= 838 AND a.m <= 59 AND a.s <= 59 AS positive, ` +
    `${BITS} - (a.h * 4096 + a.m * 64 + a.s) - (a.f > 0)::int AS w, ${undoFraction('a.f', digits)} AS micros FROM (${fields}) a`;
  return (
    `(SELECT b.*, coalesce(b.w >= 0 AND (b.w >> 12) <= 838 AND ((b.w >> 6) & 63) <= 59 AND (b.w & 63) <= 59 ` +
    `AND b.micros BETWEEN 0 AND 999999, false) AS negative FROM (${undone}) b)`
  );
}

/** Microseconds of a negative time's fraction. The ranges of the precisions meet in one value, which is left NULL. */
function undoFraction(fraction: string, digits: number | null): string {
  const span = digits === null ? undefined : FRACTION_SPANS[digits];
  if (digits !== null) {
    return span === undefined ? '0' : `CASE WHEN ${fraction} = 0 THEN 0 ELSE ${subtract(span, digits, fraction)} END`;
  }
  const by = (places: number) => subtract(FRACTION_SPANS[places] ?? 0, places, fraction);
  return (
    `CASE WHEN ${fraction} = 0 THEN 0 WHEN ${fraction} < 2560000 THEN ${by(2)} WHEN ${fraction} < 6553600 THEN ${by(4)} ` +
    `WHEN ${fraction} = 16600000 THEN NULL WHEN ${fraction} < 16777216 THEN ${by(6)} WHEN ${fraction} < 25600000 THEN ${by(1)} ` +
    `WHEN ${fraction} < 65536000 THEN ${by(3)} ELSE ${by(5)} END`
  );
}

function subtract(span: number, places: number, fraction: string): string {
  return places % 2 === 1 ? `(${span} - ${fraction}) / 10` : `${span} - ${fraction}`;
}
