import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MariaTypeError, parseMariaType } from '../../src/types/index.js';

describe('parseMariaType', () => {
  it.each([
    ['int', { word: 'int', args: [], unsigned: false, text: 'int' }],
    ['INT(11) UNSIGNED', { word: 'int', args: [11], unsigned: true, text: 'int(11) unsigned' }],
    ['int(8) zerofill', { word: 'int', args: [8], unsigned: true, text: 'int(8) unsigned' }],
    [
      ' Decimal ( 20 , 4 ) unsigned ',
      { word: 'decimal', args: [20, 4], unsigned: true, text: 'decimal(20,4) unsigned' },
    ],
    ['timestamp(3) null', { word: 'timestamp', args: [3], unsigned: false, text: 'timestamp(3)' }],
    ['character varying(10)', { word: 'character', args: [10], text: 'character varying(10)' }],
    ['double precision', { word: 'double', text: 'double precision' }],
    ['long varchar', { word: 'long', text: 'long varchar' }],
    ['varchar(50) character set latin1', { word: 'varchar', args: [50], charset: 'latin1', text: 'varchar(50)' }],
    ['text charset SJIS collate sjis_bin', { word: 'text', charset: 'sjis', text: 'text' }],
    ["varchar(10) default 'x,y' comment 'a, (b) unsigned first'", { word: 'varchar', args: [10], unsigned: false }],
  ])('reads %s', (text, wanted) => {
    expect(parseMariaType(text)).toMatchObject(wanted);
  });

  it.each([
    [`enum('a','b','c,d','é')`, ['a', 'b', 'c,d', 'é']],
    [`enum('it''s','say "hi"',"it's","say ""hi""")`, ["it's", 'say "hi"', "it's", 'say "hi"']],
    [`set('a\\\\b','tab\\t','quote\\'s','\\%','\\q')`, ['a\\b', 'tab\t', "quote's", '\\%', 'q']],
    [`enum('(',')',',','unsigned')`, ['(', ')', ',', 'unsigned']],
    [`enum('')`, ['']],
    [`enum('padded  ')`, ['padded']],
  ])('reads the labels of %s', (text, labels) => {
    expect(parseMariaType(text).labels).toEqual(labels);
  });

  it('reads any labels back that are written as MariaDB writes them', () => {
    const label = fc.string({ unit: 'binary', minLength: 1, maxLength: 8 }).filter((text) => !text.endsWith(' '));
    fc.assert(
      fc.property(fc.array(label, { minLength: 1, maxLength: 8 }), (labels) => {
        const written = labels.map(
          (text) =>
            `'${text.replaceAll('\\', '\\\\').replaceAll("'", "''").replaceAll('\n', '\\n').replaceAll('\0', '\\0')}'`,
        );
        const type = parseMariaType(`enum(${written.join(',')})`);
        expect(type.labels).toEqual(labels);
        expect(parseMariaType(type.text).labels).toEqual(labels);
      }),
    );
  });

  it.each([
    '',
    '(10)',
    '10',
    'decimal(',
    'decimal(10',
    'decimal()',
    'decimal(10,)',
    'decimal(10 2)',
    'decimal(1,2,3)',
    'enum',
    'enum()',
    'enum(1)',
    "enum('a' 'b')",
    "enum('a",
    "varchar('a')",
    'int; drop table x',
    "int -- '",
    `set(${Array.from({ length: 65 }, (_, i) => `'${i}'`).join(',')})`,
  ])('refuses %j, naming it', (text) => {
    expect(() => parseMariaType(text)).toThrow(MariaTypeError);
    expect(() => parseMariaType(text)).toThrow(JSON.stringify(text));
  });
});
