import type { ClientBase } from 'pg';
import type { SchemaStep, StoredColumn } from '../control/tables.js';
import { sqlState } from '../errors.js';
import { type ReplicaNames, enumName, fitName, quoteLiteral, quoteName, quoteTable } from '../names.js';
import type { TableSettings } from '../settings.js';
import { type ColumnMapping, parseMariaType } from '../types/index.js';

/** What a mirror makes of the labels of an ENUM or SET. */
export type LabelForm = TableSettings['labels'];

/** A column as far as its labels go. Wherever values are text, those of an enum type are, too: only the mirror has it. */
export interface LabelledColumn {
  readonly mirror: string;
  /** `enum('a','b')` */
  readonly sourceType: string;
  /** Null, absent: a CHECK, or it has no labels. */
  readonly labels?: LabelForm | null;
  readonly kept?: readonly string[];
}

/** PostgreSQL's limit for one (manual, "CREATE TYPE"). */
const labelBytes = 63;

/**
 * What becomes of a column's labels; null where it has none that are known, or is no text. A SET stays text: PostgreSQL has
 * no such type, and an array would be another value. So do labels that are too long, and a type that somebody chose.
 */
export function chooseLabelForm(
  { sourceType, postgresType, notice }: ColumnMapping,
  { wanted, isChosen }: { readonly wanted: LabelForm; readonly isChosen: boolean },
): LabelForm | null {
  if (!/^(?:enum|set)\(/.test(sourceType) || postgresType !== 'text' || notice !== null) return null;
  const labels = labelsOf({ sourceType });
  if (labels.some((label) => label.includes('\0'))) return null;
  if (wanted !== 'enum') return wanted;
  const fits = sourceType.startsWith('enum(') && labels.every((label) => Buffer.byteLength(label) <= labelBytes);
  return fits && !isChosen ? 'enum' : 'check';
}

/** In MariaDB's order. */
export function labelsOf({ sourceType }: Pick<LabelledColumn, 'sourceType'>): readonly string[] {
  return parseMariaType(sourceType).labels;
}

/** What is kept of the form with a schema version. */
export function storedLabels(labels: LabelForm | null | undefined): StoredColumn['labels'] | null {
  return labels === 'enum' || labels === 'none' ? labels : null;
}

/** What the enum type must have; null where the column has none. First '', MariaDB's error value, which sorts so there, too. */
export function listedLabels(column: Pick<LabelledColumn, 'sourceType' | 'labels'>): readonly string[] | null {
  return column.labels === 'enum' ? [...new Set(['', ...labelsOf(column)])] : null;
}

/** What it has. */
export function enumLabels(column: LabelledColumn): readonly string[] | null {
  const listed = listedLabels(column);
  return listed === null ? null : [...listed, ...(column.kept ?? [])];
}

/** The type that a column has in the mirror, where values are of `type`. */
export function mirrorType(names: ReplicaNames, column: LabelledColumn, type: string): string {
  return column.labels === 'enum' ? quoteTable(enumName(names, column.mirror)) : type;
}

/**
 * A text as the mirror's column takes it. A label that the type lacks is one of long ago, which no row had any more: '', as
 * MariaDB makes of it when it takes the label away.
 */
export function toMirror(names: ReplicaNames, column: LabelledColumn, text: string): string {
  return column.labels === 'enum' ? `(${knownLabel(column, text)})::${mirrorType(names, column, 'text')}` : text;
}

/** The text of what the mirror has for a text. */
export function knownLabel(column: LabelledColumn, text: string): string {
  const labels = enumLabels(column);
  if (labels === null) return text;
  return `CASE WHEN ${text} <> ALL (ARRAY[${labels.map(quoteLiteral).join(', ')}]::text[]) THEN '' ELSE ${text} END`;
}

/** A value of the mirror as it is everywhere else. */
export function fromMirror(column: Pick<LabelledColumn, 'labels'>, ref: string): string {
  return column.labels === 'enum' ? `${ref}::text` : ref;
}

/** Creates the type of a column, before it. It is there already where the mirror was dropped by hand. */
export async function createEnum(client: ClientBase, names: ReplicaNames, column: LabelledColumn): Promise<string[]> {
  const labels = enumLabels(column);
  if (labels === null) return [];
  const name = quoteTable(enumName(names, column.mirror));
  const { rows } = await client.query<{ labels: string[] | null }>(
    'SELECT array_agg(enumlabel::text ORDER BY enumsortorder) AS labels FROM pg_enum WHERE enumtypid = to_regtype($1)',
    [name],
  );
  if (JSON.stringify(rows[0]?.labels) === JSON.stringify(labels)) return [];
  const statement = `CREATE TYPE ${name} AS ENUM (${labels.map(quoteLiteral).join(', ')})`;
  await client.query(statement);
  return [statement];
}

/** Drops the type of a column that is gone, unless something else has come to use it. */
export async function dropEnum(client: ClientBase, names: ReplicaNames, column: string): Promise<string[]> {
  return dropType(client, quoteTable(enumName(names, column)));
}

async function dropType(client: ClientBase, name: string): Promise<string[]> {
  const statement = `DROP TYPE ${name}`;
  await client.query('SAVEPOINT type');
  try {
    await client.query(statement);
  } catch (error) {
    if (sqlState(error) !== '2BP01') throw error;
    await client.query('ROLLBACK TO SAVEPOINT type');
    return [];
  }
  await client.query('RELEASE SAVEPOINT type');
  return [statement];
}

/**
 * Gives a mirror column of text the enum type of its labels, or another one, or takes it off. A label added to the type that is
 * there could not be used in this transaction, so there is always a new one, and the table is rewritten.
 */
export async function relabel(
  client: ClientBase,
  names: ReplicaNames,
  { from, to }: { readonly from: LabelledColumn; readonly to: LabelledColumn },
): Promise<Relabelled> {
  const mirror = quoteTable(names.mirror);
  const ref = quoteName(to.mirror);
  const statements: string[] = [];
  const kept = await findKept(client, mirror, { ...to, kept: [] });
  const made = { ...to, kept };
  const former = from.labels === 'enum' ? await putAside(client, names, to.mirror) : null;
  if (former !== null) statements.push(former.statement);
  statements.push(...(await createEnum(client, names, made)));
  const value = toMirror(names, made, fromMirror(from, ref));
  const alter = `ALTER TABLE ${mirror} ALTER COLUMN ${ref} TYPE ${mirrorType(names, to, 'text')} USING ${value}`;
  await client.query(alter);
  statements.push(alter);
  if (former !== null) statements.push(...(await dropType(client, former.name)));
  const detail = to.labels === 'enum' ? `labels as a type: ${to.sourceType}` : 'labels as text';
  return { step: { kind: 'retype', column: to.mirror, detail, statement: statements.join('; ') }, kept };
}

export interface Relabelled {
  readonly step: SchemaStep;
  /** See StoredColumn. */
  readonly kept: readonly string[];
}

/** Of a column that was no ENUM before, rows may have any text. */
const mostKept = 1000;

/**
 * The labels of rows that the list lacks. MariaDB made them '' when it took the label away, but told nobody: the mirror keeps what
 * history has, until a comparison finds it.
 */
async function findKept(client: ClientBase, mirror: string, column: LabelledColumn): Promise<string[]> {
  const listed = listedLabels(column);
  if (listed === null) return [];
  const text = `${quoteName(column.mirror)}::text`;
  const { rows } = await client.query<{ label: string }>(
    `SELECT DISTINCT ${text} COLLATE "C" AS label FROM ${mirror} WHERE ${text} <> ALL ($1) AND octet_length(${text}) <= ${labelBytes} ORDER BY 1 LIMIT ${mostKept}`,
    [listed],
  );
  return rows.map(({ label }) => label);
}

/** The type in force makes room for its successor, under a name that none has had. */
async function putAside(
  client: ClientBase,
  names: ReplicaNames,
  column: string,
): Promise<{ name: string; statement: string }> {
  const { schema, table } = enumName(names, column);
  const name = quoteTable({ schema, table });
  const { rows } = await client.query<{ oid: string }>('SELECT $1::regtype::oid::text AS oid', [name]);
  const aside = fitName(table, `$${rows[0]?.oid ?? ''}`);
  const statement = `ALTER TYPE ${name} RENAME TO ${quoteName(aside)}`;
  await client.query(statement);
  return { name: quoteTable({ schema, table: aside }), statement };
}
