import { sourceRowForm } from '@afterimage/mariadb';
import type { Chunk } from './chunks.js';
import type { ComparedColumn, ComparedTable, Sides } from './compared-table.js';
import { mirrorForm, queryMirror, valuesOf } from './digests.js';
import { sourceLiteral } from './source-literal.js';

/** A row by its key: the key's form, which both servers give, and its values as text that either server takes. */
export interface RowKey {
  readonly id: string;
  readonly key: readonly string[];
}

/** The rows of a chunk whose hashes differ, or which only one side has. */
export async function findCandidates(sides: Sides, table: ComparedTable, chunk: Chunk): Promise<RowKey[]> {
  const key = table.key ?? [];
  const [source, mirror] = await Promise.all([
    sides.source.query<(string | null)[][]>({
      sql:
        `SELECT ${sourceRowForm(valuesOf(key))}, MD5(${sourceRowForm(valuesOf(table.columns))}), ${key.map(({ value }) => value.read).join(', ')} ` +
        `FROM ${table.sourceTable} WHERE ${chunk.inSource}`,
      rowsAsArray: true,
    }),
    queryMirror<{ row: (string | null)[] }>(
      sides.postgres,
      `SELECT ARRAY[${mirrorForm(key)}, md5(${mirrorForm(table.columns)}), ${key.map((column) => mirrorText(column)).join(', ')}] AS row ` +
        `FROM ${table.mirrorTable} AS m WHERE ${chunk.inMirror}`,
    ),
  ]);
  const there = new Map(mirror.map(({ row }) => [row[0] ?? '', row]));
  const candidates: RowKey[] = [];
  for (const [id, hash, ...texts] of source) {
    const other = there.get(id ?? '');
    there.delete(id ?? '');
    if (other?.[1] !== hash) candidates.push(toKey(id, texts));
  }
  for (const [id, , ...texts] of there.values()) candidates.push(toKey(id, texts));
  return candidates;
}

function toKey(id: string | null | undefined, texts: readonly (string | null)[]): RowKey {
  return { id: id ?? '', key: texts.map((text) => text ?? '') };
}

/** A mirror's value as text that its type takes back, and from which `sourceLiteral` makes MariaDB's. */
function mirrorText({ value, postgresType, inMirror }: ComparedColumn): string {
  if (postgresType === 'bytea') return `'\\x' || encode(m.${inMirror}, 'hex')`;
  return postgresType === 'inet' ? value.mirrorForm(`m.${inMirror}`) : `m.${inMirror}::text`;
}

/** A row as both sides have it at the moment: null where one has none. */
export interface RowLook {
  readonly key: RowKey;
  /** Values as read from MariaDB, one per compared column. */
  readonly source: readonly (string | null)[] | null;
  /** The same as the mirror would hold them, in the mirror's forms; null where its types refuse them. */
  readonly wanted: readonly (string | null)[] | null;
  readonly mirror: readonly (string | null)[] | null;
}

/** Values that may be so long that only a few rows are looked at together. */
const longTypes = new Set(['text', 'blob', 'mediumtext', 'longtext', 'mediumblob', 'longblob']);

/** How many rows to look at in one go. */
export function lookSize({ columns }: ComparedTable): number {
  const isLong = columns.some(
    ({ knowledge: { type } }) => (type.kind === 'text' || type.kind === 'binary') && longTypes.has(type.name),
  );
  return isLong ? 16 : 500;
}

/** Reads rows by key from MariaDB, in one query. */
async function readSourceRows(
  sides: Sides,
  table: ComparedTable,
  keys: readonly RowKey[],
): Promise<ReadonlyMap<string, readonly (string | null)[]>> {
  const key = table.key ?? [];
  // What MariaDB's collation takes for the same key is told apart by the form of the key that comes with it.
  const condition =
    key.length === 1
      ? `${key[0]?.inSource} IN (${keys.map((row) => literals(key, row)[0]).join(', ')})`
      : keys
          .map(
            (row) =>
              `(${literals(key, row)
                .map((literal, i) => `${key[i]?.inSource} = ${literal}`)
                .join(' AND ')})`,
          )
          .join(' OR ');
  const rows = await sides.source.query<(string | null)[][]>({
    sql:
      `SELECT ${sourceRowForm(valuesOf(key))}, ${table.columns.map(({ value }) => value.read).join(', ')} ` +
      `FROM ${table.sourceTable} WHERE ${condition}`,
    rowsAsArray: true,
  });
  return new Map(rows.map(([id, ...values]) => [id ?? '', values]));
}

function literals(key: readonly ComparedColumn[], row: RowKey): string[] {
  return key.map((column, i) => sourceLiteral(column, row.key[i] ?? ''));
}

