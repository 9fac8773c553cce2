import { readCases, type RecordedType } from '../../packages/binlog-feed/test/recorded-sql.js';
import type { Dice } from '../faults/dice.js';

/** A table of the story, and how the workload changes it. */
export interface StoryTable {
  readonly name: string;
  readonly create: string;
  /** Statements that fill it with about so many rows. */
  readonly fill: (rows: number) => readonly string[];
  readonly settings?: object;
  /** One statement of any kind that changes some rows. Ids below `quietIds` are never touched. */
  readonly change: (dice: Dice, rows: number) => string;
}

/** Rows with lower ids are the same from the beginning to the end. */
const quietIds = 100;

function pickId(dice: Dice, rows: number): number {
  return dice.between(quietIds, quietIds + Math.max(rows, 300));
}

function orders(): StoryTable {
  const columns = 'id, customer, amount, state, noted, token, price, memo';
  const values = (id: string, n: string): string =>
    `${id}, CONCAT('customer ', ${n} % 977), (${n} % 100000) / 7, 1 + ${n} % 3, TIMESTAMPADD(MICROSECOND, ${n} * 1000003, '2020-01-01'),
     UNHEX(MD5(${n})), ${n} / 3, IF(${n} % 5 = 0, NULL, REPEAT('é ', ${n} % 20))`;
  const fresh = (dice: Dice, rows: number): string =>
    `(${values(String(pickId(dice, rows)), String(dice.between(quietIds, 1e6)))})`;
  return {
    name: 'orders',
    create: `CREATE TABLE orders (id int unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY, customer varchar(40) NOT NULL, amount decimal(12,2) NOT NULL,
      state enum('new','paid, sent','it''s') NOT NULL, noted datetime(6) NOT NULL, token binary(16) NOT NULL, price double, memo text,
      UNIQUE KEY by_token (token), UNIQUE KEY by_noted (noted))`,
    settings: { labels: 'enum', indexes: 'same' },
    fill: (rows) => [`INSERT INTO orders (${columns}) SELECT ${values('seq', 'seq')} FROM seq_1_to_${rows}`],
    change: (dice, rows) => {
      const id = pickId(dice, rows);
      return dice.pick([
        () => `INSERT IGNORE INTO orders (${columns}) VALUES ${fresh(dice, rows)}, ${fresh(dice, rows)}`,
        () =>
          `UPDATE orders SET amount = amount + 0.01, memo = CONCAT('changed ', id) WHERE id BETWEEN ${id} AND ${id + 7}`,
        () => `UPDATE IGNORE orders SET id = ${pickId(dice, rows)} WHERE id = ${id}`,
        () => `DELETE FROM orders WHERE id BETWEEN ${id} AND ${id + 1}`,
        () => `REPLACE INTO orders (${columns}) VALUES ${fresh(dice, rows)}`,
        () =>
          `INSERT INTO orders (${columns}) VALUES ${fresh(dice, rows)} ON DUPLICATE KEY UPDATE price = -price, state = 2`,
      ])();
    },
  };
}

function divided(): StoryTable {
  const row = (dice: Dice): string => `('b${dice.below(8)}', ${dice.between(quietIds, 2000)}, ${dice.below(1000)})`;
  return {
    name: 'divided',
    settings: { partitions: 3 },
    create: `CREATE TABLE divided (branch varchar(10) NOT NULL, id int NOT NULL, v bigint, PRIMARY KEY (id, branch))`,
    fill: (rows) => [`INSERT INTO divided SELECT CONCAT('b', seq % 8), seq DIV 8, seq FROM seq_1_to_${rows}`],
    change: (dice) => {
      const id = dice.between(quietIds, 2000);
      return dice.pick([
        `INSERT IGNORE INTO divided VALUES ${row(dice)}, ${row(dice)}, ${row(dice)}`,
        `UPDATE divided SET v = v + 1 WHERE id BETWEEN ${id} AND ${id + 3}`,
        `UPDATE IGNORE divided SET id = id + ${dice.below(5)}, branch = 'b${dice.below(9)}' WHERE id = ${id}`,
        `DELETE FROM divided WHERE id = ${id}`,
        `REPLACE INTO divided VALUES ${row(dice)}`,
        `INSERT INTO divided VALUES ${row(dice)} ON DUPLICATE KEY UPDATE v = v * 2`,
      ]);
    },
  };
}

