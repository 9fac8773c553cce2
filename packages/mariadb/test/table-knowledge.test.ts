import { type LocalMariadb, startMariadb } from '@afterimage/local-servers';
import { type Connection, createConnection } from 'mariadb';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
// @boundaries-ignore the harness that all tests share
import { uniqueName } from '../../../test/harness/databases.js';
// @boundaries-ignore the harness that all tests share
import { mariadbMissing } from '../../../test/harness/mariadb.js';
import {
  type ColumnKnowledge,
  type ColumnType,
  parseMariadbUrl,
  readDatabaseKnowledge,
  readTableKnowledge,
  selectShape,
  type TableKnowledge,
  tableShape,
} from '../src/index.js';

const utf8 = { charset: 'utf8mb4', collation: 'utf8mb4_general_ci' };
const integer = { kind: 'integer', isUnsigned: false, isZerofill: false } as const;
const text = { kind: 'text', ...utf8, isJson: false, isCompressed: false } as const;
const binary = { kind: 'binary', isCompressed: false } as const;
const float = { kind: 'float', precision: null, scale: null, isUnsigned: false } as const;

const shop = uniqueName('my shop');
const user = uniqueName('reader');

/** What is declared, what the server calls it, what it is. */
const types: readonly (readonly [declared: string, definition: string, type: ColumnType])[] = [
  ['tinyint', 'tinyint(4)', { ...integer, name: 'tinyint' }],
  ['boolean', 'tinyint(1)', { ...integer, name: 'tinyint' }],
  ['smallint unsigned', 'smallint(5) unsigned', { ...integer, name: 'smallint', isUnsigned: true }],
  ['mediumint', 'mediumint(9)', { ...integer, name: 'mediumint' }],
  ['INTEGER', 'int(11)', { ...integer, name: 'int' }],
  ['int zerofill', 'int(10) unsigned zerofill', { ...integer, name: 'int', isUnsigned: true, isZerofill: true }],
  ['int8', 'bigint(20)', { ...integer, name: 'bigint' }],
  ['bigint unsigned', 'bigint(20) unsigned', { ...integer, name: 'bigint', isUnsigned: true }],
  ['decimal', 'decimal(10,0)', { kind: 'decimal', precision: 10, scale: 0, isUnsigned: false }],
  ['numeric(65,30)', 'decimal(65,30)', { kind: 'decimal', precision: 65, scale: 30, isUnsigned: false }],
  ['dec(5,2) unsigned', 'decimal(5,2) unsigned', { kind: 'decimal', precision: 5, scale: 2, isUnsigned: true }],
  ['float', 'float', { ...float, name: 'float' }],
  ['float(7,3) unsigned', 'float(7,3) unsigned', { ...float, name: 'float', precision: 7, scale: 3, isUnsigned: true }],
  ['real', 'double', { ...float, name: 'double' }],
  ['double(10,4)', 'double(10,4)', { ...float, name: 'double', precision: 10, scale: 4 }],
  ['bit', 'bit(1)', { kind: 'bit', length: 1 }],
  ['bit(64)', 'bit(64)', { kind: 'bit', length: 64 }],
  ['date', 'date', { kind: 'date' }],
  ['year', 'year(4)', { kind: 'year' }],
  ['time', 'time', { kind: 'time', decimals: 0 }],
  ['time(6)', 'time(6)', { kind: 'time', decimals: 6 }],
  ['datetime(3)', 'datetime(3)', { kind: 'datetime', decimals: 3 }],
  ['timestamp(1) NULL', 'timestamp(1)', { kind: 'timestamp', decimals: 1 }],
  ['char(7)', 'char(7)', { ...text, name: 'char', length: 7 }],
  [
    'national character(7)',
    'char(7)',
    { ...text, name: 'char', length: 7, charset: 'utf8mb3', collation: 'utf8mb3_general_ci' },
  ],
  ['varchar(300)', 'varchar(300)', { ...text, name: 'varchar', length: 300 }],
  [
    'varchar(9) CHARACTER SET latin1 COLLATE latin1_bin',
    'varchar(9)',
    { ...text, name: 'varchar', length: 9, charset: 'latin1', collation: 'latin1_bin' },
  ],
  ['varchar(9) COMPRESSED', 'varchar(9) COMPRESSED', { ...text, name: 'varchar', length: 9, isCompressed: true }],
  ['tinytext', 'tinytext', { ...text, name: 'tinytext', length: 255 }],
  ['text', 'text', { ...text, name: 'text', length: 65_535 }],
  ['long varchar', 'mediumtext', { ...text, name: 'mediumtext', length: 16_777_215 }],
  ['longtext', 'longtext', { ...text, name: 'longtext', length: 4_294_967_295 }],
  ['json', 'longtext', { ...text, name: 'longtext', length: 4_294_967_295, collation: 'utf8mb4_bin', isJson: true }],
  ['binary(16)', 'binary(16)', { ...binary, name: 'binary', length: 16 }],
  ['varbinary(20)', 'varbinary(20)', { ...binary, name: 'varbinary', length: 20 }],
  ['tinyblob', 'tinyblob', { ...binary, name: 'tinyblob', length: 255 }],
  ['blob COMPRESSED', 'blob COMPRESSED', { ...binary, name: 'blob', length: 65_535, isCompressed: true }],
  ['mediumblob', 'mediumblob', { ...binary, name: 'mediumblob', length: 16_777_215 }],
  ['longblob', 'longblob', { ...binary, name: 'longblob', length: 4_294_967_295 }],
  [
    `enum('new','it''s','c,d','(x)','é','back\\\\slash','new\\nline','')`,
    `enum('new','it''s','c,d','(x)','é','back\\\\slash','new\\nline','')`,
    { kind: 'enum', labels: ['new', "it's", 'c,d', '(x)', 'é', 'back\\slash', 'new\nline', ''], ...utf8 },
  ],
  [
    `set('a','b') CHARACTER SET latin1`,
    `set('a','b')`,
    { kind: 'set', labels: ['a', 'b'], charset: 'latin1', collation: 'latin1_swedish_ci' },
  ],
  ['uuid', 'uuid', { kind: 'uuid' }],
  ['inet6', 'inet6', { kind: 'inet6' }],
  ['inet4', 'inet4', { kind: 'inet4' }],
  ['point', 'point', { kind: 'geometry', name: 'point' }],
  ['geometrycollection', 'geometrycollection', { kind: 'geometry', name: 'geometrycollection' }],
];