/** Reads rows by key from the mirror, in its forms. */
async function readMirrorRows(
  sides: Sides,
  table: ComparedTable,
  keys: readonly RowKey[],
): Promise<ReadonlyMap<string, readonly (string | null)[]>> {
  const key = table.key ?? [];
  const forms = table.columns.map(({ value, inMirror }) => value.mirrorForm(`m.${inMirror}`));
  const rows = await queryMirror<{ id: string; row: (string | null)[] }>(
    sides.postgres,
    `SELECT ${mirrorForm(key)} AS id, ARRAY[${forms.map((form) => `(${form})::text`).join(', ')}] AS row
     FROM ${joinKeys(table, 1)}`,
    keyParameters(table, keys),
  );
  return new Map(rows.map(({ id, row }) => [id, row]));
}

/** The mirror's rows of keys whose texts are the parameters from `first` on, an array for each key column. */
function joinKeys(table: ComparedTable, first: number): string {
  const key = table.key ?? [];
  const arrays = key.map((_, i) => `$${first + i}::text[]`).join(', ');
  const names = key.map((_, i) => `k${i}`).join(', ');
  // A label that the mirror's type lacks is no value of it, but may be one in MariaDB.
  const own = ({ inMirror, isEnum }: ComparedColumn): string => `m.${inMirror}${isEnum ? '::text' : ''}`;
  const same = key.map((column, i) => `${own(column)} = u.k${i}::${column.postgresType}`).join(' AND ');
  return `unnest(${arrays}) AS u(${names}) JOIN ${table.mirrorTable} AS m ON ${same}`;
}

function keyParameters(table: ComparedTable, keys: readonly RowKey[]): string[][] {
  return (table.key ?? []).map((_, i) => keys.map((row) => row.key[i] ?? ''));
}

/** What the mirror would make of values that were read from MariaDB: the same forms as those of its own rows. */
export async function toMirrorForms(
  sides: Sides,
  { columns }: ComparedTable,
  rows: readonly (readonly (string | null)[])[],
): Promise<readonly ((string | null)[] | null)[]> {
  const names = columns.map((_, i) => `c${i}`).join(', ');
  const arrays = columns.map((_, i) => `$${i + 1}::text[]`).join(', ');
  const forms = columns.map(
    ({ value, postgresType }, i) => `(${value.mirrorForm(`(u.c${i}::${postgresType})`)})::text`,
  );
  const text = `SELECT ARRAY[${forms.join(', ')}] AS row FROM unnest(${arrays}) WITH ORDINALITY AS u(${names}, o) ORDER BY o`;
  const read = async (part: readonly (readonly (string | null)[])[]): Promise<((string | null)[] | null)[]> => {
    if (part.length === 0) return [];
    try {
      const values = columns.map((_, i) => part.map((row) => row[i] ?? null));
      return (await queryMirror<{ row: (string | null)[] }>(sides.postgres, text, values)).map(({ row }) => row);
    } catch (error) {
      // A value that the mirror's type refuses, as one whose row became a dead letter: only its row is different.
      if (!isRefusal(error)) throw error;
      if (part.length === 1) return [null];
      const half = Math.ceil(part.length / 2);
      return [...(await read(part.slice(0, half))), ...(await read(part.slice(half)))];
    }
  };
  return read(rows);
}

function isRefusal(error: unknown): boolean {
  const { code } = error as { code?: unknown };
  return typeof code === 'string' && code.startsWith('22');
}

export async function lookAtRows(sides: Sides, table: ComparedTable, keys: readonly RowKey[]): Promise<RowLook[]> {
  const source = await readSourceRows(sides, table, keys);
  const mirror = await readMirrorRows(sides, table, keys);
  const present = keys.filter(({ id }) => source.has(id));
  const forms = await toMirrorForms(
    sides,
    table,
    present.map(({ id }) => source.get(id) ?? []),
  );
  const wanted = new Map(present.map(({ id }, i) => [id, forms[i] ?? null]));
  return keys.map((key) => ({
    key,
    source: source.get(key.id) ?? null,
    wanted: wanted.get(key.id) ?? null,
    mirror: mirror.get(key.id) ?? null,
  }));
}

export function isEqualLook({ source, wanted, mirror }: RowLook): boolean {
  if (source === null || mirror === null) return source === mirror;
  return wanted !== null && wanted.every((value, i) => value === mirror[i]);
}

/** Whether nothing changed on either side between two looks. */
export function isSameLook(one: RowLook, other: RowLook): boolean {
  return isSameRow(one.source, other.source) && isSameRow(one.mirror, other.mirror);
}

function isSameRow(one: readonly (string | null)[] | null, other: readonly (string | null)[] | null): boolean {
  if (one === null || other === null) return one === other;
  return one.every((value, i) => value === other[i]);
}
