import type { ClientBase } from 'pg';
import type { SchemaStep, StoredColumn } from '../control/tables.js';
import { sqlState } from '../errors.js';
import { type ReplicaNames, enumName, fitName, quoteLiteral, quoteName, quoteTable } from '../names.js';
import { castExpression, textOf } from './cast.js';
import { createEnum, dropEnum, enumLabels, mirrorType, relabel, storedLabels } from './labels.js';
import { type Change, describeChange } from './plan.js';
import { likelyNameOf, sourceNameOf, type TargetColumn } from './target.js';

export interface MirrorDdl {
  readonly names: ReplicaNames;
  readonly columns: readonly TargetColumn[];
  /** Time zone of the MaxScale host, for timestamp ↔ timestamptz. */
  readonly timeZone: string;
}

/**
 * Makes one planned change to the mirror and returns what was done, statement included. A type change that an
 * existing value does not survive widens the column to text instead of losing it; `types` then says text.
 */
export async function makeChange(client: ClientBase, change: Change, ddl: MirrorDdl): Promise<MadeChange> {
  if (change.kind === 'retype') return retype(client, change, ddl);
  if (change.kind === 'relabel') {
    const { step, kept } = await relabel(client, ddl.names, change);
    return { steps: [{ ...step, column: change.to.name }], widened: false, filled: null, kept };
  }
  const types = await createTypes(client, change, ddl);
  const filled = change.kind === 'add' ? await findFill(client, change.column) : null;
  const statements = await statementsFor(client, change, { ...ddl, filled });
  for (const statement of statements) await client.query(statement);
  const made = [...types, ...statements, ...(await dropTypes(client, change, ddl))];
  return { steps: [describeChange(change, made.join('; ') || null)], widened: false, filled };
}

type OtherChange = Exclude<Change, { kind: 'retype' | 'relabel' }>;

/** The enum types of columns to come. */
async function createTypes(client: ClientBase, change: OtherChange, { names, columns }: MirrorDdl): Promise<string[]> {
  const added = change.kind === 'create' ? columns : change.kind === 'add' ? [change.column] : [];
  if (!added.some(({ labels }) => labels === 'enum')) return [];
  const statements = await createSchema(client, names.mirror.schema);
  for (const statement of statements) await client.query(statement);
  for (const column of added) statements.push(...(await createEnum(client, names, column)));
  return statements;
}

/** That of a column that is gone. */
async function dropTypes(client: ClientBase, change: OtherChange, { names }: MirrorDdl): Promise<string[]> {
  return change.kind === 'drop' && change.column.labels === 'enum' ? dropEnum(client, names, change.column.mirror) : [];
}

export interface MadeChange {
  readonly steps: SchemaStep[];
  readonly widened: boolean;
  /** What the rows that were there have in an added column; null = NULL. */
  readonly filled: string | null;
  /** Labels that a new enum type has for rows that were there. */
  readonly kept?: readonly string[];
}

/** What is to stand in the rows that are there, unless the type of the mirror cannot hold it. */
async function findFill(client: ClientBase, { fill, mappedType }: TargetColumn): Promise<string | null> {
  if (fill === null) return null;
  await client.query('SAVEPOINT fill');
  try {
    await client.query(`SELECT ${quoteLiteral(fill)}::${mappedType}`);
    return fill;
  } catch (error) {
    if (!/^22|^42846$/.test(sqlState(error) ?? '')) throw error;
    await client.query('ROLLBACK TO SAVEPOINT fill');
    return null;
  } finally {
    await client.query('RELEASE SAVEPOINT fill').catch(() => undefined);
  }
}

async function statementsFor(
  client: ClientBase,
  change: OtherChange,
  ddl: MirrorDdl & { readonly filled: string | null },
): Promise<string[]> {
  const mirror = quoteTable(ddl.names.mirror);
  switch (change.kind) {
    case 'create': {
      const type = (c: TargetColumn): string => mirrorType(ddl.names, c, c.mappedType);
      const columns = ddl.columns.map((c) => `${quoteName(c.mirror)} ${type(c)}`).join(', ');
      return [...(await createSchema(client, ddl.names.mirror.schema)), `CREATE TABLE ${mirror} (${columns})`];
    }
    case 'recreate':
      return [`TRUNCATE ${mirror}`];
    case 'unkey':
      return unkeyStatements(ddl.names, change.key);
    case 'drop':
      return [`ALTER TABLE ${mirror} DROP COLUMN ${quoteName(change.column.mirror)}`];
    case 'rename':
      return renameStatements(ddl.names, change.from, {
        from: change.aside ?? change.from.mirror,
        to: change.to.mirror,
      });
    case 'set-aside':
      return renameStatements(ddl.names, change.column, { from: change.column.mirror, to: change.aside });
    case 'add':
      return addStatements(ddl.names, change.column, ddl.filled);
    case 'rekey':
      return [identityStatement(ddl, change.key)];
    case 'reorder':
      return [];
  }
}

