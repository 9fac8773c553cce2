import type { MappingDraft, SourceColumn, TypeFamily, TypeNote, TypeSettings } from './column-mapping.js';
import { quoteLiteral } from '../names.js';
import { isHexOfBytes } from './raw-bytes.js';

const NUL_SETTING = '`writer.nulCharacters: replace` puts U+FFFD instead';

const notes: readonly TypeNote[] = [
  {
    mariadb: 'CHAR, VARCHAR, NCHAR, NVARCHAR, NATIONAL …, CHARACTER VARYING (UTF-8)',
    postgres: 'text',
    arrives: 'text, cut at the first NUL; trailing spaces of CHAR are absent',
    done: 'taken as it is',
    lost: 'what follows a NUL (not to be seen)',
    configure: '',
  },
  {
    mariadb: 'TINYTEXT, TEXT, MEDIUMTEXT, LONGTEXT (UTF-8)',
    postgres: 'text',
    arrives: 'text; the empty one as a single NUL',
    done: 'a single NUL is empty, other NULs are removed',
    lost: 'NULs, which PostgreSQL cannot hold',
    configure: NUL_SETTING,
  },
  {
    mariadb: 'the same, CHARACTER SET latin1',
    postgres: 'text',
    arrives: 'text when the bytes are valid UTF-8, as all ASCII is; otherwise lower-case hex',
    done: 'known: hex of printable text that has both digits and letters is decoded (as cp1252, which is what MariaDB means)',
    lost: 'unknown: the hex stays; known: text made of hex digits only may be taken for hex, and the reverse',
    configure: '`charset: latin1`, or convert the column to utf8mb4',
  },
  {
    mariadb: 'the same, other character sets',
    postgres: 'text',
    arrives: 'the bytes, as text when they are valid UTF-8, otherwise lower-case hex; cut at the first 00 byte',
    done: 'unknown: taken as it is; known: UCS2, UTF16, UTF32 are NULL, counted; of the others, hex is counted',
    lost: 'the text (UCS2, UTF16, UTF32), or its meaning (SJIS, …)',
    configure: '`type: varchar(50) character set sjis`; better, convert the column to utf8mb4',
  },
  {
    mariadb: 'LONG, LONG VARCHAR (written so in the DDL)',
    postgres: 'text',
    arrives: 'always `""`: MaxScale does not know the word',
    done: 'NULL, counted',
    lost: 'the value',
    configure: 'write MEDIUMTEXT in the DDL',
  },
];

export const textFamily: TypeFamily = {
  words: [
    'char',
    'varchar',
    'character',
    'varcharacter',
    'national',
    'nchar',
    'nvarchar',
    'varchar2',
    'tinytext',
    'text',
    'mediumtext',
    'longtext',
    'long',
    'clob',
  ],
  notes,
  map: (column) => {
    const text = { postgresType: 'text', jsonType: 'text' };
    if (isLostLong(column)) {
      return {
        ...text,
        value: (ref, nul) => storeText(`nullif(${ref}, '')`, nul, column.settings),
        lost: (ref) => `${ref} = ''`,
        unreliable:
          'MaxScale sends an empty string for every value of a column declared with this word; write MEDIUMTEXT',
      };
    }
    if (column.charset === 'latin1') {
      return { ...text, value: (ref, nul) => decodeLatin1(ref, nul, column.settings), unreliable: LATIN1_GUESS };
    }
    if (WIDE_CHARSETS.test(column.charset)) {
      return { ...text, value: () => 'NULL::text', lost: (ref) => `${ref} IS NOT NULL`, unreliable: WIDE_CHARSET };
    }
    return { ...text, value: (ref, nul) => storeText(ref, nul, column.settings), ...noteCharset(column.charset) };
  },
};

const LATIN1_GUESS = 'latin1 text that is not plain ASCII arrives as hex, which text of hex digits cannot be told from';

function isLostLong(column: SourceColumn): boolean {
  return ['long', 'clob'].includes(column.field.realType.toLowerCase()) && column.field.avroType === 'string';
}

/** Character sets in which ASCII has a zero byte, where MaxScale cuts. */
const WIDE_CHARSETS = /^(?:ucs2|utf16|utf16le|utf32)$/;
const WIDE_CHARSET = 'text in UCS2, UTF16 and UTF32 is cut at its first zero byte; convert the column to utf8mb4';

function noteCharset(charset: string): Pick<MappingDraft, 'lost' | 'unreliable'> {
  return /^(?:utf8(?:mb3|mb4)?|ascii|)$/.test(charset)
    ? {}
    : {
        lost: isHexOfBytes,
        unreliable: `text of character set ${charset} that is not valid UTF-8 by chance arrives as hex and stays so`,
      };
}

/** Text without the NULs that PostgreSQL cannot hold. */
export function storeText(ref: string, nul: string | null, settings: TypeSettings): string {
  return nul === null ? ref : `replace(${ref}, ${nul}, ${replacementOf(settings)})`;
}

function replacementOf(settings: TypeSettings): string {
  return settings.nulCharacters === 'replace' ? "'\uFFFD'" : "''";
}

/**
 * Printable cp1252 in hex: what a text is likely to be made of. Without this, and the two conditions beside it, years,
 * telephone numbers, words like "decade" and most checksums would be taken for hex.
 */
const PRINTABLE_HEX = '^(?:0[9ad]|[2-6][0-9a-f]|7[0-9a-e]|8[02-9a-ce]|9[1-9a-cef]|[a-f][0-9a-f])+$';

function decodeLatin1(ref: string, nul: string | null, settings: TypeSettings): string {
  const isHex = `${ref} ~ '${PRINTABLE_HEX}' AND ${ref} ~ '[a-f]' AND ${ref} ~ '[0-9]' AND ${isHexOfBytes(ref)}`;
  // Bytes of latin1 that happen to be valid UTF-8 came as that text: "Ã©" as "é".
  const misread = readCp1252(`convert_to(${ref}, 'UTF8')`);
  const text =
    nul === null
      ? misread
      : `replace(${misread}, ${readCp1252(`convert_to(${nul}, 'UTF8')`)}, ${replacementOf(settings)})`;
  return (
    `CASE WHEN octet_length(${ref}) > length(${ref}) THEN ${text} ` +
    `WHEN ${isHex} THEN ${readCp1252(`decode(${ref}, 'hex')`)} ELSE ${ref} END`
  );
}

/** MariaDB's latin1 is cp1252, except that it also has the five bytes which that leaves undefined. */
const C1_CONTROLS =
  '\x80\x82\x83\x84\x85\x86\x87\x88\x89\x8a\x8b\x8c\x8e\x91\x92\x93\x94\x95\x96\x97\x98\x99\x9a\x9b\x9c\x9e\x9f';
const CP1252_CHARACTERS = '€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ';

function readCp1252(bytes: string): string {
  return `translate(convert_from(${bytes}, 'LATIN1'), ${quoteLiteral(C1_CONTROLS)}, ${quoteLiteral(CP1252_CHARACTERS)})`;
}
