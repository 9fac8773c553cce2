import type { ClientBase } from 'pg';
import type { IndexKnowledge, IndexPart } from '@afterimage/mariadb';
import type { SchemaStep } from '../control/tables.js';
import { type ReplicaNames, fitName, quoteName, quoteTable } from '../names.js';
import type { TargetColumn, TargetSchema } from './target.js';
import type { KnowledgeRecord } from './versions.js';

/** Every index that is made here says so in its comment: others are the user's, and stay as they are. */
const mark = 'as in MariaDB: ';

interface IndexAlignment {
  readonly names: ReplicaNames;
  readonly target: TargetSchema;
  readonly knowledge: KnowledgeRecord;
}

/**
 * Gives a mirror the indexes of its table, and takes off those that are gone there. A unique one becomes a plain one: the
 * source has checked already, and rows of several partitions come in another order here. FULLTEXT and SPATIAL indexes have
 * no counterpart that every PostgreSQL has.
 */
export async function alignIndexes(client: ClientBase, alignment: IndexAlignment): Promise<SchemaStep[]> {
  const { names } = alignment;
  const wanted = new Map(wantedIndexes(alignment).map((index) => [index.name, index.text]));
  const { rows } = await client.query<{ name: string; text: string }>(
    `SELECT c.relname AS name, substr(obj_description(c.oid, 'pg_class'), ${mark.length + 1}) AS text FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
     WHERE i.indrelid = $1::regclass AND starts_with(obj_description(c.oid, 'pg_class'), $2)`,
    [quoteTable(names.mirror), mark],
  );
  const there = new Map(rows.map(({ name, text }) => [name, text]));
  const inSchema = (name: string): string => quoteTable({ schema: names.mirror.schema, table: name });
  const drops = [...there].filter(([name, text]) => wanted.get(name) !== text).map(([name]) => name);
  const adds = [...wanted].filter(([name, text]) => there.get(name) !== text);
  const steps: SchemaStep[] = [];
  const run = async (detail: string, statement: string): Promise<void> => {
    await client.query(statement);
    steps.push({ kind: 'index', column: null, detail, statement });
  };
  for (const name of drops) await run(`index ${name} dropped`, `DROP INDEX ${inSchema(name)}`);
  for (const [name, text] of adds) {
    await run(`index ${name}`, `CREATE INDEX ${quoteName(name)} ON ${quoteTable(names.mirror)} ${text}`);
    await client.query(`COMMENT ON INDEX ${inSchema(name)} IS '${(mark + text).replaceAll("'", "''")}'`);
  }
  return steps;
}

function wantedIndexes({ names, target, knowledge }: IndexAlignment): { name: string; text: string }[] {
  const columns = new Map(
    target.columns.flatMap((column) => (column.known === null ? [] : [[column.known.name, column]])),
  );
  return knowledge.table.indexes.flatMap((index) => {
    if (index.method === 'FULLTEXT' || index.method === 'SPATIAL' || isKey(index, columns, target)) return [];
    const length = Math.min(200, Math.floor(indexedCharacters / index.parts.length));
    const parts = index.parts.map((part) => partText(part, columns.get(part.column), length));
    if (parts.includes(null)) return [];
    return [{ name: fitName(`${names.mirror.table}_${index.name}`, '_idx'), text: `(${parts.join(', ')})` }];
  });
}

/** The key of the mirror has its own. */
function isKey(index: IndexKnowledge, columns: ReadonlyMap<string, TargetColumn>, { key }: TargetSchema): boolean {
  const names = index.parts.map(({ column }) => columns.get(column)?.mirror);
  return JSON.stringify(names) === JSON.stringify(key);
}

/** Of one row. A B-tree holds 2,704 bytes of each (PostgreSQL manual, "B-Tree Indexes"); more would refuse rows. */
const indexedCharacters = 600;

function partText({ prefix, descending }: IndexPart, column: TargetColumn | undefined, most: number): string | null {
  if (column === undefined || !column.mapping.identity) return null;
  return beginningOf(column, prefix, most) + (descending ? ' DESC' : '');
}

function beginningOf({ mirror, mappedType, known }: TargetColumn, prefix: number | null, most: number): string {
  const ref = quoteName(mirror);
  const isLong = known?.type.kind === 'text' && known.type.length > most;
  const length = Math.min(prefix ?? most, most);
  if (mappedType === 'text' && (prefix !== null || isLong)) return `left(${ref}, ${length})`;
  return mappedType === 'bytea' ? `substr(${ref}, 1, ${length * 3})` : ref;
}
