import { toStreamName } from '@afterimage/mariadb';
import type { SchemaStep, StoredColumn } from '../control/tables.js';
import { StreamHalted } from '../errors.js';
import type { RenamePolicy } from '../settings.js';
import { listedLabels } from './labels.js';
import type { Followed } from './origins.js';
import type { TargetColumn, TargetSchema } from './target.js';

/** One change to the mirror, in the order in which the changes must be made. */
export type Change =
  | { readonly kind: 'create' }
  | { readonly kind: 'recreate' }
  | { readonly kind: 'unkey'; readonly key: readonly string[] | null }
  | { readonly kind: 'drop'; readonly column: StoredColumn }
  /** `aside`: the name that it was given meanwhile, where its new one was still another column's. */
  | { readonly kind: 'rename'; readonly from: StoredColumn; readonly to: TargetColumn; readonly aside?: string }
  | { readonly kind: 'set-aside'; readonly column: StoredColumn; readonly aside: string }
  | { readonly kind: 'retype'; readonly from: StoredColumn; readonly to: TargetColumn }
  /** Its enum type comes, changes or goes. */
  | { readonly kind: 'relabel'; readonly from: StoredColumn; readonly to: TargetColumn }
  | { readonly kind: 'add'; readonly column: TargetColumn }
  | { readonly kind: 'rekey'; readonly key: readonly string[] | null }
  | { readonly kind: 'reorder' };

export interface CurrentSchema {
  readonly columns: readonly StoredColumn[];
  readonly key: readonly string[] | null;
  /** What the columns of MariaDB that they were are by the knowledge of the target; absent: not known. */
  readonly followed?: Followed;
}

/**
 * What must change in a mirror so that it fits `target`; pure. Nothing to do gives an empty list.
 *
 * A table that shares no column with the one before was dropped and created anew: no value of an old row can
 * still be true, so the mirror starts empty (`recreate`). Throws StreamHalted RENAME_UNDECIDED under policy `halt`.
 */
export function planSchemaChange(current: CurrentSchema | null, target: TargetSchema, rename: RenamePolicy): Change[] {
  if (current === null) return [{ kind: 'create' }, { kind: 'rekey', key: target.key }];
  const formers = findFormers(current, target);
  const recreated = formers.size === 0;
  for (const { from, to } of inferRenames(current, target, { formers, policy: rename })) formers.set(to.name, from);
  const stayed = new Set(formers.values());
  const drops = current.columns.filter((column) => !stayed.has(column));
  const adds = target.columns.filter(({ name }) => !formers.has(name));
  const { renames, retypes, relabels } = compareKept(formers, target);

  const changes: Change[] = [
    ...(recreated ? [{ kind: 'recreate' as const }] : []),
    ...drops.map((column) => ({ kind: 'drop' as const, column })),
    ...orderRenames(renames, [...current.columns, ...target.columns]),
    // Casts are of text.
    ...relabels.filter(({ to }) => to.labels !== 'enum'),
    ...retypes,
    ...relabels.filter(({ to }) => to.labels === 'enum'),
    ...adds.map((column) => ({ kind: 'add' as const, column })),
  ];
  const rekeyed = changesKey(current, target, renames) || recreated;
  const reordered = changes.length === 0 && isReordered(current.columns, target.columns);
  if (reordered) changes.push({ kind: 'reorder' });
  // A key is taken off before its columns go, and a whole-row index is built over the new columns in their new order.
  if (rekeyed || (target.key === null && changes.length > 0)) {
    return [{ kind: 'unkey', key: current.key }, ...changes, { kind: 'rekey', key: target.key }];
  }
  return changes;
}

type Rename = Extract<Change, { kind: 'rename' }>;

type Retype = Extract<Change, { kind: 'retype' }>;
type Relabel = Extract<Change, { kind: 'relabel' }>;

