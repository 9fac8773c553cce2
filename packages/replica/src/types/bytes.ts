import type { TypeFamily } from './column-mapping.js';
import { isHexOfBytes, toBytes } from './raw-bytes.js';

const HEX_GUESS = 'bytes that are text made of lower-case hex digits cannot be told from hex';

export const blobFamily: TypeFamily = {
  words: ['tinyblob', 'blob', 'mediumblob', 'longblob'],
  notes: [
    {
      mariadb: 'TINYBLOB, BLOB, MEDIUMBLOB, LONGBLOB',
      postgres: 'bytea',
      arrives: 'text when the bytes are valid UTF-8, otherwise lower-case hex; the empty one as a single NUL',
      done: 'hex whose bytes are not valid UTF-8 is decoded; of text, the UTF-8 bytes are taken',
      lost: 'hex digits stored as text (x\'6666\', "ff") that read as such bytes; a single 00 byte becomes empty',
      configure: '`postgres: text` where the column holds text',
    },
  ],
  map: () => ({
    postgresType: 'bytea',
    jsonType: 'text',
    value: (ref, nul) => toBytes(ref, nul),
    unreliable: HEX_GUESS,
  }),
};

export const varbinaryFamily: TypeFamily = {
  words: ['varbinary', 'raw'],
  notes: [
    {
      mariadb: 'VARBINARY(n)',
      postgres: 'bytea',
      arrives: 'cut at the first 00 byte; then text when valid UTF-8, otherwise lower-case hex',
      done: 'as BLOB',
      lost: 'the first 00 byte and what follows it (not to be seen); hex digits as for BLOB',
      configure: 'use BLOB or BINARY(n) at the source for values with 00 bytes',
    },
  ],
  map: () => ({
    postgresType: 'bytea',
    jsonType: 'text',
    value: (ref, nul) => toBytes(ref, nul),
    unreliable: `a VARBINARY is cut at its first zero byte; ${HEX_GUESS}`,
  }),
};

/** From this length on, hex digits that fill the column are a checksum in hex rather than half a value of zeros. */
const CHECKSUM_LENGTH = 16;

export const binaryFamily: TypeFamily = {
  words: ['binary'],
  notes: [
    {
      mariadb: 'BINARY(n)',
      postgres: 'bytea',
      arrives: 'as BLOB, without the 00 bytes at its end',
      done: 'as BLOB; n known: filled up with 00 bytes; hex digits that fill a column of 16 and more are taken as text',
      lost: 'n unknown: the 00 bytes at the end; hex digits as for BLOB',
      configure: '`type: binary(16)`; `postgres: uuid` for 16 bytes that are a UUID',
    },
  ],
  map: ({ known }) => {
    const length = known === null ? null : (known.args[0] ?? 1);
    const binary = { postgresType: 'bytea', jsonType: 'text' };
    if (length === null) {
      return {
        ...binary,
        value: (ref, nul) => toBytes(ref, nul),
        unreliable: `zero bytes at the end of a BINARY are gone, configure its type to have them; ${HEX_GUESS}`,
      };
    }
    const isHex = (ref: string) =>
      length < CHECKSUM_LENGTH ? isHexOfBytes(ref) : `length(${ref}) <> ${length} AND ${isHexOfBytes(ref)}`;
    return {
      ...binary,
      value: (ref, nul) => fillUp(toBytes(ref, nul, isHex(ref)), length),
      unreliable: HEX_GUESS,
    };
  },
};

function fillUp(bytes: string, length: number): string {
  return `(SELECT t.b || decode(repeat('00', ${length} - octet_length(t.b)), 'hex') FROM (SELECT ${bytes} AS b) t)`;
}