const spellings = [
  'straße',
  'STRASSE',
  'élan',
  'Elan',
  'ELAN',
  '😀',
  'a',
  'A',
  "it's",
  'back\\\\slash',
  'tab\\t',
  'x y',
];

function words(): StoryTable {
  const word = (dice: Dice): string => `'w${dice.below(60)} ${dice.pick(spellings).replaceAll("'", "''")}'`;
  return {
    name: 'words',
    create: `CREATE TABLE words (word varchar(60) NOT NULL, id int NOT NULL, memo varchar(100), PRIMARY KEY (word))`,
    fill: (rows) => [
      `INSERT INTO words SELECT CONCAT('row ', MD5(seq)), seq, REPEAT('x', seq % 90) FROM seq_1_to_${rows}`,
    ],
    change: (dice) =>
      dice.pick([
        `INSERT IGNORE INTO words VALUES (${word(dice)}, ${dice.below(1000)}, NULL)`,
        `UPDATE IGNORE words SET word = ${word(dice)} WHERE word = ${word(dice)}`,
        `UPDATE words SET memo = CONCAT(word, ' ') WHERE word LIKE 'row ${dice.below(10)}${dice.below(10)}%' LIMIT 3`,
        `DELETE FROM words WHERE word = ${word(dice)}`,
        `REPLACE INTO words VALUES (${word(dice)}, ${dice.below(1000)}, 'replaced')`,
        `INSERT INTO words VALUES (${word(dice)}, 1, '') ON DUPLICATE KEY UPDATE word = ${word(dice)}, id = id + 1`,
      ]),
  };
}

function keyless(): StoryTable {
  return {
    name: 'keyless',
    create: `CREATE TABLE keyless (id int, b varchar(20), c decimal(9,3))`,
    fill: (rows) => [`INSERT INTO keyless SELECT seq % 400, CONCAT('b', seq % 7), seq % 9 / 8 FROM seq_1_to_${rows}`],
    change: (dice) => {
      const id = dice.between(quietIds, 399);
      return dice.pick([
        `INSERT INTO keyless VALUES (${id}, 'b1', 0.125), (${id}, 'b1', 0.125), (${id}, NULL, NULL)`,
        `UPDATE keyless SET b = 'x' WHERE id = ${id} LIMIT 2`,
        `UPDATE keyless SET id = ${dice.between(quietIds, 399)} WHERE id = ${id} LIMIT 1`,
        `DELETE FROM keyless WHERE id = ${id} LIMIT 2`,
        `REPLACE INTO keyless VALUES (${id}, '', -0.5)`,
      ]);
    },
  };
}

/** The stream ends a VARCHAR at its first NUL and nothing shows it: only a copy, or a repair, has the whole value. */
function isCutSilently(value: string): boolean {
  return value.includes('nul>');
}