function compareKept(
  formers: ReadonlyMap<string, StoredColumn>,
  { columns }: TargetSchema,
): { renames: Rename[]; retypes: Retype[]; relabels: Relabel[] } {
  const kept = columns.flatMap((to) => {
    const from = formers.get(to.name);
    return from === undefined ? [] : [{ from, to }];
  });
  return {
    renames: kept
      .filter(({ from, to }) => from.name !== to.name || from.mirror !== to.mirror)
      .map((pair) => ({ kind: 'rename', ...pair })),
    retypes: kept
      .filter(({ from, to }) => from.mappedType !== to.mappedType)
      .map((pair) => ({ kind: 'retype', ...pair })),
    relabels: kept
      .filter(({ from, to }) => JSON.stringify(listedLabels(from)) !== JSON.stringify(listedLabels(to)))
      .map((pair) => ({ kind: 'relabel', ...pair })),
  };
}

/**
 * The column of before that each target column is, by its name in the stream. Where the stream's fields changed, the
 * columns of MariaDB that they are go before their names, which RENAME COLUMN may have made wrong.
 */
function findFormers({ columns, followed }: CurrentSchema, target: TargetSchema): Map<string, StoredColumn> {
  const namesake = new Map(columns.map((column) => [column.name, column]));
  const isStill =
    columns.length === target.columns.length && target.columns.every(({ name }, i) => columns[i]?.name === name);
  // Where the stream's names are known to be wrong, MariaDB's tell more.
  const isAstray = columns.some(({ name, source }) => toStreamName(source ?? name) !== name);
  const bySource = new Map(
    columns.flatMap((column): [string, StoredColumn][] => {
      const source = column.source ?? null;
      if (isStill || source === null) return [];
      const now = followed?.get(source)?.name ?? (isAstray ? source : undefined);
      return now === undefined ? [] : [[now, column]];
    }),
  );
  const found = new Map<string, StoredColumn>();
  for (const { name, known, isCertain } of target.columns) {
    const former = isCertain && known !== null ? bySource.get(known.name) : undefined;
    if (former !== undefined) found.set(name, former);
  }
  const taken = new Set(found.values());
  for (const { name } of target.columns) {
    const former = namesake.get(name);
    if (former !== undefined && !found.has(name) && !taken.has(former)) found.set(name, former);
  }
  return found;
}

/**
 * One column out and one in, at the same place and of the same type, as often as columns left and came. A key column may
 * change its type besides: rows without it could not be told apart.
 */
function inferRenames(
  current: CurrentSchema,
  target: TargetSchema,
  { formers, policy }: { readonly formers: ReadonlyMap<string, StoredColumn>; readonly policy: RenamePolicy },
): Rename[] {
  if (policy === 'drop-add' || formers.size === 0) return [];
  const stayed = new Set(formers.values());
  const left = current.columns.filter((column) => !stayed.has(column));
  const came = target.columns.filter(({ name }) => !formers.has(name));
  if (left.length !== came.length) return [];
  const isSameKey = (from: StoredColumn, to: TargetColumn) => {
    const place = current.key?.indexOf(from.mirror) ?? -1;
    return place >= 0 && target.key?.[place] === to.mirror;
  };
  const renames = current.columns.flatMap((from, place): Rename[] => {
    const to = target.columns[place];
    if (to === undefined || stayed.has(from) || formers.has(to.name)) return [];
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

/** So that no name is given that another column still has; of a ring, one column is set aside first. */
function orderRenames(renames: readonly Rename[], all: readonly { readonly mirror: string }[]): Change[] {
  const ordered: Change[] = [];
  const nameOf = ({ from, aside }: Rename): string => aside ?? from.mirror;
  for (let left = [...renames]; left.length > 0;) {
    const isFree = (one: Rename): boolean => left.every((other) => other === one || nameOf(other) !== one.to.mirror);
    const free = left.filter(isFree);
    ordered.push(...free);
    left = left.filter((one) => !free.includes(one));
    const [first] = left;
    if (free.length > 0 || first === undefined) continue;
    const aside = freeName(all);
    ordered.push({ kind: 'set-aside', column: first.from, aside });
    left = [{ ...first, aside }, ...left.slice(1)];
  }
  return ordered;
}

function freeName(all: readonly { readonly mirror: string }[]): string {
  let name = 'afterimage_aside';
  while (all.some(({ mirror }) => mirror === name)) name += '_';
  return name;
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
    case 'set-aside': {
      const { column, aside } = change;
      return { kind: 'rename', column: column.name, detail: `called ${aside} while names are exchanged`, statement };
    }
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
