import { isSubsequence, toCanonical } from './canonical.js';
import type { ColumnKnowledge, TableKnowledge } from './table-knowledge.js';

/**
 * What the columns of `before` are in `after`, by the name that they had; one that is missing is gone, or cannot be told.
 *
 * MariaDB gives columns no number of their own, so a name may have gone over to another column: `RENAME COLUMN a TO b, b TO a`
 * looks like two columns that changed places, and `DROP b, RENAME COLUMN a TO b` like `DROP a`. A rename keeps the type. So
 * where all names are there in their order, perhaps with others between them, each is the column that it was; else this is
 * said of the types alone of which all names are there in their order. It is assumed that a column which was added
 * is not renamed before anybody has looked.
 */
export function followColumns(before: TableKnowledge, after: TableKnowledge): Map<string, ColumnKnowledge> {
  const now = new Map(after.columns.map((column) => [column.name, column]));
  const follow = (columns: readonly ColumnKnowledge[]): [string, ColumnKnowledge][] =>
    columns.flatMap(({ name }) => {
      const column = now.get(name);
      return column === undefined ? [] : [[name, column]];
    });
  if (isSubsequence(namesOf(before.columns), namesOf(after.columns))) return new Map(follow(before.columns));
  const later = groupByType(after.columns);
  return new Map(
    [...groupByType(before.columns)].flatMap(([type, columns]) =>
      isSubsequence(namesOf(columns), namesOf(later.get(type) ?? [])) ? follow(columns) : [],
    ),
  );
}

/** The same over several readings in the order in which they were made: a name may go to another column and come back. */
export function followThrough(readings: readonly TableKnowledge[]): Map<string, ColumnKnowledge> {
  const [first, ...others] = readings;
  if (first === undefined) return new Map();
  let before = first;
  let followed = new Map(first.columns.map((column) => [column.name, column]));
  for (const after of others) {
    const step = followColumns(before, after);
    followed = new Map(
      [...followed].flatMap(([name, { name: then }]) => {
        const column = step.get(then);
        return column === undefined ? [] : [[name, column]];
      }),
    );
    before = after;
  }
  return followed;
}

const namesOf = (columns: readonly ColumnKnowledge[]): string[] => columns.map(({ name }) => name);

function groupByType(columns: readonly ColumnKnowledge[]): Map<string, ColumnKnowledge[]> {
  const groups = new Map<string, ColumnKnowledge[]>();
  for (const column of columns) {
    const type = toCanonical(column.type);
    groups.set(type, [...(groups.get(type) ?? []), column]);
  }
  return groups;
}
