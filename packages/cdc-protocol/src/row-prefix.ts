import { CdcError } from './errors.js';
import type { Operation, RowPrefix } from './messages.js';

/**
 * The fixed prefix of a row, as jansson prints it (MaxScale, avrorouter, `JSON_PRESERVE_ORDER`):
 *
 *     {"domain": 0, "server_id": 1, "sequence": 14, "event_number": 1, "timestamp": 1795347409, "event_type": "insert"
 *
 * followed by `, "column": value` for each column and `}`.
 */
const keys = ['{"domain": ', ', "server_id": ', ', "sequence": ', ', "event_number": ', ', "timestamp": '] as const;
const operationKey = ', "event_type": "';
const operations: readonly Operation[] = ['insert', 'update_before', 'update_after', 'delete'];

const minus = 0x2d;
const zero = 0x30;
const quote = 0x22;
const twoTo32 = 2 ** 32;

/** A row's prefix and where the text after it begins: at `}` or at the `,` before the first column. */
export interface ParsedRowPrefix extends RowPrefix {
  readonly end: number;
}

/** Whether the line at `start` claims to be a row: decided by its first key. */
export function isRowAt(text: string, start: number): boolean {
  return matchesAt(text, start, keys[0]);
}

/**
 * Reads the fixed prefix of a row's line without parsing the row. Wrapped 32-bit values are put right.
 * Throws CdcError PROTOCOL_VIOLATION when the line does not begin so.
 */
export function parseRowPrefix(line: string): ParsedRowPrefix {
  return parseRowPrefixAt(line, 0);
}

/** The same for a line that begins at `start` of a longer text. `end` counts from the line's beginning. */
export function parseRowPrefixAt(text: string, start: number): ParsedRowPrefix {
  const cursor = { text, at: start, start };
  const domain = readInteger(cursor, keys[0]);
  const serverId = readInteger(cursor, keys[1]);
  const sequence = readInteger(cursor, keys[2]);
  const eventNumber = readInteger(cursor, keys[3]);
  const timestamp = readInteger(cursor, keys[4]);
  const operation = readOperation(cursor);
  return { domain, serverId, sequence, eventNumber, timestamp, operation, end: cursor.at - start };
}

interface Cursor {
  readonly text: string;
  readonly start: number;
  at: number;
}

function matchesAt(text: string, at: number, literal: string): boolean {
  for (let i = 0; i < literal.length; i++) {
    if (text.charCodeAt(at + i) !== literal.charCodeAt(i)) return false;
  }
  return true;
}

function readInteger(cursor: Cursor, key: string): number {
  const { text } = cursor;
  if (!matchesAt(text, cursor.at, key)) throw notARow(cursor);
  cursor.at += key.length;
  if (text.charCodeAt(cursor.at) !== minus) return readDigits(cursor, Number.MAX_SAFE_INTEGER);
  cursor.at++;
  return twoTo32 - readDigits(cursor, twoTo32 / 2);
}

function readDigits(cursor: Cursor, max: number): number {
  const { text } = cursor;
  const first = cursor.at;
  let at = first;
  let value = 0;
  for (; ; at++) {
    const digit = text.charCodeAt(at) - zero;
    // Written so that NaN, the end of the text, ends the loop too.
    if (!(digit >= 0 && digit <= 9)) break;
    value = value * 10 + digit;
  }
  if (at === first || value > max) throw notARow(cursor);
  cursor.at = at;
  return value;
}

function readOperation(cursor: Cursor): Operation {
  const { text } = cursor;
  if (!matchesAt(text, cursor.at, operationKey)) throw notARow(cursor);
  const at = cursor.at + operationKey.length;
  for (const operation of operations) {
    if (!matchesAt(text, at, operation) || text.charCodeAt(at + operation.length) !== quote) continue;
    cursor.at = at + operation.length + 1;
    return operation;
  }
  throw notARow(cursor);
}

function notARow(cursor: Cursor): CdcError {
  return new CdcError(
    'PROTOCOL_VIOLATION',
    `a row's line does not have the fixed prefix: unexpected text at character ${cursor.at - cursor.start}`,
  );
}
