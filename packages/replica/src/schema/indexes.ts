import type { ClientBase } from 'pg';
import type { IndexKnowledge, IndexPart, TableKnowledge } from '@afterimage/mariadb';
import type { SchemaStep, StoredIndex } from '../control/tables.js';
import { sqlState } from '../errors.js';
import { type ReplicaNames, fitName, quoteLiteral, quoteName, quoteTable } from '../names.js';
import type { TableSettings } from '../settings.js';
import { isExactInStream } from './knowledge.js';
import type { TargetColumn, TargetSchema } from './target.js';

/** Every index that is made here says so in its comment: others are the user's, and stay as they are. */
const mark = 'as in MariaDB: ';

interface IndexWish {
  readonly settings: TableSettings;
  readonly target: Pick<TargetSchema, 'columns' | 'key'>;
  readonly knowledge: TableKnowledge | null;
  /** Rows come by several partitions, in another order than at the source. */
  readonly isDivided: boolean;
}

/**
 * The indexes that a mirror is to have besides its key's. FULLTEXT and SPATIAL ones have no counterpart that every PostgreSQL has.
 * A unique one becomes a constraint where PostgreSQL sees the values as MariaDB does and in its order, else a plain one.
 */
export function wantedIndexes({ settings, target, knowledge, isDivided }: IndexWish): StoredIndex[] {
  if (settings.indexes === 'none' || knowledge === null) return [];
  const known = target.columns.flatMap((column) =>
    column.known === null ? [] : [[column.known.name, column] as const],
  );
  const columns = new Map(known);
  return knowledge.indexes.flatMap((index) => {
    if (index.method === 'FULLTEXT' || index.method === 'SPATIAL') return [];
    const own = index.parts.flatMap(({ column }) => columns.get(column) ?? []);
    if (own.length < index.parts.length || isKey(own, target)) return [];
    const length = Math.min(200, Math.floor(indexedCharacters / own.length));
    const parts = own.map((column, i) => partText(column, index.parts[i], length));
    if (parts.includes(null)) return [];
    const name = fitName(`${fitName(settings.mirror.table)}_${index.name}`, '_idx');
    const isUnique = !isDivided && isEnforceable(index, own, { target, settings });
    const unique = isUnique ? `(${own.map(({ mirror }) => quoteName(mirror)).join(', ')})` : null;
    return [{ name, text: `(${parts.join(', ')})`, unique }];
  });
}

/** The key of the mirror has its own. */
function isKey(own: readonly TargetColumn[], { key }: IndexWish['target']): boolean {
  return JSON.stringify(own.map(({ mirror }) => mirror)) === JSON.stringify(key);
}

/**
 * Whether values that differ at the source differ here, and fit into an index. Not the columns of the key in another order:
 * ON CONFLICT would take that constraint for an arbiter, which a deferrable one cannot be (PostgreSQL manual, "INSERT").
 */
function isEnforceable(
  { isUnique, parts }: IndexKnowledge,
  own: readonly TargetColumn[],
  { target: { key }, settings }: Pick<IndexWish, 'target' | 'settings'>,
): boolean {
  const isWhole = parts.every(({ prefix, descending }) => prefix === null && !descending);
  const isOfKey = key?.length === own.length && own.every(({ mirror }) => key.includes(mirror));
  const characters = own.reduce((sum, { known }) => sum + (known?.type.kind === 'text' ? known.type.length : 10), 0);
  if (!isUnique || !isWhole || isOfKey || characters > indexedCharacters) return false;
  return own.every((column) => isToldApart(column, settings));
}

function isToldApart({ name, known, lookup }: TargetColumn, { columns, types }: TableSettings): boolean {
  const chosen = Object.hasOwn(columns, name) ? columns[name]?.postgres : undefined;
  if (known === null || lookup || chosen !== undefined || !isExactInStream(known)) return false;
  const { kind } = known.type;
  // Two hours of a year have the same name in a zone that has summer time.
  if (kind === 'timestamp' && types.timeZone !== 'UTC') return false;
  return types.zeroDates === 'null' || !['date', 'datetime', 'timestamp'].includes(kind);
}

/** Of one row. A B-tree holds 2,704 bytes of each (PostgreSQL manual, "B-Tree Indexes"); more would refuse rows. */
const indexedCharacters = 600;

