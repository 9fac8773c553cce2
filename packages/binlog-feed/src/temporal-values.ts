import type { ByteReader } from './byte-reader.js';

/*
 * Dates and times as avrorouter prints them: C's strftime with fields taken from the stored bits, so a year is not
 * padded, a month may be 00, and what is stored for a negative TIME is printed as if it were a positive one.
 */

export function formatYear(stored: number): string {
  return String(1900 + stored);
}

export function formatDate(stored: number): string {
  return joinDate(stored >> 9, (stored >> 5) & 15, stored & 31);
}

/** 5 bytes with year and month as one number to the base of 13, then the fraction. */
export function formatDatetime(reader: ByteReader, decimals: number): string {
  const [offset, dateSize] = [0x80_0000_0000, 2 ** 17];
  const stored = Math.abs(reader.uintBE(5) - offset);
  const date = Math.floor(stored / dateSize);
  const months = date >> 5;
  const day = joinDate(Math.floor(months / 13), months % 13, date & 31);
  return `${day} ${joinTime(stored % dateSize)}${readFraction(reader, decimals)}`;
}

/** 3 bytes with 10 bits of hours, 6 of minutes, 6 of seconds, then the fraction. */
export function formatTime(reader: ByteReader, decimals: number): string {
  return `${joinTime(reader.uintBE(3) & 0x3f_ffff)}${readFraction(reader, decimals)}`;
}

/** 4 bytes of Unix seconds, then the fraction. */
export function formatTimestamp(reader: ByteReader, decimals: number, timeZone: string): string {
  const seconds = reader.uintBE(4) | 0;
  const day = seconds === 0 ? '0-00-00 00:00:00' : formatInstant(seconds * 1000, timeZone);
  return day + readFraction(reader, decimals);
}

/**
 * The fraction's bytes hold an even number of digits, but are scaled as if they held as many as were declared: of 1, 3
 * and 5 decimals the result is ten times too big.
 */
function readFraction(reader: ByteReader, decimals: number): string {
  if (decimals === 0) return '';
  const stored = reader.uintBE((decimals + 1) >> 1);
  return `.${String(stored * 10 ** (6 - decimals)).padStart(6, '0')}`;
}

function formatInstant(milliseconds: number, timeZone: string): string {
  if (timeZone === 'UTC') return new Date(milliseconds).toISOString().slice(0, 19).replace('T', ' ');
  // Sweden's format is that of ISO 8601.
  return new Intl.DateTimeFormat('sv-SE', { timeZone, dateStyle: 'short', timeStyle: 'medium' }).format(milliseconds);
}

function joinDate(year: number, month: number, day: number): string {
  return `${year}-${pad(month)}-${pad(day)}`;
}

function joinTime(bits: number): string {
  return `${pad(bits >> 12)}:${pad((bits >> 6) & 63)}:${pad(bits & 63)}`;
}

function pad(field: number): string {
  return String(field).padStart(2, '0');
}
