import type { Dice } from './dice.js';

/** A value: as the source hands it to the stream, and the text that PostgreSQL must show for it. */
export interface Cell {
  readonly wire: string | null;
  readonly text: string | null;
}

/** A type of column, with values whose text in PostgreSQL is stated here by hand. */
export interface ColumnKind {
  readonly realType: string;
  readonly unsigned?: boolean;
  /** The full type, for the configuration, where the stream does not tell enough. */
  readonly configured?: string;
  /** The character set, for the configuration, where it is not UTF-8. */
  readonly charset?: 'latin1';
  readonly value: (dice: Dice) => Cell;
  /** Kinds that a column may become by MODIFY and keep all its values. */
  readonly becomes?: readonly KindName[];
}

export type KindName =
  | 'tiny'
  | 'flag'
  | 'small'
  | 'medium'
  | 'int'
  | 'uint'
  | 'big'
  | 'ubig'
  | 'decimal'
  | 'float'
  | 'double'
  | 'varchar'
  | 'text'
  | 'longtext'
  | 'blob'
  | 'binary'
  | 'date'
  | 'moment'
  | 'stamp'
  | 'time'
  | 'year'
  | 'enum'
  | 'set'
  | 'usmall'
  | 'amount'
  | 'real'
  | 'char'
  | 'latin1'
  | 'varbinary'
  | 'fraction'
  | 'instant'
  | 'clock'
  | 'json'
  | 'bit'
  | 'uuid'
  | 'inet4'
  | 'inet6';

const nothing: Cell = { wire: null, text: null };

/** The same characters on both sides. */
const same = (text: string): Cell => ({ wire: text, text });
const cell = (wire: string, text: string | null): Cell => ({ wire, text });

const oneOf = (cells: readonly Cell[]) => (dice: Dice) => dice.pick(cells);
const integers =
  (...extremes: readonly string[]) =>
  (dice: Dice): Cell =>
    same(dice.chance(0.4) ? dice.pick(extremes) : String(dice.below(100)));

const words = [
  '',
  'x',
  'naïve \u2028 line',
  `it's "quoted" \\ %s $1`,
  '😀 emoji',
  '{"json": null}',
  'NULL',
  ' spaces ',
];

const hex = (dice: Dice, bytes: number): string =>
  Array.from({ length: bytes }, () => dice.below(256).toString(16).padStart(2, '0')).join('');

function makeBlob(dice: Dice): Cell {
  switch (dice.below(4)) {
    case 0:
      return cell('', '\\x');
    case 1:
      return cell('zäh', '\\x7ac3a468');
    default: {
      // ff begins no UTF-8 character, so MaxScale sends the bytes in hex.
      const digits = `ff${hex(dice, dice.below(30))}`;
      return cell(digits, `\\x${digits}`);
    }
  }
}

/** Mostly short; now and then several hundred kB, seldom some MB. */
function makeLongText(dice: Dice): Cell {
  if (!dice.chance(0.04)) return same(dice.pick(words));
  const piece = dice.pick(['Lorem ipsum ', 'ä€😀', '"\\\n\t']);
  return same(piece.repeat(dice.chance(0.1) ? dice.between(100_000, 400_000) : dice.between(5_000, 40_000)));
}

function makeDecimal(dice: Dice): Cell {
  const cents = dice.chance(0.2) ? dice.pick([0, 99_999_999_999, -99_999_999_999, 1]) : dice.between(-99_999, 99_999);
  const digits = String(Math.abs(cents)).padStart(3, '0');
  return same(`${cents < 0 ? '-' : ''}${digits.slice(0, -2)}.${digits.slice(-2)}`);
}