function partText(column: TargetColumn, part: IndexPart | undefined, most: number): string | null {
  if (part === undefined || !column.mapping.identity) return null;
  return beginningOf(column, part.prefix, most) + (part.descending ? ' DESC' : '');
}

function beginningOf({ mirror, mappedType, known }: TargetColumn, prefix: number | null, most: number): string {
  const ref = quoteName(mirror);
  const isLong = known?.type.kind === 'text' && known.type.length > most;
  const length = Math.min(prefix ?? most, most);
  if (mappedType === 'text' && (prefix !== null || isLong)) return `left(${ref}, ${length})`;
  return mappedType === 'bytea' ? `substr(${ref}, 1, ${length * 3})` : ref;
}

interface IndexThere {
  readonly name: string;
  /** As `textOf` gives it. */
  readonly text: string;
  readonly isConstraint: boolean;
}

const textOf = ({ text, unique }: Pick<StoredIndex, 'text' | 'unique'>): string =>
  unique === null ? text : `UNIQUE ${unique}`;

async function readIndexes(client: ClientBase, { mirror }: ReplicaNames): Promise<Map<string, IndexThere>> {
  const { rows } = await client.query<IndexThere>(
    `SELECT c.relname AS name, substr(obj_description(c.oid, 'pg_class'), ${mark.length + 1}) AS text,
            EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = c.oid AND k.conrelid = i.indrelid) AS "isConstraint"
     FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
     WHERE i.indrelid = to_regclass($1) AND starts_with(obj_description(c.oid, 'pg_class'), $2)`,
    [quoteTable(mirror), mark],
  );
  return new Map(rows.map((index) => [index.name, index]));
}

export interface IndexAlignment {
  readonly names: ReplicaNames;
  readonly indexes: readonly StoredIndex[];
  /** Names of those that rows do not keep. */
  readonly relaxed: ReadonlySet<string>;
}

/** Gives a mirror its indexes, and takes off those that are not wanted any more. */
export async function alignIndexes(
  client: ClientBase,
  { names, indexes, relaxed }: IndexAlignment,
): Promise<SchemaStep[]> {
  const there = await readIndexes(client, names);
  const wanted = new Set(indexes.map(({ name }) => name));
  const steps: SchemaStep[] = [];
  for (const index of there.values()) {
    if (wanted.has(index.name)) continue;
    steps.push(step(`index ${index.name} dropped`, await run(client, dropStatement(names, index))));
  }
  for (const index of indexes) {
    steps.push(
      ...(await alignIndex(client, names, { index, there: there.get(index.name), isRelaxed: relaxed.has(index.name) })),
    );
  }
  return steps;
}

async function alignIndex(
  client: ClientBase,
  names: ReplicaNames,
  { index, there, isRelaxed }: { index: StoredIndex; there: IndexThere | undefined; isRelaxed: boolean },
): Promise<SchemaStep[]> {
  if (there === undefined && (await isTaken(client, names, index)))
    return [
      { ...step(`index ${index.name} is not there: something else in its schema has that name`, []), kind: 'relax' },
    ];
  const plain = { ...index, unique: null };
  if (index.unique === null) {
    const statements = await makePlain(client, names, { plain, there });
    return statements.length === 0 ? [] : [step(`index ${index.name}`, statements)];
  }
  if (there?.text === textOf(index) && !isRelaxed) return [];
  const made = isRelaxed ? null : await makeUnique(client, names, { index, there });
  if (made !== null) return [made];
  const statements = await makePlain(client, names, { plain, there });
  return [{ ...step(describeRelaxed(index), statements), kind: 'relax' }];
}

/** By an index of another mirror or of the user: `a_b_c_idx` is index c of a_b, and index b_c of a. No reason to halt a stream. */
async function isTaken(client: ClientBase, { mirror }: ReplicaNames, { name }: StoredIndex): Promise<boolean> {
  const { rows } = await client.query<{ taken: boolean }>('SELECT to_regclass($1) IS NOT NULL AS taken', [
    quoteTable({ schema: mirror.schema, table: name }),
  ]);
  return rows[0]?.taken === true;
}

async function makePlain(
  client: ClientBase,
  names: ReplicaNames,
  { plain, there }: { plain: StoredIndex; there: IndexThere | undefined },
): Promise<readonly string[]> {
  if (there?.text === textOf(plain)) return [];
  const drops = there === undefined ? [] : dropStatement(names, there);
  return run(client, [...drops, ...createStatement(names, plain)]);
}

