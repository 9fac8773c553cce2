import type { Field } from '@afterimage/change-events';
import {
  type ColumnKnowledge as SourceColumn,
  followThrough,
  isSubsequence,
  type TableKnowledge,
} from '@afterimage/mariadb';
import type { ClientBase } from 'pg';
import type { SchemaVersion } from './versions.js';

/** The column of MariaDB that a field of the stream is. */
export interface Origin {
  /** Null: none of its name is known. */
  readonly column: SourceColumn | null;
  /**
   * False: it is what a field of its name was before, else the column of the same name, which need not be it. No value may be
   * read from it.
   */
  readonly isCertain: boolean;
}

/** What the columns of the version in force are called by the knowledge that the origins are looked for in. */
export type Followed = ReadonlyMap<string, SourceColumn>;

export interface OriginEvidence {
  readonly table: TableKnowledge;
  /** The table was as `table` says when the fields' rows were written. */
  readonly isOfRows: boolean;
  /** Nothing else was seen of it between that and `table`. */
  readonly isNear: boolean;
  /** The version before, and what its columns are in `table`. */
  readonly before: Pick<SchemaVersion, 'fields' | 'columns' | 'knowledge'> | null;
  readonly followed: Followed;
}

/**
 * MaxScale reads rows by place and drops those of another number of columns, but its names are from DDL of which it does
 * not understand all: `RENAME COLUMN` changes none. So where the table is known as it was when the rows were written, or
 * where all names agree, each field is the column at its place, whatever its name. Where it is known as it was at another
 * time only, the stream's own names say which fields stayed, and MariaDB's names which columns did.
 */
export function findOrigins(fields: readonly Field[], evidence: OriginEvidence): Origin[] {
  const { table, isOfRows, isNear } = evidence;
  const { columns } = table;
  const isSame = isNear && isOfFields(fields, table);
  if (isSame || (isOfRows && columns.length === fields.length)) {
    return columns.map((column) => ({ column, isCertain: true }));
  }
  const followedBy = findStayed(fields, evidence);
  const names = columns.map(({ streamName }) => streamName);
  const isGrown = isNear && !followedBy.isAstray && isSubsequence(namesOf(fields), names);
  return fields.map(({ name }): Origin => {
    const known = followedBy.columns.get(name);
    if (known !== undefined) return { column: known, isCertain: true };
    const column = followedBy.likely.get(name) ?? columns[names.indexOf(name)] ?? null;
    return { column, isCertain: column !== null && isGrown && !followedBy.names.has(name) };
  });
}

interface Stayed {
  /** By the names of the fields that are the same as before: what they are, where it can be told. */
  readonly columns: Followed;
  /** What each is if it stayed: the mirror keeps its key and its types until more is known. */
  readonly likely: Followed;
  /** The names that the fields had before. */
  readonly names: ReadonlySet<string>;
  /** The stream has been seen to have other names than MariaDB. */
  readonly isAstray: boolean;
}

/**
 * A field with a name of before is the field of before, unless MaxScale has read the table's names anew meanwhile, or
 * took a name in ADD … AFTER for another column's: then names that were not MariaDB's change their meaning, and some
 * come in another order.
 */
function findStayed(fields: readonly Field[], { before, followed, table }: OriginEvidence): Stayed {
  if (before === null) return { columns: new Map(), likely: new Map(), names: new Set(), isAstray: false };
  const former = originsOf(before);
  const names = new Set(namesOf(before.fields));
  const isAstray = before.fields.some(({ name }, i) => (former[i]?.column?.streamName ?? name) !== name);
  const isStill = haveSameNames(before.fields, fields);
  const inOrder = (others: readonly string[]): boolean =>
    isSubsequence(
      namesOf(fields).filter((name) => others.includes(name)),
      others,
    );
  const isOrdered = inOrder(namesOf(before.fields)) && inOrder(table.columns.map(({ streamName }) => streamName));
  const follow = (isTold: (origin: Origin) => boolean): Followed =>
    new Map(
      before.fields.flatMap(({ name }, i): [string, SourceColumn][] => {
        const origin = former[i];
        const now = origin?.column && isTold(origin) ? followed.get(origin.column.name) : undefined;
        return now === undefined ? [] : [[name, now]];
      }),
    );
  const columns = follow(({ isCertain }) => isCertain);
  // Of one that cannot be told the names of others may be wrong, too.
  const isClear = fields.every(({ name }) => !names.has(name) || columns.has(name));
  const mayStay = isStill || (!isAstray && isOrdered && isClear);
  return { columns: mayStay ? columns : new Map(), likely: follow(() => true), names, isAstray };
}

const namesOf = (fields: readonly Field[]): string[] => fields.map(({ name }) => name);

/** Whether the knowledge is of the table that the fields describe: the same columns in the same order. */
export function isOfFields(fields: readonly Field[], { columns }: TableKnowledge): boolean {
  return columns.length === fields.length && fields.every(({ name }, i) => columns[i]?.streamName === name);
}

function haveSameNames(a: readonly Field[], b: readonly Field[]): boolean {
  return a.length === b.length && a.every(({ name }, i) => b[i]?.name === name);
}

/** As they were found when the version came into force: by name or, before that was kept, at the place of a name that was gone. */
export function originsOf({
  fields,
  columns,
  knowledge,
}: Pick<SchemaVersion, 'fields' | 'columns' | 'knowledge'>): Origin[] {
  const known = knowledge?.table.columns ?? [];
  const findRenamed = (place: number): SourceColumn | null => {
    const there = known.length === fields.length ? known[place] : undefined;
    return there === undefined || fields.some(({ name }) => name === there.streamName) ? null : there;
  };
  return fields.map(({ name }, i): Origin => {
    const { source, likely } = columns[i] ?? {};
    const told = source ?? likely;
    const named = known.find((one) => (told === undefined ? one.streamName === name : one.name === told));
    const column = named ?? (source === undefined ? findRenamed(i) : null);
    return { column, isCertain: column !== null && source !== null };
  });
}

/** Whether it is not certain of some field which column of MariaDB it is, though the table is known. */
export function hasUncertainOrigin({ columns, knowledge }: Pick<SchemaVersion, 'columns' | 'knowledge'>): boolean {
  return knowledge !== null && columns.some(({ source }) => source === null);
}

/** What the columns of one reading of a table are in a later one: by name, of those of which it can be told. */
export async function followRecords(client: Pick<ClientBase, 'query'>, from: string, to: string): Promise<Followed> {
  const { rows } = await client.query<{ knowledge: TableKnowledge }>(
    `SELECT k.knowledge FROM afterimage.table_knowledge k JOIN afterimage.table_knowledge f
       USING (source, database_name, table_name)
     WHERE f.id = $1 AND k.id BETWEEN $1 AND $2 ORDER BY k.id`,
    [from, to],
  );
  return followThrough(rows.map(({ knowledge }) => knowledge));
}
