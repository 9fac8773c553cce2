import { sourceRowForm } from '@afterimage/mariadb';
import type { Chunk } from './chunks.js';
import type { ComparedTable, Sides } from './compared-table.js';
import { hashForms, mirrorForm, queryMirror, valuesOf } from './digests.js';
import { toMirrorForms } from './keyed-rows.js';

/** Equal rows of a table without a key: how many of them either side has. */
export interface CopiesLook {
  /** MD5 of the row in the mirror's forms. */
  readonly hash: string;
  /** Its values as read from MariaDB; null when only the mirror has it. */
  readonly source: readonly (string | null)[] | null;
  readonly inSource: number;
  readonly inMirror: number;
}

/** The rows of a chunk of which one side has more than the other, by hash. */
export async function countCopies(
  sides: Sides,
  table: ComparedTable,
  chunk: Chunk,
): Promise<ReadonlyMap<string, CopiesLook>> {
  const hash = `MD5(${sourceRowForm(valuesOf(table.columns))})`;
  const [source, mirror] = await Promise.all([
    sides.source.query<(string | null)[][]>({
      sql:
        `SELECT ${hash} AS row_hash, CAST(COUNT(*) AS CHAR), ${table.columns.map(({ value }) => value.read).join(', ')} ` +
        `FROM ${table.sourceTable} WHERE ${chunk.inSource} GROUP BY row_hash`,
      rowsAsArray: true,
    }),
    queryMirror<{ hash: string; copies: number }>(
      sides.postgres,
      `SELECT md5(${mirrorForm(table.columns)}) AS hash, count(*)::int AS copies FROM ${table.mirrorTable} AS m WHERE ${chunk.inMirror} GROUP BY 1`,
    ),
  ]);
  const inMirror = new Map(mirror.map(({ hash: found, copies }) => [found, copies]));
  const unlike = source.filter(([found, copies]) => inMirror.get(found ?? '') !== Number(copies));
  const equal = new Set(source.map(([found]) => found));
  for (const [found] of unlike) equal.delete(found ?? '');
  const looks = new Map<string, CopiesLook>();
  // Two of MariaDB's rows may be one to the mirror, as jsonb makes of two texts.
  for (const { hash: found, copies, values } of await rehash(sides, table, unlike)) {
    const before = looks.get(found)?.inSource ?? 0;
    looks.set(found, { hash: found, source: values, inSource: before + copies, inMirror: inMirror.get(found) ?? 0 });
  }
  for (const [found, copies] of inMirror) {
    if (equal.has(found)) addEqual(looks, found, copies);
    else if (!looks.has(found)) looks.set(found, { hash: found, source: null, inSource: 0, inMirror: copies });
  }
  return new Map([...looks].filter(([, look]) => look.inSource !== look.inMirror));
}

/** A row that hashes alike on both sides may also be what another of MariaDB's rows becomes. */
function addEqual(looks: Map<string, CopiesLook>, hash: string, copies: number): void {
  const look = looks.get(hash);
  if (look !== undefined) looks.set(hash, { ...look, inSource: look.inSource + copies });
}

interface Copies {
  readonly hash: string;
  readonly copies: number;
  readonly values: readonly (string | null)[];
}

/** MariaDB's rows by the hash that they have in the mirror. One that its types refuse keeps its own. */
async function rehash(
  sides: Sides,
  table: ComparedTable,
  rows: readonly (readonly (string | null)[])[],
): Promise<Copies[]> {
  const values = rows.map(([, , ...texts]) => texts);
  const forms = await toMirrorForms(sides, table, values);
  return rows.map(([hash, copies], i) => {
    const form = forms[i];
    return {
      hash: form === null || form === undefined ? (hash ?? '') : hashForms(table, form),
      copies: Number(copies),
      values: values[i] ?? [],
    };
  });
}

export function isSameCount(one: CopiesLook, other: CopiesLook): boolean {
  return one.inSource === other.inSource && one.inMirror === other.inMirror;
}
