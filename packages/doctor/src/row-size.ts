import type { ColumnKnowledge, TableKnowledge } from '@afterimage/mariadb';

/** How many bytes a character may take. Unlisted character sets take one. */
const bytesPerCharacter: Readonly<Record<string, number>> = {
  utf8: 3,
  utf8mb3: 3,
  utf8mb4: 4,
  ucs2: 2,
  utf16: 4,
  utf16le: 4,
  utf32: 4,
  big5: 2,
  cp932: 2,
  eucjpms: 3,
  euckr: 2,
  gb2312: 2,
  gbk: 2,
  sjis: 2,
  ujis: 3,
};

/** Of numbers, dates and the like, and of what Avro puts before each value. */
const smallValue = 12;
const labelledValue = 20;

/**
 * The most bytes that a row takes in MaxScale's file: text as bytes, the rest small. No row is longer than
 * `max_allowed_packet`, whatever its columns allow.
 */
export function longestRow({ columns }: TableKnowledge, maxAllowedPacket: number): number {
  const sum = columns.reduce((bytes, column) => bytes + longestValue(column), 0);
  return maxAllowedPacket > 0 ? Math.min(sum, maxAllowedPacket) : sum;
}

function longestValue({ type }: ColumnKnowledge): number {
  switch (type.kind) {
    case 'text':
      return smallValue + type.length * (type.name.endsWith('text') ? 1 : (bytesPerCharacter[type.charset] ?? 1));
    case 'binary':
      // What is no UTF-8 becomes hex.
      return smallValue + type.length * 2;
    case 'enum':
    case 'set':
      return labelledValue;
    default:
      return smallValue + labelledValue;
  }
}