export const columnKinds: Readonly<Record<KindName, ColumnKind>> = {
  tiny: { realType: 'tinyint', value: integers('-128', '127'), becomes: ['small', 'int', 'big', 'varchar'] },
  flag: { realType: 'boolean', value: oneOf([same('0'), same('1')]) },
  small: { realType: 'smallint', value: integers('-32768', '32767'), becomes: ['int', 'big', 'varchar'] },
  medium: { realType: 'mediumint', value: integers('-8388608', '8388607'), becomes: ['int', 'big'] },
  int: { realType: 'int', value: integers('-2147483648', '2147483647'), becomes: ['big', 'varchar'] },
  uint: {
    realType: 'int',
    unsigned: true,
    value: integers('2147483648', '4294967295', '2147483647'),
    becomes: ['ubig', 'big', 'varchar'],
  },
  big: { realType: 'bigint', value: integers('-9223372036854775808', '9223372036854775807', '9007199254740993') },
  ubig: { realType: 'bigint', unsigned: true, value: integers('18446744073709551615', '9223372036854775808') },
  decimal: { realType: 'decimal', configured: 'decimal(11,2)', value: makeDecimal, becomes: ['varchar'] },
  float: { realType: 'float', value: oneOf([same('0.1'), same('-2.5'), same('0'), same('1.5e-05')]) },
  double: { realType: 'double', value: oneOf([same('0.1'), same('-2.5'), same('0'), cell('1e17', '1e+17')]) },
  varchar: { realType: 'varchar', value: (dice) => same(dice.pick(words)), becomes: ['text', 'longtext'] },
  text: {
    realType: 'text',
    // PostgreSQL holds no NUL: it is removed.
    value: (dice) => (dice.chance(0.1) ? cell('a\0b', 'ab') : same(dice.pick(words))),
    becomes: ['longtext'],
  },
  longtext: { realType: 'longtext', value: makeLongText },
  blob: { realType: 'blob', value: makeBlob },
  binary: {
    realType: 'binary',
    configured: 'binary(4)',
    // The stream leaves out zero bytes at the end.
    value: oneOf([cell('ff', '\\xff000000'), cell('ff00ff01', '\\xff00ff01'), cell('', '\\x00000000')]),
  },
  date: {
    realType: 'date',
    value: oneOf([same('2024-02-29'), same('9999-12-31'), cell('99-12-31', '0099-12-31'), cell('0-00-00', null)]),
  },
  moment: {
    realType: 'datetime',
    configured: 'datetime(6)',
    value: oneOf([
      cell('2024-02-29 12:34:56.780000', '2024-02-29 12:34:56.78'),
      cell('1999-12-31 23:59:59.999999', '1999-12-31 23:59:59.999999'),
      cell('2000-01-01 00:00:00.000000', '2000-01-01 00:00:00'),
      cell('0-00-00 00:00:00.000000', null),
    ]),
  },
  stamp: {
    realType: 'timestamp_',
    value: oneOf([cell('2024-06-01 12:00:00', '2024-06-01 12:00:00+00'), cell('0-00-00 00:00:00', null)]),
  },
  time: {
    realType: 'time',
    // The stream garbles negative times.
    value: oneOf([same('12:34:56'), same('00:00:00'), cell('1023:63:63', '-00:00:01')]),
  },
  year: { realType: 'year', value: oneOf([same('2155'), same('1999'), cell('1900', '0')]) },
  enum: {
    realType: 'enum',
    configured: "enum('new','in transit','paid')",
    value: oneOf([cell('01', 'new'), cell('02', 'in transit'), cell('03', 'paid')]),
    becomes: ['varchar'],
  },
  set: {
    realType: 'set',
    configured: "set('a','b','c')",
    value: oneOf([cell('00', ''), cell('01', 'a'), cell('05', 'a,c'), cell('07', 'a,b,c')]),
  },
  usmall: { realType: 'smallint', unsigned: true, value: integers('65535', '32768'), becomes: ['uint', 'big'] },
  amount: {
    realType: 'decimal',
    configured: 'decimal(18,4)',
    // Each group of nine digits comes as base 2^32: 12 * 2^32 + 345678901.
    value: oneOf([cell('51885286453.25', '12345678901.2500'), cell('0.5', '0.5000'), cell('-1.25', '-1.2500')]),
  },
  real: { realType: 'real', value: oneOf([same('0.1'), same('-1.25')]) },
  char: { realType: 'char', value: oneOf([same('abc'), same(''), same(' ä')]), becomes: ['varchar', 'text'] },
  latin1: {
    realType: 'varchar',
    charset: 'latin1',
    // Bytes that are not UTF-8 come in hex.
    value: oneOf([cell('68e96c6c6f', 'héllo'), same('plain')]),
  },
  varbinary: {
    realType: 'varbinary',
    value: oneOf([cell('ff41', '\\xff41'), cell('zäh', '\\x7ac3a468'), cell('', '\\x')]),
  },
  fraction: {
    realType: 'datetime',
    configured: 'datetime(3)',
    // Three decimals are ten times too big in the stream.
    value: oneOf([
      cell('2024-02-29 12:34:56.7890000', '2024-02-29 12:34:56.789'),
      cell('2024-02-29 12:34:56.010000', '2024-02-29 12:34:56.001'),
    ]),
  },
  instant: {
    realType: 'timestamp_',
    configured: 'timestamp(6)',
    value: oneOf([cell('2024-06-01 12:00:00.123456', '2024-06-01 12:00:00.123456+00')]),
  },
  clock: {
    realType: 'time',
    configured: 'time(3)',
    value: oneOf([cell('12:34:56.7890000', '12:34:56.789'), cell('00:00:01.010000', '00:00:01.001')]),
  },
  // Of these the stream has no value.
  json: { realType: 'json', value: () => cell('', null) },
  bit: { realType: 'bit', configured: 'bit(8)', value: () => cell('', null) },
  uuid: {
    realType: 'uuid',
    // A last zero byte is cut off.
    value: oneOf([
      cell('123e4567e89b42d3a456426614174001', '123e4567-e89b-42d3-a456-426614174001'),
      cell('123e4567e89b42d3a4564266141740', '123e4567-e89b-42d3-a456-426614174000'),
    ]),
  },
  inet4: { realType: 'inet4', value: () => cell('c0a801fe', '192.168.1.254/32') },
  inet6: {
    realType: 'inet6',
    value: () => cell('20010db9fefefefefefefefefefefefe', '2001:db9:fefe:fefe:fefe:fefe:fefe:fefe/128'),
  },
};

export const kindNames = Object.keys(columnKinds) as KindName[];

export function makeCell(kind: KindName, dice: Dice): Cell {
  return dice.chance(0.12) ? nothing : columnKinds[kind].value(dice);
}

/** A value after its column became another kind: numbers keep their digits, labels and decimals become their text. */
export function convertCell(value: Cell, to: KindName): Cell {
  return value.wire === null || to !== 'varchar' ? value : { wire: value.text, text: value.text };
}
