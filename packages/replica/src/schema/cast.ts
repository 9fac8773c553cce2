import type { StoredColumn } from '../control/tables.js';
import { quoteLiteral } from '../names.js';
import { bytesAsText, parseMariaType } from '../types/index.js';

/** What the values of a column are to become. */
export interface CastTarget {
  readonly postgresType: string;
  /** The MariaDB type, in full where known. */
  readonly sourceType: string;
}

interface Cast {
  /** SQL of the value. */
  readonly ref: string;
  readonly from: StoredColumn;
  readonly to: CastTarget;
  /** Zone of the MaxScale host, in which TIMESTAMP values are written out. */
  readonly zone: string;
  /** `integer → text` */
  readonly pair: string;
}

/**
 * SQL for the values of a mirror column whose type changes: what MariaDB's MODIFY did to them at the source, as
 * near as PostgreSQL comes. `ref` is the quoted column. The statement fails where a value does not fit.
 */
export function castExpression(ref: string, from: StoredColumn, to: CastTarget, timeZone: string): string {
  const cast = describeCast(ref, { from, to, timeZone });
  const certain = certainCast(cast);
  if (certain !== null) return certain;
  const type = to.postgresType;
  if (cast.pair === 'text → timestamptz') return `(${ref}::timestamp AT TIME ZONE ${cast.zone})::${type}`;
  return directCasts.has(cast.pair) ? `${ref}::${type}` : `${textOf(ref, from, timeZone)}::${type}`;
}

/**
 * SQL that shows a value of an older history segment under the newest type, for the history view: what castExpression
 * made of it in the mirror. A value that does not fit becomes NULL there (it stays as it was in its segment): a view
 * that fails would show nothing at all.
 */
export function viewExpression(ref: string, from: StoredColumn, to: CastTarget, timeZone: string): string {
  const type = to.postgresType;
  if (from.postgresType === type) return ref;
  const cast = describeCast(ref, { from, to, timeZone });
  const certain = certainCast(cast);
  if (certain !== null) return certain;
  const base = baseType(type);
  const isNumber = numbers.includes(baseType(from.postgresType));
  const text = textOf(ref, from, timeZone);
  const tried = (as: string) => `afterimage.cast_or_null(${text}, NULL::${as})`;
  if (cast.pair === 'text → timestamptz') return `(${tried('timestamp')} AT TIME ZONE ${cast.zone})::${type}`;
  if (base === 'numeric') return fitDecimal(isNumber ? `${ref}::numeric` : tried('numeric'), ref, to, isNumber);
  const range = integerRanges[base];
  if (isNumber && range !== undefined) return fitInteger(ref, from, type, range);
  // cast_or_null knows nothing of lengths; none of these fails over one.
  return `${tried(type)}::${type}`;
}

function describeCast(
  ref: string,
  { from, to, timeZone }: { readonly from: StoredColumn; readonly to: CastTarget; readonly timeZone: string },
): Cast {
  const pair = `${baseType(from.postgresType)} → ${baseType(to.postgresType)}`;
  return { ref, from, to, zone: quoteLiteral(timeZone), pair };
}

/** The casts that every value survives; null for others. */
function certainCast({ ref, from, to, zone, pair }: Cast): string | null {
  const type = to.postgresType;
  const [before = '', after = ''] = pair.split(' → ');
  switch (pair) {
    case 'timestamp → timestamptz':
    case 'timestamptz → timestamp':
    case 'timestamptz → date':
      return `(${ref} AT TIME ZONE ${zone})::${type}`;
    case 'timestamp → date':
    case 'date → timestamp':
      return `${ref}::${type}`;
    case 'date → timestamptz':
      return `(${ref}::timestamp AT TIME ZONE ${zone})::${type}`;
    case 'text → bytea':
      return `convert_to(${ref}, 'UTF8')`;
    default:
      if (after === 'text') return labelsOf(ref, from, to) ?? textIn(ref, from, zone);
      return isWidening(before, after, type) ? `${ref}::${type}` : null;
  }
}

