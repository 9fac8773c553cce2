import type { ColumnKnowledge as SourceColumn, TableKnowledge } from '@afterimage/mariadb';
import type { ColumnKnowledge } from '../types/index.js';

/** What the types need to know of a column. The configuration goes before what MariaDB says. */
export function knowColumn(configured: ColumnKnowledge | undefined, column: SourceColumn | undefined): ColumnKnowledge {
  return {
    type: configured?.type ?? (column === undefined ? undefined : typeOf(column)),
    charset: configured?.charset ?? (column === undefined ? undefined : charsetOf(column)),
    postgres: configured?.postgres,
  };
}

function typeOf({ type, definition }: SourceColumn): string | undefined {
  if (type.kind === 'other') return undefined;
  return type.kind === 'text' && type.isJson ? 'json' : definition.replaceAll(/\/\*.*?\*\//gs, ' ');
}

function charsetOf({ type }: SourceColumn): string | undefined {
  return type.kind === 'text' ? type.charset : undefined;
}

/** Character sets whose text arrives as it is. */
const plainCharsets = new Set(['utf8', 'utf8mb3', 'utf8mb4', 'ascii']);

/**
 * Whether every value of such a column can be told from every other in the stream. Only then may it be part of a key:
 * two rows would become one otherwise.
 */
export function isExactInStream({ type }: SourceColumn): boolean {
  switch (type.kind) {
    case 'integer':
    case 'date':
    case 'year':
    case 'datetime':
    case 'timestamp':
    case 'float':
    case 'enum':
    case 'set':
      return true;
    case 'decimal':
      return type.precision <= 15 && type.precision - type.scale <= 9 && type.scale <= 9;
    case 'text':
      return plainCharsets.has(type.charset) && !type.isJson && !type.isCompressed;
    default:
      return false;
  }
}

/**
 * The key that MariaDB gives a table, by the names of the stream; null where it has none, or one with a column whose
 * values the stream bends.
 */
export function keyOfKnowledge({ key, columns }: TableKnowledge): string[] | null {
  const byName = new Map(columns.map((column) => [column.name, column]));
  const parts = key?.columns.map((name) => byName.get(name)) ?? [];
  const usable = parts.flatMap((column) =>
    column !== undefined && isExactInStream(column) ? [column.streamName] : [],
  );
  return usable.length === 0 || usable.length < parts.length ? null : usable;
}