/** One column for each type that was recorded from a real MaxScale, named as its recording. */
function typed(name: string, types: readonly RecordedType[]): StoryTable {
  const columns = types.map((type) => `\`c_${type.name}\` ${type.type}`);
  const names = types.map((type) => `\`c_${type.name}\``);
  const streamed = types.map(({ values }) => values.filter((value) => !isCutSilently(value)));
  const row = (dice: Dice, id: number): string =>
    `(${[id, ...streamed.map((values) => dice.pick(values))].join(', ')})`;
  const rows = Math.max(...types.map(({ values }) => values.length));
  const id = (dice: Dice): number => dice.between(quietIds, quietIds + 200);
  return {
    name,
    create: `CREATE TABLE ${name} (id int NOT NULL PRIMARY KEY, ${columns.join(', ')})`,
    // Every value that was recorded is there, and stays.
    fill: () =>
      Array.from(
        { length: rows },
        (_, n) =>
          `INSERT INTO ${name} VALUES (${[n, ...types.map(({ values }) => values[n % values.length] ?? 'NULL')].join(', ')})`,
      ),
    change: (dice) => {
      const at = dice.below(types.length);
      const column = names[at] ?? '';
      const value = dice.pick(streamed[at] ?? ['NULL']);
      return dice.pick([
        `INSERT IGNORE INTO ${name} VALUES ${row(dice, id(dice))}, ${row(dice, id(dice))}`,
        `UPDATE IGNORE ${name} SET ${column} = ${value} WHERE id = ${id(dice)}`,
        `UPDATE IGNORE ${name} SET ${column} = ${value} WHERE id BETWEEN ${quietIds} AND ${quietIds + dice.below(50)}`,
        `UPDATE IGNORE ${name} SET id = ${id(dice)} WHERE id = ${id(dice)}`,
        `DELETE FROM ${name} WHERE id = ${id(dice)}`,
        `REPLACE INTO ${name} VALUES ${row(dice, id(dice))}`,
        `INSERT IGNORE INTO ${name} VALUES ${row(dice, id(dice))} ON DUPLICATE KEY UPDATE ${column} = ${value}`,
      ]);
    },
  };
}

/** A table whose definition changes while its rows do: the workload knows only columns that are always there. */
function shaped(name: string, more = ''): StoryTable {
  const id = (dice: Dice): number => dice.between(quietIds, 400);
  return {
    name,
    create: `CREATE TABLE ${name} (id int NOT NULL PRIMARY KEY, a varchar(20) NULL)${more}`,
    fill: () => [`INSERT INTO ${name} SELECT seq, IF(seq % 4 = 0, NULL, CONCAT('a', seq)) FROM seq_1_to_300`],
    change: (dice) =>
      dice.pick([
        `INSERT IGNORE INTO ${name} (id) VALUES (${id(dice)}), (${id(dice)})`,
        `UPDATE IGNORE ${name} SET id = ${id(dice)} WHERE id = ${id(dice)}`,
        `UPDATE ${name} SET a = '${dice.below(1000)}' WHERE id BETWEEN ${id(dice)} AND ${id(dice)}`,
        `DELETE FROM ${name} WHERE id = ${id(dice)}`,
        `REPLACE INTO ${name} (id) VALUES (${id(dice)})`,
        `INSERT INTO ${name} (id, a) VALUES (${id(dice)}, 'odku') ON DUPLICATE KEY UPDATE a = 'twice'`,
      ]),
  };
}

