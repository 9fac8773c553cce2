import type { ColumnKnowledge, TableKnowledge } from './table-knowledge.js';

/** Something that changed at a table; MaxScale's stream tells of none of these, or not of what it did to the rows. */
export interface TableChange {
  /**
   * `filled`: a column was added whose values in the rows that were there cannot be told from its definition.
   * `modified`: a column was altered, which may have changed values.
   * `renamed`: a column has another name at the same place.
   * `described`: labels added, comments, defaults, indexes, columns added or dropped: nothing that changes values.
   */
  readonly kind: 'filled' | 'modified' | 'renamed' | 'described';
  /** What changed, in words. */
  readonly detail: string;
}

/** What changed between two states of a table. */
export function describeTableChanges(before: TableKnowledge, after: TableKnowledge): TableChange[] {
  const former = new Map(before.columns.map((column) => [column.name, column]));
  const now = new Set(after.columns.map(({ name }) => name));
  const renamed = new Map(
    before.columns.length === after.columns.length
      ? after.columns.flatMap((column, place): [string, ColumnKnowledge][] => {
          const there = before.columns[place];
          const isRenamed = there !== undefined && !former.has(column.name) && !now.has(there.name);
          return isRenamed && there.type.kind === column.type.kind ? [[column.name, there]] : [];
        })
      : [],
  );
  const changes = after.columns.flatMap((column): TableChange[] => {
    const from = renamed.get(column.name);
    if (from !== undefined) return [{ kind: 'renamed', detail: `column ${from.name} is called ${column.name} now` }];
    const there = former.get(column.name);
    return there === undefined ? [describeAdded(column)] : describeAltered(there, column);
  });
  const gone = [...renamed.values()].map(({ name }) => name);
  const dropped = before.columns
    .filter(({ name }) => !now.has(name) && !gone.includes(name))
    .map(({ name }): TableChange => ({ kind: 'described', detail: `column ${name} was dropped` }));
  const found = [...changes, ...dropped];
  if (found.length > 0 || toCanonical(before) === toCanonical(after)) return found;
  return [{ kind: 'described', detail: 'comments, defaults, order, key or indexes changed' }];
}

function describeAdded({ name, default: given, generated, isAutoIncrement }: ColumnKnowledge): TableChange {
  const isKnown = generated === null && !isAutoIncrement && (given.kind !== 'expression' || given.sql.startsWith("b'"));
  if (isKnown) return { kind: 'described', detail: `column ${name} was added` };
  return { kind: 'filled', detail: `column ${name} was added, with values of its own in the rows that were there` };
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

/** The same text for the same content, whatever order its members have: what comes from jsonb has another one. */
function toCanonical(value: unknown): string {
  return JSON.stringify(value, (_, member: unknown) =>
    typeof member === 'object' && member !== null && !Array.isArray(member)
      ? Object.fromEntries(Object.entries(member).sort(([a], [b]) => (a < b ? -1 : 1)))
      : member,
  );
}
