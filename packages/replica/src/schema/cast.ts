import { quoteLiteral } from '../names.js';
import { parseMariaType } from '../types/index.js';
import type { StoredColumn } from '../control/tables.js';
import type { TargetColumn } from './target.js';

/**
 * SQL for the values of a mirror column whose type changes: what MariaDB's MODIFY did to them at the source, as
 * near as PostgreSQL comes. `ref` is the quoted column. The statement fails where a value does not fit.
 */
export function castExpression(ref: string, from: StoredColumn, to: TargetColumn, timeZone: string): string {
  const pair = `${baseType(from.postgresType)} → ${baseType(to.mappedType)}`;
  switch (pair) {
    case 'timestamp → timestamptz':
    case 'timestamptz → timestamp':
      return `${ref} AT TIME ZONE ${quoteLiteral(timeZone)}`;
    case 'bytea → text':
      return `convert_from(${ref}, 'UTF8')`;
    case 'text → bytea':
      return `convert_to(${ref}, 'UTF8')`;
    case 'integer → text':
      return labelsOf(from, to) ?? `${ref}::text`;
    default:
      return directCasts.has(pair) ? `${ref}::${to.mappedType}` : `${ref}::text::${to.mappedType}`;
  }

  /** An enum whose labels have become known: its indexes become them. */
  function labelsOf(before: StoredColumn, after: TargetColumn): string | null {
    if (!before.sourceType.startsWith('enum') || !after.sourceType.startsWith('enum(')) return null;
    const labels = parseMariaType(after.sourceType).labels ?? [];
    const array = `(ARRAY[${labels.map(quoteLiteral).join(', ')}]::text[])`;
    return `CASE WHEN ${ref} = 0 THEN '' ELSE ${array}[${ref}] END`;
  }
}

/** numeric(10,2) → numeric */
function baseType(type: string): string {
  return type.replace(/\(.*\)/, '').trim();
}

const numbers = ['smallint', 'integer', 'bigint', 'numeric', 'real', 'double precision'];

/** Pairs with a cast of their own in PostgreSQL; every other pair goes through text. */
const directCasts = new Set([
  ...numbers.flatMap((from) => numbers.map((to) => `${from} → ${to}`)),
  'date → timestamp',
  'timestamp → date',
  'timestamp → timestamp',
  'timestamptz → timestamptz',
  'interval → interval',
]);

/**
 * SQL that shows a value of an older history segment under the newest type, for the history view. A value that
 * does not fit becomes NULL there (it stays as it was in its segment): a view that fails would show nothing at all.
 */
export function viewExpression(ref: string, from: string, to: string): string {
  if (from === to) return ref;
  if (to === 'text') return from === 'bytea' ? `encode(${ref}, 'escape')` : `${ref}::text`;
  if (isWidening(baseType(from), baseType(to))) return `${ref}::${to}`;
  return `afterimage.cast_or_null(${ref}::text, NULL::${to})`;
}

function isWidening(from: string, to: string): boolean {
  const a = numbers.indexOf(from);
  const b = numbers.indexOf(to);
  return (a >= 0 && a < b && to !== 'real') || (from === 'date' && to === 'timestamp');
}
