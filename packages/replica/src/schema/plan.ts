import type { SchemaStep, StoredColumn } from '../control/tables.js';
import { StreamHalted } from '../errors.js';
import type { RenamePolicy } from '../settings.js';
import { listedLabels } from './labels.js';
import type { TargetColumn, TargetSchema } from './target.js';

/** One change to the mirror, in the order in which the changes must be made. */
export type Change =
  | { readonly kind: 'create' }
  | { readonly kind: 'recreate' }
  | { readonly kind: 'unkey'; readonly key: readonly string[] | null }
  | { readonly kind: 'drop'; readonly column: StoredColumn }
  | { readonly kind: 'rename'; readonly from: StoredColumn; readonly to: TargetColumn }
  | { readonly kind: 'retype'; readonly from: StoredColumn; readonly to: TargetColumn }
  /** Its enum type comes, changes or goes. */
  | { readonly kind: 'relabel'; readonly from: StoredColumn; readonly to: TargetColumn }
  | { readonly kind: 'add'; readonly column: TargetColumn }
  | { readonly kind: 'rekey'; readonly key: readonly string[] | null }
  | { readonly kind: 'reorder' };

export interface CurrentSchema {
  readonly columns: readonly StoredColumn[];
  readonly key: readonly string[] | null;
}

/**
 * What must change in a mirror so that it fits `target`; pure. Nothing to do gives an empty list.
 *
 * A table that shares no column with the one before was dropped and created anew: no value of an old row can
 * still be true, so the mirror starts empty (`recreate`). Throws StreamHalted RENAME_UNDECIDED under policy `halt`.
 */
export function planSchemaChange(current: CurrentSchema | null, target: TargetSchema, rename: RenamePolicy): Change[] {
  if (current === null) return [{ kind: 'create' }, { kind: 'rekey', key: target.key }];
  const before = new Map(current.columns.map((column) => [column.name, column]));
  const wanted = new Set(target.columns.map((column) => column.name));
  const kept = target.columns.filter((column) => before.has(column.name));
  const recreated = kept.length === 0;

  const renames = recreated ? [] : inferRenames(current, target, rename);
  const renamedFrom = new Set(renames.map(({ from }) => from.name));
  const renamedTo = new Set(renames.map(({ to }) => to.name));
  const drops = current.columns.filter((column) => !wanted.has(column.name) && !renamedFrom.has(column.name));
  const adds = target.columns.filter((column) => !before.has(column.name) && !renamedTo.has(column.name));
  const formerOf = new Map([...before, ...renames.map(({ from, to }) => [to.name, from] as const)]);
  const retypes = target.columns.flatMap((to) => {
    const from = formerOf.get(to.name);
    return from !== undefined && from.mappedType !== to.mappedType ? [{ kind: 'retype' as const, from, to }] : [];
  });

  const relabels = target.columns.flatMap((to) => {
    const from = formerOf.get(to.name);
    const isSame = from === undefined || JSON.stringify(listedLabels(from)) === JSON.stringify(listedLabels(to));
    return isSame ? [] : [{ kind: 'relabel' as const, from, to }];
  });

  const realNames = kept.flatMap((to) => {
    const from = before.get(to.name);
    return from !== undefined && from.mirror !== to.mirror ? [{ kind: 'rename' as const, from, to }] : [];
  });

  const changes: Change[] = [
    ...(recreated ? [{ kind: 'recreate' as const }] : []),
    ...drops.map((column) => ({ kind: 'drop' as const, column })),
    ...renames,
    ...realNames,
    // Casts are of text.
    ...relabels.filter(({ to }) => to.labels !== 'enum'),
    ...retypes,
    ...relabels.filter(({ to }) => to.labels === 'enum'),
    ...adds.map((column) => ({ kind: 'add' as const, column })),
  ];
  const rekeyed = changesKey(current, target, [...renames, ...realNames]) || recreated;
  const reordered = changes.length === 0 && isReordered(current.columns, target.columns);
  if (reordered) changes.push({ kind: 'reorder' });
  // A key is taken off before its columns go, and a whole-row index is built over the new columns in their new order.
  if (rekeyed || (target.key === null && changes.length > 0)) {
    return [{ kind: 'unkey', key: current.key }, ...changes, { kind: 'rekey', key: target.key }];
  }
  return changes;
}

