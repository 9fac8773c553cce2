import { toCanonical } from './canonical.js';
import { followColumns } from './followed-columns.js';
import type { ColumnKnowledge, TableKnowledge } from './table-knowledge.js';

/** Something that changed at a table; MaxScale's stream tells of none of these, or not of what it did to the rows. */
export interface TableChange {
  /**
   * `filled`: a column was added, whose values in the rows that were there cannot be told for certain from its definition.
   * `modified`: a column was altered, which may have changed values.
   * `renamed`: a column has another name at the same place, or names are in another order: columns were renamed, or moved.
   * `described`: labels added, comments, defaults, indexes, columns dropped: nothing that changes values.
   */
  readonly kind: 'filled' | 'modified' | 'renamed' | 'described';
  /** What changed, in words. */
  readonly detail: string;
}

/** What changed between two states of a table. */
export function describeTableChanges(before: TableKnowledge, after: TableKnowledge): TableChange[] {
  const former = new Map(before.columns.map((column) => [column.name, column]));
  const now = new Set(after.columns.map(({ name }) => name));
  const renamed = findRenamed(before, after);
  const moved = findMoved(before, after);
  const changes = after.columns.flatMap((column): TableChange[] => {
    const from = renamed.get(column.name);
    if (from !== undefined) return [{ kind: 'renamed', detail: `column ${from.name} is called ${column.name} now` }];
    if (moved.includes(column.name)) return [];
    const there = former.get(column.name);
    return there === undefined ? [describeAdded(column)] : describeAltered(there, column);
  });
  const gone = new Set([...renamed.values()].map(({ name }) => name));
  const dropped = before.columns
    .filter(({ name }) => !now.has(name) && !gone.has(name))
    .map(({ name }): TableChange => ({ kind: 'described', detail: `column ${name} was dropped` }));
  const exchanged: TableChange[] =
    moved.length === 0
      ? []
      : [{ kind: 'renamed', detail: `columns ${moved.join(', ')} have exchanged their names or their places` }];
  const found = [...changes, ...dropped, ...exchanged];
  if (found.length > 0 || toCanonical(before) === toCanonical(after)) return found;
  return [{ kind: 'described', detail: 'comments, defaults, order, key or indexes changed' }];
}

/** By its new name, each column that has a name which was not there, at the place of one whose name is not there any more. */
function findRenamed(before: TableKnowledge, after: TableKnowledge): Map<string, ColumnKnowledge> {
  if (before.columns.length !== after.columns.length) return new Map();
  const former = new Set(before.columns.map(({ name }) => name));
  const now = new Set(after.columns.map(({ name }) => name));
  return new Map(
    after.columns.flatMap((column, place): [string, ColumnKnowledge][] => {
      const there = before.columns[place];
      const isRenamed = there !== undefined && !former.has(column.name) && !now.has(there.name);
      return isRenamed && there.type.kind === column.type.kind ? [[column.name, there]] : [];
    }),
  );
}

/** Names that are there before and after, in another order, of columns that cannot be told apart by their types. */
function findMoved(before: TableKnowledge, after: TableKnowledge): string[] {
  const followed = followColumns(before, after);
  const common = (one: TableKnowledge, other: TableKnowledge): string[] => {
    const names = new Set(other.columns.map(({ name }) => name));
    return one.columns.flatMap(({ name }) => (names.has(name) ? [name] : []));
  };
  const order = common(before, after);
  return common(after, before).filter((name, place) => name !== order[place] && !followed.has(name));
}

/** The rows that were there have the default of when it was added, which may be another one now. */
function describeAdded({ name }: ColumnKnowledge): TableChange {
  return { kind: 'filled', detail: `column ${name} was added, which gave a value to the rows that were there` };
}

function describeAltered(from: ColumnKnowledge, to: ColumnKnowledge): TableChange[] {
  if (from.definition !== to.definition && isOnlyMoreLabels(from, to))
    return [{ kind: 'described', detail: `column ${to.name} has more labels` }];
  const values = ({ definition, type, generated, isNullable }: ColumnKnowledge) =>
    toCanonical([definition, type, generated, isNullable]);
  // From NOT NULL to NULL alone changes no value.
  const wider = { ...from, isNullable: to.isNullable || from.isNullable };
  if (values(wider) === values(to)) return [];
  return [{ kind: 'modified', detail: `column ${to.name}: ${from.definition} became ${to.definition}` }];
}

function isOnlyMoreLabels({ type: from }: ColumnKnowledge, { type: to }: ColumnKnowledge): boolean {
  if ((from.kind !== 'enum' && from.kind !== 'set') || from.kind !== to.kind) return false;
  return from.labels.every((label, i) => to.labels[i] === label);
}