/** Statements without and with what each rule has to tell apart. */
const tables = [
  `CREATE TABLE every_type (${types.map(([declared], index) => `c${index} ${declared}`).join(', ')})`,
  `CREATE TABLE rich (
     id int NOT NULL AUTO_INCREMENT COMMENT 'who''s who',
     total decimal(10,3) DEFAULT 1.5,
     nothing varchar(10) DEFAULT NULL,
     word varchar(10) NOT NULL DEFAULT 'NULL',
     quoted varchar(20) DEFAULT 'it''s \\\\ \\n',
     minus int DEFAULT -7,
     changed datetime(3) DEFAULT current_timestamp(3) ON UPDATE current_timestamp(3),
     token uuid DEFAULT uuid(),
     bits bit(5) DEFAULT b'101',
    inner_nul binary(4) DEFAULT x'61006200',
    accent varbinary(4) DEFAULT x'c3a9',
    high varbinary(4) DEFAULT x'ff',
    zero blob DEFAULT x'00',
     hidden int INVISIBLE DEFAULT 7,
     \`virt-ual\` int AS (minus + 1) VIRTUAL COMMENT 'computed',
     \`ünï\` int GENERATED ALWAYS AS (minus + 2) STORED,
     \`Timestamp\` int,
     PRIMARY KEY (id), UNIQUE KEY u (total), KEY k (word(3), minus DESC), FULLTEXT KEY ft (quoted)
   ) COMMENT='all, of it'`,
  'CREATE TABLE no_key (a int, b int NOT NULL, UNIQUE KEY (a), KEY (b))',
  'CREATE TABLE second_key (a int, b int NOT NULL, c int NOT NULL, UNIQUE KEY x (a), UNIQUE KEY y (b, c), UNIQUE KEY z (c))',
  'CREATE TABLE two_part_key (a int, b varchar(20), c int, PRIMARY KEY (b(3), a))',
  'CREATE TABLE versioned (id int PRIMARY KEY) WITH SYSTEM VERSIONING',
  `CREATE TABLE documents (
     id int PRIMARY KEY, plain longtext COLLATE utf8mb4_bin, \`do\`\`c\` json NOT NULL COMMENT 'CHECK (json_valid(x))',
     checked longtext COLLATE utf8mb4_bin COMMENT 'not JSON' CHECK (length(checked) > 1)
   )`,
  'CREATE VIEW a_view AS SELECT a FROM no_key',
];

