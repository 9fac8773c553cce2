import type { ColumnKnowledge, IndexKnowledge, IndexPart, KeyKnowledge } from './table-knowledge.js';

/** One column of an index, as information_schema.STATISTICS lists them. */
export interface IndexColumn {
  readonly name: string;
  readonly isUnique: boolean;
  readonly method: string;
  readonly part: IndexPart;
}

/** Indexes from their columns, which come one index after another and in each index's order. */
export function groupIndexes(columns: readonly IndexColumn[]): IndexKnowledge[] {
  const indexes = new Map<string, IndexKnowledge & { readonly parts: IndexPart[] }>();
  for (const { name, isUnique, method, part } of columns) {
    const known = indexes.get(name);
    if (known === undefined) indexes.set(name, { name, isUnique, method, parts: [part] });
    else known.parts.push(part);
  }
  return [...indexes.values()];
}

/**
 * What identifies a row: the primary key, else the unique key with the fewest columns, all of them NOT NULL; of several
 * the first by name. A prefix that is unique makes the whole value unique.
 */
export function chooseKey(
  indexes: readonly IndexKnowledge[],
  columns: readonly ColumnKnowledge[],
): KeyKnowledge | null {
  const nullable = new Set(columns.filter(({ isNullable }) => isNullable).map(({ name }) => name));
  const namesOf = ({ parts }: IndexKnowledge): string[] => parts.map(({ column }) => column);
  const primary = indexes.find(({ name }) => name === 'PRIMARY');
  if (primary !== undefined) return { kind: 'primary', columns: namesOf(primary) };
  const [unique] = indexes
    .filter((index) => index.isUnique && namesOf(index).every((name) => !nullable.has(name)))
    .toSorted((one, other) => one.parts.length - other.parts.length);
  return unique === undefined ? null : { kind: 'unique', columns: namesOf(unique) };
}
