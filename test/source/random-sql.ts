import type { Dice } from '../faults/dice.js';

/** A column that the stream carries exactly, given what the configuration knows of it. */
export interface PlainColumn {
  readonly name: string;
  /** As in CREATE TABLE. */
  readonly definition: string;
  /** A literal, or an expression. */
  readonly value: (dice: Dice) => string;
  /** How both servers print the value the same way, as text. */
  readonly mariadb: string;
  readonly postgres: string;
  /** Where they print it differently: a form that is the same for the same value. */
  readonly normalize?: (text: string) => string;
}

function quoted(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`;
}

function plain(name: string, definition: string, value: PlainColumn['value']): PlainColumn {
  return { name, definition, value, mariadb: `CAST(\`${name}\` AS char)`, postgres: `"${name}"::text` };
}

function integer(name: string, definition: string, low: string, high: string): PlainColumn {
  return plain(name, definition, (dice) => dice.pick([low, high, '0', '1', String(dice.below(100))]));
}

const words = [
  '',
  'plain',
  'héllo wörld',
  '😀 emoji',
  'new\nline\ttab',
  `quote " single ' back\\slash`,
  '</a>&',
  'NULL',
  '  spaces',
];

function pad(number: number): string {
  return String(number).padStart(2, '0');
}

function day(dice: Dice): string {
  return `${dice.between(1000, 9999)}-${pad(dice.between(1, 12))}-${pad(dice.between(1, 28))}`;
}

function time(dice: Dice, hours: number): string {
  return `${pad(dice.below(hours))}:${pad(dice.below(60))}:${pad(dice.below(60))}`;
}

/** Without what the stream loses: bit, json, negative times, NULs, UUIDs with zero bytes, many-digit decimals. */
export const plainColumns: readonly PlainColumn[] = [
  integer('ti', 'tinyint', '-128', '127'),
  integer('tu', 'tinyint unsigned', '0', '255'),
  integer('si', 'smallint', '-32768', '32767'),
  integer('su', 'smallint unsigned', '0', '65535'),
  integer('mi', 'mediumint', '-8388608', '8388607'),
  integer('mu', 'mediumint unsigned', '0', '16777215'),
  integer('i', 'int', '-2147483648', '2147483647'),
  integer('iu', 'int unsigned', '2147483648', '4294967295'),
  integer('b', 'bigint', '-9223372036854775808', '9223372036854775807'),
  integer('bu', 'bigint unsigned', '9223372036854775808', '18446744073709551615'),
  plain(
    'de',
    'decimal(12,3)',
    (dice) => `${dice.below(2) * -1 * 999_999_999 + dice.below(1000)}.${dice.between(100, 999)}`,
  ),
  {
    ...plain('f', 'float', (dice) => dice.pick(['0.1', '-1.5', '3.4e38', '1.17549435e-38', '16777217'])),
    mariadb: 'CAST(CAST(`f` AS double) AS char)',
    postgres: '"f"::float8::text',
    normalize: (text) => String(Number(text)),
  },
  {
    ...plain('d', 'double', (dice) => dice.pick(['0.1', '1e17', '-1.7976931348623157e308', '5e-324', '1.0e15'])),
    normalize: (text) => String(Number(text)),
  },
  plain('vc', 'varchar(60)', (dice) => quoted(dice.pick(words))),
  plain('ch', 'char(40)', (dice) => quoted(dice.pick(words).trimEnd())),
  plain('tx', 'mediumtext', (dice) => (dice.chance(0.1) ? `repeat('é', 5000)` : quoted(dice.pick(words)))),
  {
    ...plain('bl', 'blob', (dice) => `x'ff${Buffer.from(dice.pick(words)).toString('hex')}00'`),
    mariadb: 'LOWER(HEX(`bl`))',
    postgres: `encode("bl", 'hex')`,
  },
  {
    ...plain('bi', 'binary(8)', (dice) => `x'ff${pad(dice.below(100))}00fe'`),
    mariadb: 'LOWER(HEX(`bi`))',
    postgres: `encode("bi", 'hex')`,
  },
  plain('da', 'date', (dice) => `'${day(dice)}'`),
  {
    ...plain('dt', 'datetime(6)', (dice) => `'${day(dice)} ${time(dice, 24)}.${dice.between(100_000, 999_999)}'`),
    postgres: `to_char("dt", 'YYYY-MM-DD HH24:MI:SS.US')`,
  },
  {
    ...plain('ts', 'timestamp NULL', (dice) => `FROM_UNIXTIME(${dice.between(1, 2 ** 31 - 1)})`),
    postgres: `to_char("ts" AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS')`,
  },
  { ...plain('tm', 'time', (dice) => `'${time(dice, 185)}'`), postgres: `to_char("tm", 'HH24:MI:SS')` },
  plain('ye', 'year', (dice) => String(dice.between(1901, 2155))),
  plain('en', `enum('new','paid, sent','it''s')`, (dice) => dice.pick(['1', '2', '3'])),
  plain('se', `set('a','b','c')`, (dice) => String(dice.below(8))),
];

/** A row as both servers give it, as one text. */
export function printRow({ columns }: PlainTable, row: readonly (string | null)[]): string {
  return JSON.stringify(
    row.map((value, index) => (value === null ? null : (columns[index]?.normalize?.(value) ?? value))),
  );
}

export interface PlainTable {
  readonly name: string;
  readonly columns: readonly PlainColumn[];
  /** Columns of its primary key; without one rows are matched whole. */
  readonly key: readonly string[];
}

export function createTable({ name, columns, key }: PlainTable): string {
  const definitions = columns.map((column) => `\`${column.name}\` ${column.definition}`);
  const primary = key.length === 0 ? [] : [`PRIMARY KEY (${key.map((column) => `\`${column}\``).join(', ')})`];
  return `CREATE TABLE ${name} (${[...definitions, ...primary].join(', ')})`;
}

/** One statement that changes some rows of a table, or none. */
export function randomChange(dice: Dice, { name, columns, key }: PlainTable): string {
  const literal = (column: PlainColumn): string =>
    key.includes(column.name) || !dice.chance(0.15) ? column.value(dice) : 'NULL';
  const row = (): string => `(${columns.map(literal).join(', ')})`;
  const list = columns.map((column) => `\`${column.name}\``).join(', ');
  const changed = dice.pick(columns);
  const compared = dice.pick(columns);
  const where = `WHERE \`${compared.name}\` <= ${compared.value(dice)} LIMIT ${dice.between(1, 3)}`;
  switch (dice.below(6)) {
    case 0:
    case 1:
      return `INSERT IGNORE INTO ${name} (${list}) VALUES ${row()}, ${row()}`;
    case 2:
      return `REPLACE INTO ${name} (${list}) VALUES ${row()}`;
    case 3:
      return `INSERT IGNORE INTO ${name} (${list}) VALUES ${row()} ON DUPLICATE KEY UPDATE \`${changed.name}\` = ${literal(changed)}`;
    case 4:
      return `UPDATE IGNORE ${name} SET \`${changed.name}\` = ${literal(changed)} ${where}`;
    default:
      return `DELETE FROM ${name} ${where}`;
  }
}
