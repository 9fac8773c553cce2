import type { SourceValueSettings } from './source-values.js';

/*
 * Expressions for MariaDB. They hold no backslash and no double quote, whose meaning depends on sql_mode.
 */

/** `true` or `false` of a number. */
export function truthText(number: string): string {
  return `CASE ${number} <> 0 WHEN 1 THEN 'true' WHEN 0 THEN 'false' END`;
}

/** Without the zeros at the end of a fraction, and without its point where nothing else is left, as PostgreSQL prints it. */
export function trimZeros(text: string, decimals: number): string {
  return decimals === 0 ? text : `TRIM(TRAILING '.' FROM TRIM(TRAILING '0' FROM ${text}))`;
}

/** All digits of a BIT(n). */
export function bitDigits(name: string, length: number): string {
  return `LPAD(BIN(${name} + 0), ${length}, '0')`;
}

const replacements = { remove: `''`, replace: `_utf8mb4 X'EFBFBD'` } as const;

/** Any text in UTF-8, without NULs. The collation is named, or texts of two could not stand in one expression. */
export function plainText(text: string, nulCharacters: SourceValueSettings['nulCharacters']): string {
  const converted = `CONVERT(${text} USING utf8mb4) COLLATE utf8mb4_bin`;
  return `REPLACE(${converted}, _utf8mb4 X'00', ${replacements[nulCharacters]})`;
}

/**
 * Bytes as `\x…`. MariaDB makes NULL of a text longer than max_allowed_packet, with a warning that nobody sees; for a type
 * that can hold so much, an overflow makes an error of it.
 */
export function byteText(name: string, isLong: boolean): string {
  const hex = `CONCAT(_utf8mb4 X'5C78', HEX(${name}))`;
  if (!isLong) return hex;
  const tooLong = `OCTET_LENGTH(${name}) * 2 + 2 > @@max_allowed_packet`;
  return `CASE WHEN ${tooLong} THEN CAST(~0 + OCTET_LENGTH(${name}) AS CHAR) ELSE ${hex} END`;
}

/** `text` of a moment, unless it is one that PostgreSQL has no value for. A day that every month has needs no second look. */
export function momentText(
  name: string,
  text: string,
  { zeroDates, isNullable }: { zeroDates: SourceValueSettings['zeroDates']; isNullable: boolean },
): string {
  const day = `DAYOFMONTH(${name})`;
  const lastDay = `DAYOFMONTH(LAST_DAY(${name}))`;
  const possible = `${day} > 0 AND MONTH(${name}) > 0 AND YEAR(${name}) > 0 AND (${day} < 29 OR ${day} <= ${lastDay})`;
  if (zeroDates === 'null') return `CASE WHEN ${possible} THEN ${text} END`;
  // A zero date of a NOT NULL column passes for NULL in MariaDB, where ODBC's sake is asked for.
  const otherwise = isNullable ? `WHEN ${name} IS NOT NULL THEN '-infinity'` : `ELSE '-infinity'`;
  return `CASE WHEN ${possible} THEN ${text} ${otherwise} END`;
}

/**
 * A double as PostgreSQL prints it. Both print the shortest digits that give the same bits; PostgreSQL with an exponent
 * below 10^-4 and from 10^15 on, MariaDB only where that is shorter; and MariaDB prints -0 as 0.
 */
export function doubleText(double: string): string {
  const text = `CAST(${double} AS CHAR)`;
  return (
    `CASE WHEN ABS(${double}) >= 1e-4 AND ABS(${double}) < 1e15 THEN ${text} ` +
    `WHEN ${double} = 0 THEN IF(ATAN2(${double}, -1) < 0, '-0', '0') ` +
    `WHEN ${double} IS NOT NULL THEN ${scientificText(double, `CAST(ABS(${double}) AS CHAR)`)} END`
  );
}

function scientificText(double: string, text: string): string {
  const mantissa = `SUBSTRING_INDEX(${text}, 'e', 1)`;
  const digits = `TRIM(BOTH '0' FROM REPLACE(${mantissa}, '.', ''))`;
  const exponent =
    `CASE WHEN LOCATE('e', ${text}) > 0 THEN CAST(SUBSTRING_INDEX(${text}, 'e', -1) AS SIGNED) ` +
    `WHEN ABS(${double}) >= 1 THEN LENGTH(SUBSTRING_INDEX(${text}, '.', 1)) - 1 ` +
    `ELSE LENGTH(${digits}) - LENGTH(${text}) + 1 END`;
  // The digits of an exponent are at least two.
  const size = `ABS(${exponent})`;
  const padded = `IF(${size} < 10, CONCAT('0', ${size}), ${size})`;
  return (
    `CONCAT(IF(${double} < 0, '-', ''), LEFT(${digits}, 1), IF(LENGTH(${digits}) > 1, '.', ''), SUBSTRING(${digits}, 2), ` +
    `'e', IF(${exponent} < 0, '-', '+'), ${padded})`
  );
}
