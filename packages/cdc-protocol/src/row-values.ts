import { CdcError } from './errors.js';
import type { Row, RowValue } from './messages.js';

const comma = 0x2c;
const colon = 0x3a;
const quote = 0x22;
const backslash = 0x5c;
const closingBrace = 0x7d;
const space = 0x20;
const numberPattern = /-?(?:0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?/y;

/**
 * Parses the members of a flat JSON object without losing a digit: `text` from `from` on must be
 * `, "name": value …}`, or `}`. JSON.parse cannot do this, as it rounds integers beyond 2^53.
 */
export function parseColumns(text: string, from: number): Row {
  const row = Object.create(null) as Row;
  let at = skipSpaces(text, from);
  while (text.charCodeAt(at) === comma) {
    const name = readString(text, skipSpaces(text, at + 1));
    at = skipSpaces(text, name.end);
    if (text.charCodeAt(at) !== colon) throw malformed(at);
    const value = readValue(text, skipSpaces(text, at + 1));
    row[name.value] = value.value;
    at = skipSpaces(text, value.end);
  }
  if (text.charCodeAt(at) !== closingBrace || skipSpaces(text, at + 1) !== text.length) throw malformed(at);
  return row;
}

interface Token<T> {
  readonly value: T;
  readonly end: number;
}

function skipSpaces(text: string, at: number): number {
  let next = at;
  while (text.charCodeAt(next) === space) next++;
  return next;
}

function readValue(text: string, at: number): Token<RowValue> {
  if (text.charCodeAt(at) === quote) return readString(text, at);
  if (text.startsWith('null', at)) return { value: null, end: at + 4 };
  return readNumber(text, at);
}

function readString(text: string, at: number): Token<string> {
  if (text.charCodeAt(at) !== quote) throw malformed(at);
  const end = closingQuote(text, at + 1);
  const inner = text.slice(at + 1, end);
  if (!inner.includes('\\')) return { value: inner, end: end + 1 };
  try {
    return { value: JSON.parse(text.slice(at, end + 1)) as string, end: end + 1 };
  } catch (cause) {
    throw malformed(at, cause);
  }
}

/** Index of the first quote that an even number of backslashes precedes. */
function closingQuote(text: string, from: number): number {
  let end = text.indexOf('"', from);
  while (end !== -1) {
    let before = end;
    while (before > from && text.charCodeAt(before - 1) === backslash) before--;
    if ((end - before) % 2 === 0) return end;
    end = text.indexOf('"', end + 1);
  }
  throw malformed(from);
}

function readNumber(text: string, at: number): Token<number | bigint> {
  numberPattern.lastIndex = at;
  const match = numberPattern.exec(text);
  if (match === null) throw malformed(at);
  const [digits, fraction, exponent] = match;
  const number = Number(digits);
  const integer = fraction === undefined && exponent === undefined;
  const value = integer && !Number.isSafeInteger(number) ? BigInt(digits) : number;
  return { value, end: at + digits.length };
}

function malformed(at: number, cause?: unknown): CdcError {
  return new CdcError('PROTOCOL_VIOLATION', `a row's columns are not flat JSON at character ${at}`, { cause });
}