/** The text of any value, which never fails. */
export function textOf(ref: string, from: StoredColumn, timeZone: string): string {
  return textIn(ref, from, quoteLiteral(timeZone));
}

function textIn(ref: string, from: StoredColumn, zone: string): string {
  switch (baseType(from.postgresType)) {
    case 'bytea':
      return bytesAsText(ref);
    case 'timestamptz':
      return `(${ref} AT TIME ZONE ${zone})::text`;
    default:
      return `${ref}::text`;
  }
}

/** An enum or set whose labels have become known: its index or bitmap becomes them. */
function labelsOf(ref: string, from: StoredColumn, to: CastTarget): string | null {
  const isNumber = numbers.includes(baseType(from.postgresType));
  const word = ['enum', 'set'].find((type) => from.sourceType === type && to.sourceType.startsWith(`${type}(`));
  if (!isNumber || word === undefined) return null;
  const labels = (parseMariaType(to.sourceType).labels ?? []).map(quoteLiteral);
  if (word === 'enum') return `CASE WHEN ${ref} = 0 THEN '' ELSE (ARRAY[${labels.join(', ')}]::text[])[${ref}] END`;
  // No subquery: ALTER TABLE takes none.
  const members = labels.map((label, i) => `CASE WHEN mod(div(${ref}, ${2n ** BigInt(i)}), 2) = 1 THEN ${label} END`);
  return `CASE WHEN ${ref} < ${2n ** BigInt(labels.length)} THEN concat_ws(',', ${members.join(', ')}) END`;
}

const aliases: Readonly<Record<string, string>> = {
  int: 'integer',
  int2: 'smallint',
  int4: 'integer',
  int8: 'bigint',
  decimal: 'numeric',
  float4: 'real',
  float8: 'double precision',
  'timestamp without time zone': 'timestamp',
  'timestamp with time zone': 'timestamptz',
};

/** numeric(10,2) → numeric, int8 → bigint */
function baseType(type: string): string {
  const base = type.replace(/ *\(.*\)/, '').toLowerCase();
  return aliases[base] ?? base;
}

const numbers = ['smallint', 'integer', 'bigint', 'numeric', 'real', 'double precision'];

/** Pairs with a cast of their own in PostgreSQL; every other pair goes through text. */
const directCasts = new Set(numbers.flatMap((from) => numbers.map((to) => `${from} → ${to}`)));

function isWidening(from: string, to: string, type: string): boolean {
  const [a, b] = [numbers.indexOf(from), numbers.indexOf(to)];
  // Another length or precision of the same type; that of numeric(5,2) does not hold every number.
  if (from === to) return a < 0;
  return a >= 0 && a < b && to !== 'real' && !(to === 'numeric' && type.includes('('));
}

const integerRanges: Readonly<Record<string, readonly [bigint, bigint]>> = {
  smallint: [-(2n ** 15n), 2n ** 15n - 1n],
  integer: [-(2n ** 31n), 2n ** 31n - 1n],
  bigint: [-(2n ** 63n), 2n ** 63n - 1n],
};

/** Rounded as PostgreSQL's cast rounds; NULL where it would fail. A real is compared as the double it is. */
function fitInteger(ref: string, from: StoredColumn, type: string, [low, high]: readonly [bigint, bigint]): string {
  const exact = baseType(from.postgresType) === 'real' ? `${ref}::float8` : ref;
  return `CASE WHEN round(${exact}::numeric) BETWEEN ${low} AND ${high} THEN ${ref}::${type} END`;
}

function fitDecimal(number: string, ref: string, to: CastTarget, isNumber: boolean): string {
  const [digits, scale = 0] = [...to.postgresType.matchAll(/\d+(?=[ ,)])/g)].map(Number);
  const value = isNumber ? ref : number;
  if (digits === undefined) return `${value}::${to.postgresType}`;
  const limit = `1e${digits - scale}`;
  return `CASE WHEN abs(round(${number}, ${scale})) < ${limit} THEN ${value}::${to.postgresType} END`;
}
