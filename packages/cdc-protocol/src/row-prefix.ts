import { CdcError } from './errors.js';
import type { Operation, RowPrefix } from './messages.js';

/**
 * The fixed prefix of a row, as jansson prints it (MaxScale, avrorouter, `JSON_PRESERVE_ORDER`):
 *
 *     {"domain": 0, "server_id": 1, "sequence": 14, "event_number": 1, "timestamp": 1795347409, "event_type": "insert"
 *
 * followed by `, "column": value` for each column and `}`. The expression only tests: reading the numbers by
 * character codes after it is several times faster than capturing them.
 */
const prefixPattern =
  /\{"domain": -?\d{1,16}, "server_id": -?\d{1,16}, "sequence": -?\d{1,16}, "event_number": -?\d{1,16}, "timestamp": -?\d{1,16}, "event_type": "(?:insert|update_before|update_after|delete)"/y;

const beforeDomain = '{"domain": '.length;
const beforeServerId = ', "server_id": '.length;
const beforeSequence = ', "sequence": '.length;
const beforeEventNumber = ', "event_number": '.length;
const beforeTimestamp = ', "timestamp": '.length;
const beforeOperation = ', "event_type": "'.length;

const minus = 0x2d;
const zero = 0x30;
const maxNegative = 2 ** 31;
const maxUnsigned = 2 ** 32 - 1;

/** A row's prefix and where the text after it begins: at `}` or at the `,` before the first column. */
export interface ParsedRowPrefix extends RowPrefix {
  readonly end: number;
}

/** Whether the line at `start` claims to be a row: decided by its first key. */
export function isRowAt(text: string, start: number): boolean {
  return text.startsWith('{"domain"', start);
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
  prefixPattern.lastIndex = start;
  if (!prefixPattern.test(text)) throw notARow();
  const end = prefixPattern.lastIndex - start;
  const cursor = { text, at: start };
  return {
    domain: readInteger(cursor, beforeDomain),
    serverId: readInteger(cursor, beforeServerId),
    sequence: readInteger(cursor, beforeSequence),
    eventNumber: readInteger(cursor, beforeEventNumber),
    timestamp: readInteger(cursor, beforeTimestamp),
    operation: readOperation(text, cursor.at + beforeOperation),
    end,
  };
}

interface Cursor {
  readonly text: string;
  at: number;
}

function readInteger(cursor: Cursor, keyLength: number): number {
  const { text } = cursor;
  let at = cursor.at + keyLength;
  const negative = text.charCodeAt(at) === minus;
  if (negative) at++;
  let value = 0;
  for (; ; at++) {
    const digit = text.charCodeAt(at) - zero;
    if (digit < 0 || digit > 9) break;
    value = value * 10 + digit;
  }
  if (value > (negative ? maxNegative : maxUnsigned)) throw notARow();
  cursor.at = at;
  return negative ? -value >>> 0 : value;
}

/** The pattern has made sure that one of the four is there; these letters tell which. */
function readOperation(text: string, at: number): Operation {
  switch (text[at]) {
    case 'i':
      return 'insert';
    case 'd':
      return 'delete';
    default:
      return text[at + 'update_'.length] === 'b' ? 'update_before' : 'update_after';
  }
}

function notARow(): CdcError {
  return new CdcError('PROTOCOL_VIOLATION', "a row's line does not begin with the fixed prefix of rows");
}