function renameStatements(
  names: ReplicaNames,
  { labels }: StoredColumn,
  { from, to }: { readonly from: string; readonly to: string },
): string[] {
  if (from === to) return [];
  const column = `RENAME COLUMN ${quoteName(from)} TO ${quoteName(to)}`;
  const type = `ALTER TYPE ${quoteTable(enumName(names, from))} RENAME TO ${quoteName(enumName(names, to).table)}`;
  return [`ALTER TABLE ${quoteTable(names.mirror)} ${column}`, ...(labels === 'enum' ? [type] : [])];
}

/** A constant default fills all rows without writing them (PostgreSQL manual, "Modifying Tables"); it is not for rows to come. */
function addStatements(names: ReplicaNames, added: TargetColumn, filled: string | null): string[] {
  const mirror = quoteTable(names.mirror);
  const column = quoteName(added.mirror);
  const type = mirrorType(names, added, added.mappedType);
  const add = `ALTER TABLE ${mirror} ADD COLUMN ${column} ${type}`;
  if (filled === null) return [add];
  const value = enumLabels(added)?.includes(filled) === false ? '' : filled;
  return [
    `${add} DEFAULT ${quoteLiteral(value)}::${type}`,
    `ALTER TABLE ${mirror} ALTER COLUMN ${column} DROP DEFAULT`,
  ];
}

/** CREATE SCHEMA only where it is missing: IF NOT EXISTS asks for the privilege even when it exists. */
export async function createSchema(client: ClientBase, schema: string): Promise<string[]> {
  if (await hasSchema(client, schema)) return [];
  // Streams that share a schema may begin at once: the others wait here until the first has created it.
  await client.query(`SELECT pg_advisory_xact_lock(hashtextextended('afterimage.schema:' || $1, 0))`, [schema]);
  return (await hasSchema(client, schema)) ? [] : [`CREATE SCHEMA ${quoteName(schema)}`];
}

async function hasSchema(client: ClientBase, schema: string): Promise<boolean> {
  const { rowCount } = await client.query('SELECT FROM pg_namespace WHERE nspname = $1', [schema]);
  return rowCount !== 0;
}

const keyName = (names: ReplicaNames) => fitName(names.mirror.table, '_pkey');
const rowIndexName = (names: ReplicaNames) => fitName(names.mirror.table, '_row_hash');

/** The index that finds a row: that of its primary key, or of its hash. */
export function identityName(names: ReplicaNames, key: readonly string[] | null): string {
  return key === null ? rowIndexName(names) : keyName(names);
}

function unkeyStatements(names: ReplicaNames, key: readonly string[] | null): string[] {
  const mirror = quoteTable(names.mirror);
  if (key === null)
    return [`DROP INDEX IF EXISTS ${quoteTable({ schema: names.mirror.schema, table: rowIndexName(names) })}`];
  return [
    `ALTER TABLE ${mirror} DROP CONSTRAINT IF EXISTS ${quoteName(keyName(names))}`,
    ...key.map((column) => `ALTER TABLE ${mirror} ALTER COLUMN ${quoteName(column)} DROP NOT NULL`),
  ];
}

function identityStatement({ names, columns }: MirrorDdl, key: readonly string[] | null): string {
  const mirror = quoteTable(names.mirror);
  if (key === null) return `CREATE INDEX ${quoteName(rowIndexName(names))} ON ${mirror} (${rowHash('', columns)})`;
  return `ALTER TABLE ${mirror} ADD CONSTRAINT ${quoteName(keyName(names))} PRIMARY KEY (${key.map(quoteName).join(', ')})`;
}

/** The index expression is kept in one row of pg_index, which holds no more than some 300 columns. */
const hashedColumns = 100;

/**
 * An immutable hash of a whole row (of its first 100 columns), the same expression in the index and in the statements
 * that look rows up, which compare the rest themselves.
 */
