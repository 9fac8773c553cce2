import type { MariaType } from './maria-type.js';

/** Digits of the fraction: null when the full type is not known. */
export function fractionDigits(known: MariaType | null): number | null {
  return known === null ? null : (known.args[0] ?? 0);
}

/**
 * MaxScale prints the fraction of TIME(n), DATETIME(n) and TIMESTAMP(n) with n = 1, 3, 5 as ten times its microseconds,
 * in six places or more. From 0.1 s on that is seven digits, which read right; below, one zero is missing.
 */
export function fixFraction(text: string, digits: number | null): string {
  return digits === 1 || digits === 3 || digits === 5
    ? `CASE WHEN ${text} LIKE '%.______' THEN replace(${text}, '.', '.0') ELSE ${text} END`
    : text;
}

/**
 * True when a fraction may be ten times too big: six digits that end in 00 come from a column of two or four decimals,
 * or from one of three or five.
 */
export function isAmbiguousFraction(text: string): string {
  return `${text} LIKE '%.____00' AND ${text} NOT LIKE '%.000000'`;
}

export const AMBIGUOUS_FRACTION =
  'fractions below 0.1 s of a column with 1, 3 or 5 decimals arrive ten times too big; configure the type to have them right';
