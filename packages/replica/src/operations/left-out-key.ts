import type { TableKnowledge } from '@afterimage/mariadb';
import { keyOfKnowledge } from '../schema/knowledge.js';

/** A key that MariaDB has and the mirror does without. */
export interface LeftOutKey {
  /** Names at the source. */
  readonly columns: readonly string[];
  /** The stream bends values of it, or does not have all of its columns; or rows of the mirror do not have it. */
  readonly cause: 'bent' | 'absent' | 'refused';
}

/** Why a mirror without a key is without the one that is known; null where none is known. `columns`: those of the stream. */
export function explainKeyless(knowledge: TableKnowledge | null, columns: readonly string[]): LeftOutKey | null {
  if (knowledge === null || knowledge.key === null) return null;
  const usable = keyOfKnowledge(knowledge);
  const isPresent = usable?.every((name) => columns.includes(name)) === true;
  const cause = usable === null ? 'bent' : isPresent ? 'refused' : 'absent';
  return { columns: knowledge.key.columns, cause };
}

const causes = {
  bent: 'the stream does not carry every value of it exactly',
  absent: 'the stream has not told of all its columns yet',
  refused: 'rows of the mirror do not have it',
};

/** What the operator should know of it, and what cures it. `table`: `database.table`. */
export function describeLeftOutKey(
  { columns, cause }: LeftOutKey,
  table: string,
): { readonly text: string; readonly fix: string } {
  const key = columns.join(', ');
  const fixes = {
    bent: 'give the table a key of integers, dates or UTF-8 text, or name it as `key` in the configuration if its values are harmless',
    absent: 'nothing: the first row that changes brings them',
    refused: `afterimage snapshot ${table}, then key: [${key}] of the table in the configuration, and restart reader and writers`,
  };
  const loss = 'rows are matched whole, which is slower, and lost values are not looked up';
  return { text: `MariaDB's key (${key}) is not used, because ${causes[cause]}: ${loss}`, fix: fixes[cause] };
}