export function rowHash(table: string, columns: readonly Pick<TargetColumn, 'mirror' | 'mapping'>[]): string {
  const prefix = table === '' ? '' : `${table}.`;
  const values = columns.slice(0, hashedColumns).map((c) => identityOf(prefix + quoteName(c.mirror), c));
  return `hash_record_extended(ROW(${values.join(', ')}), 0)`;
}

/** A column as it enters comparisons of whole rows: types that PostgreSQL cannot hash are compared as text. */
export function identityOf(ref: string, column: Pick<TargetColumn, 'mapping'>): string {
  return column.mapping.identity ? ref : `${ref}::text`;
}

async function retype(
  client: ClientBase,
  change: Extract<Change, { kind: 'retype' }>,
  ddl: MirrorDdl,
): Promise<MadeChange> {
  const ref = quoteName(change.to.mirror);
  const alter = (type: string, using: string) =>
    `ALTER TABLE ${quoteTable(ddl.names.mirror)} ALTER COLUMN ${ref} TYPE ${type} USING ${using}`;
  const { mappedType, sourceType } = change.to;
  const target = { postgresType: mappedType, sourceType };
  const statement = alter(mappedType, castExpression(ref, change.from, target, ddl.timeZone));
  await client.query('SAVEPOINT retype');
  try {
    await client.query(statement);
    await client.query('RELEASE SAVEPOINT retype');
    return { steps: [describeChange(change, statement)], widened: false, filled: null };
  } catch (error) {
    // 22: a value does not fit; 42846, 42804: there is no such cast. All else is for the operator.
    if (!/^22|^42846$|^42804$/.test(sqlState(error) ?? '')) throw error;
    await client.query('ROLLBACK TO SAVEPOINT retype');
    const widen = alter('text', textOf(ref, change.from, ddl.timeZone));
    await client.query(widen);
    const detail = `${change.from.postgresType} → text, because an existing value does not fit ${change.to.mappedType}`;
    return {
      steps: [{ kind: 'widen', column: change.to.name, detail, statement: widen }],
      widened: true,
      filled: null,
    };
  }
}

/** The columns of the new version as they are after its changes. */
export function storeColumns(options: {
  readonly version: number;
  readonly target: readonly TargetColumn[];
  readonly before: readonly StoredColumn[];
  readonly changes: readonly Change[];
  readonly widened: ReadonlySet<string>;
  /** Added columns whose rows of before are not NULL. */
  readonly filled: ReadonlyMap<string, string>;
  /** Labels of columns with a new enum type. */
  readonly kept: ReadonlyMap<string, readonly string[]>;
}): StoredColumn[] {
  const { version, target, before, changes, widened, filled } = options;
  const former = new Map(before.map((column) => [column.name, column]));
  for (const change of changes) {
    if (change.kind === 'rename') former.set(change.to.name, change.from);
    // Another column had its name.
    if (change.kind === 'add') former.delete(change.column.name);
  }
  return target.map((column): StoredColumn => {
    const { name, mirror, history, mappedType, sourceType, unreliable, lookup, labels } = column;
    const from = former.get(name);
    const fill = from === undefined ? filled.get(name) : from.fill;
    return {
      name,
      mirror,
      history,
      mappedType,
      sourceType,
      unreliable,
      ...storeSource(column),
      ...(lookup && { lookup }),
      ...(fill !== undefined && { fill }),
      ...storeLabels(labels, options.kept.get(name) ?? from?.kept),
      origin: from?.origin ?? `${name}@${version}`,
      postgresType: widened.has(name) || keepsWidened(from, column) ? 'text' : mappedType,
    };
  });
}

function storeSource(column: TargetColumn): Pick<StoredColumn, 'source' | 'likely'> {
  const likely = likelyNameOf(column);
  return { source: sourceNameOf(column), ...(likely !== undefined && { likely }) };
}

function keepsWidened(from: StoredColumn | undefined, { mappedType }: Pick<TargetColumn, 'mappedType'>): boolean {
  return from !== undefined && from.mappedType === mappedType && from.postgresType !== mappedType;
}

function storeLabels(
  form: TargetColumn['labels'],
  kept: readonly string[] = [],
): Pick<StoredColumn, 'labels' | 'kept'> {
  const labels = storedLabels(form);
  return { ...(labels && { labels }), ...(labels === 'enum' && kept.length > 0 && { kept }) };
}