describe.skipIf(await mariadbMissing())('what MariaDB knows of a table', () => {
  let mariadb: LocalMariadb;
  let connection: Connection;
  let rich: TableKnowledge;

  beforeAll(async () => {
    mariadb = await startMariadb();
    connection = await createConnection(parseMariadbUrl(mariadb.url));
    await connection.query(`CREATE DATABASE \`${shop}\` CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci`);
    await connection.query(`USE \`${shop}\``);
    for (const statement of tables) await connection.query(statement);
    const found = await readTableKnowledge(connection, shop, 'rich');
    if (found === null) throw new Error('the table is not found');
    rich = found;
  });
  afterAll(async () => {
    await connection.query(`DROP DATABASE \`${shop}\``);
    await connection.end();
    await mariadb.stop();
  });

  function columnOf({ columns }: TableKnowledge, name: string): ColumnKnowledge | undefined {
    return columns.find((column) => column.name === name);
  }

  it.each(types.map(([declared, definition, type], index) => ({ declared, definition, type, index })))(
    'has the exact type of a column declared $declared',
    async ({ definition, type, index }) => {
      const knowledge = await readTableKnowledge(connection, shop, 'every_type');
      expect(knowledge?.columns[index]).toMatchObject({ name: `c${index}`, definition, type });
    },
  );

  it('includes comments of the table and its columns', () => {
    expect(rich.comment).toBe('all, of it');
    expect(columnOf(rich, 'id')?.comment).toBe("who's who");
    expect(columnOf(rich, 'virt-ual')?.comment).toBe('computed');
  });

  it.each([
    ['id', { kind: 'none' }],
    ['total', { kind: 'value', text: '1.500' }],
    ['nothing', { kind: 'null' }],
    ['word', { kind: 'value', text: 'NULL' }],
    ['quoted', { kind: 'value', text: "it's \\ \n" }],
    ['minus', { kind: 'value', text: '-7' }],
    ['changed', { kind: 'expression', sql: 'current_timestamp(3)' }],
    ['token', { kind: 'expression', sql: 'uuid()' }],
    ['bits', { kind: 'expression', sql: `b'101'` }],
    ['inner_nul', { kind: 'bytes', hex: '61006200' }],
    ['accent', { kind: 'bytes', hex: 'c3a9' }],
    // information_schema has a question mark.
    ['high', { kind: 'expression', sql: `'?'` }],
    ['zero', { kind: 'bytes', hex: '00' }],
  ])('tells the default of %s: a value, an expression, NULL or none', (name, expected) => {
    expect(columnOf(rich, name)?.default).toEqual(expected);
  });

  it('tells which columns are generated, invisible, counted up or set by an update', () => {
    const facts = rich.columns.map(({ name, generated, isInvisible, isAutoIncrement, onUpdate }) => [
      name,
      generated?.storage,
      generated?.expression,
      isInvisible,
      isAutoIncrement,
      onUpdate,
    ]);
    expect(
      facts.filter(([name]) => ['id', 'changed', 'hidden', 'virt-ual', 'ünï', 'word'].includes(String(name))),
    ).toEqual([
      ['id', undefined, undefined, false, true, null],
      ['word', undefined, undefined, false, false, null],
      ['changed', undefined, undefined, false, false, 'current_timestamp(3)'],
      ['hidden', undefined, undefined, true, false, null],
      ['virt-ual', 'virtual', '`minus` + 1', false, false, null],
      ['ünï', 'stored', '`minus` + 2', false, false, null],
    ]);
  });

  it("knows the names that MaxScale's stream makes of the real ones", () => {
    expect(columnOf(rich, 'virt-ual')?.streamName).toBe('virt_ual');
    expect(columnOf(rich, 'ünï')?.streamName).toBe('__n__');
    expect(columnOf(rich, 'Timestamp')?.streamName).toBe('Timestamp_');
    expect(columnOf(rich, 'id')?.streamName).toBe('id');
  });

  it('lists the indexes with order, prefixes and methods', () => {
    expect(rich.indexes).toEqual([
      {
        name: 'ft',
        isUnique: false,
        method: 'FULLTEXT',
        parts: [{ column: 'quoted', prefix: null, descending: false }],
      },
      {
        name: 'k',
        isUnique: false,
        method: 'BTREE',
        parts: [
          { column: 'word', prefix: 3, descending: false },
          { column: 'minus', prefix: null, descending: true },
        ],
      },
      { name: 'PRIMARY', isUnique: true, method: 'BTREE', parts: [{ column: 'id', prefix: null, descending: false }] },
      { name: 'u', isUnique: true, method: 'BTREE', parts: [{ column: 'total', prefix: null, descending: false }] },
    ]);
  });

  it.each([
    ['rich', { kind: 'primary', columns: ['id'] }],
    ['two_part_key', { kind: 'primary', columns: ['b', 'a'] }],
    ['second_key', { kind: 'unique', columns: ['c'] }],
    ['no_key', null],
  ])('finds what identifies a row of %s', async (table, key) => {
    expect((await readTableKnowledge(connection, shop, table))?.key).toEqual(key);
  });

  it('is that of all tables of a database at once, without views', async () => {
    const all = await readDatabaseKnowledge(connection, shop);
    expect(all.map(({ table }) => table)).toEqual([
      'documents',
      'every_type',
      'no_key',
      'rich',
      'second_key',
      'two_part_key',
      'versioned',
    ]);
    expect(all.find(({ table }) => table === 'rich')).toEqual(rich);
    expect(all.filter(({ isSystemVersioned }) => isSystemVersioned).map(({ table }) => table)).toEqual(['versioned']);
  });

  it.each(['DEFAULT', `'ANSI_QUOTES'`])('tells JSON from other long text, under sql_mode %s', async (mode) => {
    await connection.query(`SET sql_mode = ${mode}`);
    const documents = await readTableKnowledge(connection, shop, 'documents');
    await connection.query('SET sql_mode = DEFAULT');
    const json = documents?.columns.filter(({ type }) => type.kind === 'text' && type.isJson);
    expect(json?.map(({ name }) => name)).toEqual(['do`c']);
  });

  it('survives being stored as JSON', () => {
    expect(JSON.parse(JSON.stringify(rich))).toEqual(rich);
  });

  it('is null for a table that is not there, and for a view', async () => {
    expect(await readTableKnowledge(connection, shop, 'gone')).toBeNull();
    expect(await readTableKnowledge(connection, shop, 'a_view')).toBeNull();
    expect(await readDatabaseKnowledge(connection, 'gone')).toEqual([]);
  });

  describe('for a user that may only SELECT', () => {
    let reader: Connection;
    beforeAll(async () => {
      await connection.query(`CREATE USER ${user} IDENTIFIED BY 'secret'`);
      await connection.query(`GRANT SELECT ON \`${shop}\`.rich TO ${user}`);
      await connection.query(`GRANT SELECT ON \`${shop}\`.every_type TO ${user}`);
      const url = new URL(mariadb.url);
      url.username = user;
      url.password = 'secret';
      reader = await createConnection(parseMariadbUrl(url.href));
    });
    afterAll(async () => {
      await reader.end();
      await connection.query(`DROP USER ${user}`);
    });

    it('is the same', async () => {
      expect(await readTableKnowledge(reader, shop, 'rich')).toEqual(rich);
      const all = await readDatabaseKnowledge(reader, shop);
      expect(all).toEqual(
        (await readDatabaseKnowledge(connection, shop)).filter(
          ({ table }) => table === 'rich' || table === 'every_type',
        ),
      );
    });

    it('is null for tables that it may not read', async () => {
      expect(await readTableKnowledge(reader, shop, 'no_key')).toBeNull();
    });

    it.each(['rich', 'second_key'])('names the columns of %s alike where its rows are read', async (table) => {
      await connection.query(`GRANT SELECT (b, c) ON \`${shop}\`.second_key TO ${user}`);
      const columns = (await readTableKnowledge(reader, shop, table))?.columns ?? [];
      const sql = `SELECT ${selectShape} AS shape FROM (SELECT count(*) FROM \`${shop}\`.${table}) AS its`;
      expect(await reader.query(sql, [shop, table])).toEqual([{ shape: tableShape({ columns }) }]);
      expect(tableShape({ columns: columns.toReversed() })).not.toBe(tableShape({ columns }));
    });
  });
});