type Rename = Extract<Change, { kind: 'rename' }>;

/**
 * One column out and one in, at the same place and of the same type, as often as columns left and came. A key column may
 * change its type besides: rows without it could not be told apart.
 */
function inferRenames(current: CurrentSchema, target: TargetSchema, policy: RenamePolicy): Rename[] {
  if (policy === 'drop-add') return [];
  const before = new Set(current.columns.map((column) => column.name));
  const after = new Set(target.columns.map((column) => column.name));
  const left = current.columns.filter((column) => !after.has(column.name));
  const came = target.columns.filter((column) => !before.has(column.name));
  if (left.length !== came.length) return [];
  const isSameKey = (from: StoredColumn, to: TargetColumn) => {
    const place = current.key?.indexOf(from.mirror) ?? -1;
    return place >= 0 && target.key?.[place] === to.mirror;
  };
  const renames = current.columns.flatMap((from, place): Rename[] => {
    const to = target.columns[place];
    if (to === undefined || after.has(from.name) || before.has(to.name)) return [];
    return from.mappedType === to.mappedType || isSameKey(from, to) ? [{ kind: 'rename', from, to }] : [];
  });
  const [first] = renames;
  if (policy === 'halt' && first !== undefined) {
    throw new StreamHalted(
      'RENAME_UNDECIDED',
      `column ${JSON.stringify(first.from.name)} left and ${JSON.stringify(first.to.name)} came at its place. ` +
        'Set "rename" for this table to "infer" (it was renamed: keep the values) or "drop-add" (it is another column) and restart the writers.',
    );
  }
  return renames;
}

function changesKey(current: CurrentSchema, target: TargetSchema, renames: readonly Rename[]): boolean {
  const newName = new Map(renames.map(({ from, to }) => [from.mirror, to.mirror]));
  const currentKey = current.key?.map((name) => newName.get(name) ?? name) ?? null;
  return JSON.stringify(currentKey) !== JSON.stringify(target.key);
}

function isReordered(current: readonly StoredColumn[], target: readonly TargetColumn[]): boolean {
  return target.some((column, place) => current[place]?.name !== column.name);
}

/** The words for a change in the record of schema versions; `statement` is what was run for it. */
export function describeChange(change: Exclude<Change, { kind: 'relabel' }>, statement: string | null): SchemaStep {
  switch (change.kind) {
    case 'create':
      return { kind: 'create', column: null, detail: 'mirror table created', statement };
    case 'recreate':
      return { kind: 'recreate', column: null, detail: 'no column is left of the former table: emptied', statement };
    case 'unkey':
      return { kind: 'rekey', column: null, detail: 'row identity removed', statement };
    case 'drop':
      return { kind: 'drop', column: change.column.name, detail: `${change.column.postgresType} dropped`, statement };
    case 'rename':
      return {
        kind: 'rename',
        column: change.to.name,
        detail: `renamed from ${change.from.mirror === change.to.mirror ? change.from.name : change.from.mirror}`,
        statement,
      };
    case 'retype':
      return {
        kind: 'retype',
        column: change.to.name,
        detail: `${change.from.postgresType} → ${change.to.mappedType}`,
        statement,
      };
    case 'add':
      return { kind: 'add', column: change.column.name, detail: `${change.column.mappedType} added`, statement };
    case 'rekey':
      return {
        kind: 'rekey',
        column: null,
        detail: change.key === null ? 'rows matched whole' : `key (${change.key.join(', ')})`,
        statement,
      };
    case 'reorder':
      return { kind: 'reorder', column: null, detail: 'column order at the source', statement };
  }
}
