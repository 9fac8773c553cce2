import type { MappingDraft, SourceColumn, TypeFamily, TypeNote } from './column-mapping.js';

/** 2^32: what an INT UNSIGNED above 2^31-1 lacks, as MaxScale sends it. */
const INT_SPAN = '4294967296';
/** 2^64, the same for BIGINT UNSIGNED. */
const BIGINT_SPAN = '18446744073709551616';

interface IntegerSize {
  readonly word: string;
  readonly aliases: readonly string[];
  readonly signed: string;
  readonly unsigned: string;
  /** Added to negative values of an unsigned column; null where they arrive right. */
  readonly span: string | null;
  readonly notes: readonly TypeNote[];
}

const EXACT = { arrives: 'number', done: 'taken as it is', lost: 'nothing', configure: '' };

const SIZES: readonly IntegerSize[] = [
  {
    word: 'tinyint',
    aliases: ['boolean', 'bool', 'int1'],
    signed: 'smallint',
    unsigned: 'smallint',
    span: null,
    notes: [
      { ...EXACT, mariadb: 'TINYINT [UNSIGNED]', postgres: 'smallint' },
      {
        ...EXACT,
        mariadb: 'BOOLEAN, TINYINT(1)',
        postgres: 'smallint',
        done: 'taken as it is: the column may hold other numbers than 0 and 1',
        configure: '`postgres: boolean` makes every number but 0 true',
      },
    ],
  },
  {
    word: 'smallint',
    aliases: ['int2'],
    signed: 'smallint',
    unsigned: 'integer',
    span: null,
    notes: [
      { ...EXACT, mariadb: 'SMALLINT', postgres: 'smallint' },
      { ...EXACT, mariadb: 'SMALLINT UNSIGNED', postgres: 'integer' },
    ],
  },
  {
    word: 'mediumint',
    aliases: ['int3', 'middleint'],
    signed: 'integer',
    unsigned: 'integer',
    span: null,
    notes: [{ ...EXACT, mariadb: 'MEDIUMINT [UNSIGNED]', postgres: 'integer' }],
  },
  {
    word: 'int',
    aliases: ['integer', 'int4'],
    signed: 'integer',
    unsigned: 'bigint',
    span: INT_SPAN,
    notes: [
      { ...EXACT, mariadb: 'INT, INTEGER', postgres: 'integer' },
      {
        mariadb: 'INT UNSIGNED',
        postgres: 'bigint',
        arrives: 'number, negative above 2147483647',
        done: '2^32 is added to negative numbers',
        lost: 'nothing',
        configure: 'an INT ZEROFILL that the DDL does not also call UNSIGNED: `type: int unsigned`',
      },
    ],
  },
  {
    word: 'bigint',
    aliases: ['int8', 'serial'],
    signed: 'bigint',
    unsigned: 'numeric(20,0)',
    span: BIGINT_SPAN,
    notes: [
      { ...EXACT, mariadb: 'BIGINT', postgres: 'bigint' },
      {
        mariadb: 'BIGINT UNSIGNED, SERIAL',
        postgres: 'numeric(20,0)',
        arrives: 'number, negative above 2^63-1',
        done: '2^64 is added to negative numbers',
        lost: 'nothing',
        configure: '`postgres: bigint` where the values stay below 2^63',
      },
    ],
  },
];

const UNPARSED_WORDS: TypeNote = {
  mariadb: 'INT1, INT8, MIDDLEINT (written so in the DDL); surely INT2, INT3, INT4 too',
  postgres: 'as TINYINT … BIGINT',
  arrives: 'always `""`: MaxScale does not know these words',
  done: 'NULL, counted',
  lost: 'the value',
  configure: 'write TINYINT … BIGINT in the DDL',
};

export const integerFamilies: readonly TypeFamily[] = SIZES.map((size, i) => ({
  words: [size.word, ...size.aliases],
  notes: i === SIZES.length - 1 ? [...size.notes, UNPARSED_WORDS] : size.notes,
  map: (column) => mapInteger(size, column),
}));

function mapInteger(size: IntegerSize, column: SourceColumn): MappingDraft {
  const unsigned = column.unsigned || column.field.realType.toLowerCase() === 'serial';
  const postgresType = unsigned ? size.unsigned : size.signed;
  if (column.field.avroType === 'string') {
    return mapEmptyNumber(column, postgresType);
  }
  const span = unsigned ? size.span : null;
  return {
    postgresType,
    jsonType: postgresType,
    value: (ref) => (span === null ? ref : `CASE WHEN ${ref} < 0 THEN ${ref} + ${span} ELSE ${ref} END`),
  };
}

/** A numeric type that MaxScale does not recognise by the word used: its values arrive as empty strings. */
export function mapEmptyNumber(column: SourceColumn, postgresType: string): MappingDraft {
  const word = column.field.realType.toUpperCase();
  return {
    postgresType,
    jsonType: 'text',
    value: (ref) => `nullif(${ref}, '')::${postgresType}`,
    lost: (ref) => `${ref} = ''`,
    unreliable: `MaxScale sends an empty string for every value of a column declared with the word ${word}`,
  };
}