/** Changes of a definition, each for a table of its own. `{}` is the table's name. */
export const definitionChanges: Readonly<Record<string, readonly string[]>> = {
  added: [
    'ALTER TABLE {} ADD COLUMN last_one int unsigned DEFAULT 5',
    'ALTER TABLE {} ADD COLUMN first_one varchar(5) FIRST',
    `ALTER TABLE {} ADD COLUMN middle decimal(6,2) NOT NULL DEFAULT '1.5' COMMENT 'x, (y) unsigned' AFTER id`,
    `ALTER TABLE {} ADD COLUMN p int AFTER id, ADD COLUMN q int FIRST, MODIFY last_one bigint`,
    `ALTER TABLE {} ADD COLUMN e enum('x,y','(z)','it''s','q"q') DEFAULT 'x,y' AFTER a, ADD COLUMN d varchar(30) DEFAULT 'a,b) first unsigned'`,
  ],
  dropped_columns: [
    'ALTER TABLE {} ADD COLUMN x int DEFAULT 1, ADD COLUMN y text',
    'ALTER TABLE {} DROP COLUMN x',
    'ALTER TABLE {} ADD COLUMN x varchar(9) DEFAULT 9 AFTER id',
    'ALTER TABLE {} DROP COLUMN x, DROP COLUMN y',
  ],
  changed: [
    'ALTER TABLE {} ADD COLUMN n int NOT NULL DEFAULT 70000',
    'ALTER TABLE {} CHANGE n n2 bigint NOT NULL DEFAULT 1',
    'ALTER TABLE {} CHANGE COLUMN n2 n3 varchar(30) AFTER id',
    'ALTER TABLE {} MODIFY a longtext',
    'ALTER TABLE {} MODIFY a varchar(200) FIRST',
  ],
  keyed: [
    'ALTER TABLE {} ADD INDEX (a)',
    'ALTER TABLE {} ADD COLUMN x int, ALGORITHM=INSTANT, LOCK=NONE',
    'ALTER TABLE {} DROP PRIMARY KEY, ADD PRIMARY KEY (id)',
    `ALTER TABLE {} CONVERT TO CHARACTER SET latin1`,
    `ALTER TABLE {} COMMENT = 'hi, add column'`,
  ],
  renamed_away: ['RENAME TABLE {} TO {}_away', 'RENAME TABLE {}_away TO {}'],
  swapped: [
    'CREATE TABLE {}_next (id int PRIMARY KEY, a varchar(20), extra int DEFAULT 4)',
    'INSERT INTO {}_next (id, a) SELECT id, a FROM {}',
    'RENAME TABLE {} TO {}_before, {}_next TO {}',
  ],
  created_anew: [
    'CREATE OR REPLACE TABLE {} (id int PRIMARY KEY, a varchar(20), b int DEFAULT 3)',
    `CREATE OR REPLACE TABLE {} (id int PRIMARY KEY, z date, a varchar(20)) SELECT seq AS id, DATE '2024-02-29' AS z, 'ctas' AS a FROM seq_1_to_30`,
  ],
  truncated: ['TRUNCATE TABLE {}'],
  filled: [
    `ALTER TABLE {} ADD COLUMN c varchar(10) NOT NULL DEFAULT 'const'`,
    `ALTER TABLE {} ADD COLUMN u varchar(40) NOT NULL DEFAULT (CONCAT('u', id))`,
    `ALTER TABLE {} ADD COLUMN g varchar(40) NOT NULL DEFAULT (UUID())`,
  ],
  renamed_column: [
    'ALTER TABLE {} ADD COLUMN old_name int DEFAULT 8',
    'ALTER TABLE {} RENAME COLUMN old_name TO new_name',
  ],
  rewritten: [`ALTER TABLE {} MODIFY a varchar(20) NOT NULL DEFAULT 'x'`, 'ALTER TABLE {} MODIFY a varchar(2)'],
  exchanged: ['ALTER TABLE {} EXCHANGE PARTITION p0 WITH TABLE exchanged_other'],
  dropped: ['DROP TABLE {}', 'CREATE TABLE {} (id int NOT NULL PRIMARY KEY, a varchar(20) NULL)'],
};

/** Of several partitions in its definition MaxScale takes the second for a column. */
const onePartition = ' PARTITION BY RANGE (id) (PARTITION p0 VALUES LESS THAN (100000))';

export async function describeStory(): Promise<readonly StoryTable[]> {
  const types = await readCases<RecordedType>('types');
  const isWide = ({ name }: RecordedType): boolean => name === 'varchar_16000';
  const plain = types.filter((type) => !isWide(type));
  const half = Math.ceil(plain.length / 2);
  return [
    orders(),
    divided(),
    words(),
    keyless(),
    typed('types_one', plain.slice(0, half)),
    typed('types_two', plain.slice(half)),
    typed('types_wide', types.filter(isWide)),
    ...Object.keys(definitionChanges).map((name) => shaped(name, name === 'exchanged' ? onePartition : '')),
  ];
}
