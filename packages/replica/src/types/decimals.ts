import type { MappingDraft, TypeFamily, TypeNote } from './column-mapping.js';
import { mapEmptyNumber } from './integers.js';

/**
 * MariaDB stores a DECIMAL in groups of nine digits. MaxScale joins the groups as if each were a digit in base 2^32
 * instead of 10^9, and sends the result as a double. Up to nine digits before and nine after the point are therefore
 * right, as far as a double goes; a second group before the point can be undone while the double is an exact integer;
 * a second group after the point cannot be told from one before it, and a third one overflows.
 */
const WRONG_BASE = '4294967296';
const RIGHT_BASE = '1000000000';
const EXACT_INTEGERS = '9007199254740992';
/**
 * 2^51: below it over 10^scale a double lies less than a quarter of a decimal's last place from it. (Half would do, were the
 * double not printed with 17 digits and thereby rounded once before: 4194304.759627420 comes as 4194304.7596274205.)
 */
const EXACT_DECIMALS = 2n ** 51n;

const notes: readonly TypeNote[] = [
  {
    mariadb: 'DECIMAL, NUMERIC, DEC, FIXED',
    postgres: 'numeric',
    arrives: 'a double, with every group of nine digits taken as base 2^32',
    done: 'below 10^9: rounded to 15 significant digits; from there the wrong base is undone while it can be',
    lost: 'digits beyond the 15th; all when more than 9 decimals are declared (not to be seen); NULL, counted, above about 2·10^15',
    configure: '`type: decimal(10,2)`: exact rounding, and wrong values are recognised',
  },
  {
    mariadb: 'DECIMAL(p,s), known: p ≤ 15, p-s ≤ 9, s ≤ 9',
    postgres: 'numeric(p,s)',
    arrives: 'a double',
    done: 'rounded to s decimals, which gives the stored value',
    lost: 'nothing',
    configure: '',
  },
  {
    mariadb: 'DECIMAL(p,s), known: p-s ≤ 18, s ≤ 9',
    postgres: 'numeric(p,s)',
    arrives: 'a double, 1234567890 as 4529535186.0',
    done: 'the wrong base is undone, then rounded to s decimals',
    lost: 'last digits from 2^51/10^s on (counted); NULL, counted, where nothing can be undone',
    configure: '',
  },
  {
    mariadb: 'DECIMAL(p,s), known: p-s > 18 or s > 9',
    postgres: 'numeric(p,s)',
    arrives: 'a double that has nothing to do with the value: 1.5 in decimal(20,10) as 13.8',
    done: 'NULL, counted (0 stays 0 up to 18 digits on each side)',
    lost: 'the value',
    configure: '`type: decimal(18,2)` or the like, where the declared digits are never used and s ≤ 9 is true',
  },
];

export const decimalFamily: TypeFamily = {
  words: ['decimal', 'numeric', 'dec', 'fixed', 'number'],
  notes,
  map: (column) => {
    const { known } = column;
    if (column.field.avroType === 'string') {
      return mapEmptyNumber(column, known === null ? 'numeric' : declare(precisionOf(known.args)));
    }
    return known === null ? mapUnknown() : mapKnown(precisionOf(known.args));
  },
};

interface Precision {
  readonly digits: number;
  readonly scale: number;
  /** Digits before the point. */
  readonly whole: number;
}

/** DECIMAL means DECIMAL(10,0). */
function precisionOf(args: readonly number[]): Precision {
  const [digits = 10, scale = 0] = args;
  return { digits: digits === 0 ? 10 : digits, scale, whole: (digits === 0 ? 10 : digits) - scale };
}

function declare({ digits, scale }: Precision): string {
  return `numeric(${digits},${scale})`;
}

function mapKnown(precision: Precision): MappingDraft {
  if (precision.scale > 9 || precision.whole > 18) {
    return mapDestroyed(precision);
  }
  if (precision.digits <= 15 && precision.whole <= 9) {
    return { postgresType: declare(precision), jsonType: declare(precision), value: (ref) => ref };
  }
  return mapGrouped(precision);
}