/** What says that rows do not keep a unique index, or are too long for it. */
export const refusals: ReadonlySet<string> = new Set(['23505', '54000']);

/** Null, and nothing has changed, when rows of the mirror do not keep it. */
async function makeUnique(
  client: ClientBase,
  names: ReplicaNames,
  { index, there }: { index: StoredIndex; there: IndexThere | undefined },
): Promise<SchemaStep | null> {
  await client.query('SAVEPOINT enforced');
  try {
    const drops = there === undefined ? [] : await run(client, dropStatement(names, there));
    const made = await run(client, createStatement(names, index));
    await client.query('RELEASE SAVEPOINT enforced');
    return step(`unique ${index.name}`, [...drops, ...made]);
  } catch (error) {
    if (!refusals.has(sqlState(error) ?? '')) throw error;
    await client.query('ROLLBACK TO SAVEPOINT enforced');
    await client.query('RELEASE SAVEPOINT enforced');
    return null;
  }
}

/** Deferred: within a transaction rows may swap their values. */
function createStatement(names: ReplicaNames, index: StoredIndex): string[] {
  const [name, table] = [quoteName(index.name), quoteTable(names.mirror)];
  const inSchema = quoteTable({ schema: names.mirror.schema, table: index.name });
  return [
    index.unique === null
      ? `CREATE INDEX ${name} ON ${table} ${index.text}`
      : `ALTER TABLE ${table} ADD CONSTRAINT ${name} UNIQUE ${index.unique} DEFERRABLE INITIALLY DEFERRED`,
    `COMMENT ON INDEX ${inSchema} IS ${quoteLiteral(mark + textOf(index))}`,
  ];
}

function dropStatement({ mirror }: ReplicaNames, { name, isConstraint }: IndexThere): string[] {
  if (isConstraint) return [`ALTER TABLE ${quoteTable(mirror)} DROP CONSTRAINT ${quoteName(name)}`];
  return [`DROP INDEX ${quoteTable({ schema: mirror.schema, table: name })}`];
}

async function run(client: ClientBase, statements: readonly string[]): Promise<readonly string[]> {
  for (const statement of statements) await client.query(statement);
  return statements;
}

function step(detail: string, statements: readonly string[]): SchemaStep {
  const told = statements.filter((statement) => !statement.startsWith('COMMENT'));
  return { kind: 'index', column: null, detail, statement: told.join('; ') || null };
}

function describeRelaxed({ name, unique }: StoredIndex): string {
  return `${name} ${unique} is unique in MariaDB and not enforced here: rows came that do not keep it`;
}

/** Makes a constraint that refused a row a plain index; null when it is none (any more). */
export async function relaxIndex(
  client: ClientBase,
  names: ReplicaNames,
  index: StoredIndex,
): Promise<SchemaStep | null> {
  const there = (await readIndexes(client, names)).get(index.name);
  if (there?.isConstraint !== true) return null;
  const statements = [...dropStatement(names, there), ...createStatement(names, { ...index, unique: null })];
  return { ...step(describeRelaxed(index), await run(client, statements)), kind: 'relax' };
}

/** Takes unique constraints off columns; `alignIndexes` gives them back. */
export async function dropUnique(
  client: ClientBase,
  names: ReplicaNames,
  columns: ReadonlySet<string>,
): Promise<SchemaStep[]> {
  const steps: SchemaStep[] = [];
  for (const index of (await readIndexes(client, names)).values()) {
    const isOfThem = [...columns].some((column) => index.text.includes(quoteName(column)));
    if (!index.isConstraint || !isOfThem) continue;
    steps.push(step(`unique ${index.name} dropped`, await run(client, dropStatement(names, index))));
  }
  return steps;
}

/** The names of the constraints among these that are in force, quoted with their schema. */
export async function readEnforced(
  client: ClientBase,
  names: ReplicaNames,
  indexes: readonly StoredIndex[],
): Promise<string[]> {
  if (indexes.every(({ unique }) => unique === null)) return [];
  const there = await readIndexes(client, names);
  return indexes.flatMap(({ name }) =>
    there.get(name)?.isConstraint === true ? [quoteTable({ schema: names.mirror.schema, table: name })] : [],
  );
}