function mapDestroyed(precision: Precision): MappingDraft {
  const zeroIsZero = precision.scale <= 18 && precision.whole <= 18;
  return {
    postgresType: declare(precision),
    jsonType: 'numeric',
    value: (ref) => (zeroIsZero ? `CASE WHEN ${ref} = 0 THEN ${ref} END` : `CASE WHEN false THEN ${ref} END`),
    lost: (ref) => (zeroIsZero ? `${ref} <> 0` : `${ref} IS NOT NULL`),
    unreliable: 'a decimal with more than 18 digits before or 9 after the point arrives as an unrelated number',
  };
}

/** Two groups before the point, or more digits than a double holds. */
function mapGrouped(precision: Precision): MappingDraft {
  const { scale, whole } = precision;
  const exact = scale === 0 ? EXACT_INTEGERS : writeQuotient(EXACT_DECIMALS, scale);
  const plainLimit = `1${'0'.repeat(Math.min(whole, 9))}`;
  const plain = (ref: string) => `WHEN abs(${ref}) < ${plainLimit} THEN round(${ref}, ${scale})`;
  return {
    postgresType: declare(precision),
    jsonType: 'numeric',
    value: (ref) =>
      whole <= 9
        ? `CASE ${plain(ref)} END`
        : `CASE ${plain(ref)} WHEN ${isUndoable(`round(${ref}, ${scale})`)} THEN ${undo(`round(${ref}, ${scale})`, whole)} END`,
    lost: (ref) =>
      whole <= 9
        ? `abs(${ref}) >= ${exact}`
        : `(abs(${ref}) >= ${exact} OR abs(${ref}) >= ${plainLimit} AND NOT ${isUndoable(`round(${ref}, ${scale})`)})`,
    unreliable: 'a decimal arrives as a double, which holds about 15 digits',
  };
}

function mapUnknown(): MappingDraft {
  // Up to 15 digits a double prints as what it was made from; integers are exact a little further.
  const trimmed = (ref: string) => `CASE WHEN abs(${ref}) < 1e15 THEN ${ref}::float8::numeric ELSE round(${ref}) END`;
  return {
    postgresType: 'numeric',
    jsonType: 'numeric',
    value: (ref) =>
      `CASE WHEN abs(${ref}) < ${RIGHT_BASE} THEN ${ref}::float8::numeric ` +
      `ELSE (SELECT CASE WHEN ${isUndoable('t.v')} THEN ${undo('t.v', 18)} END FROM (SELECT ${trimmed(ref)} AS v) t) END`,
    lost: (ref) =>
      `(abs(${ref}) >= ${RIGHT_BASE} AND (SELECT NOT ${isUndoable('t.v')} FROM (SELECT ${trimmed(ref)} AS v) t))`,
    unreliable: 'a decimal arrives as a double, wrong when more than 9 decimals are declared; configure its type',
  };
}

/** True when the number is made of two groups in base 2^32, each of at most nine digits, and exact as a double. */
function isUndoable(number: string): string {
  return `(abs(${number}) >= ${WRONG_BASE} AND abs(${number}) < ${EXACT_INTEGERS} AND abs(mod(${number}, ${WRONG_BASE})) < ${RIGHT_BASE})`;
}

/** The value whose two groups were joined in base 2^32; div and mod keep the sign. NULL when it has too many digits. */
function undo(number: string, whole: number): string {
  const value = `div(${number}, ${WRONG_BASE}) * ${RIGHT_BASE} + mod(${number}, ${WRONG_BASE})`;
  return whole < 16
    ? `CASE WHEN abs(div(${number}, ${WRONG_BASE})) < 1${'0'.repeat(whole - 9)} THEN ${value} END`
    : value;
}

/** number / 10^scale in decimal digits, exact. */
function writeQuotient(number: bigint, scale: number): string {
  const digits = number.toString().padStart(scale + 1, '0');
  return `${digits.slice(0, -scale)}.${digits.slice(-scale)}`;
}
