import type { ClientBase } from 'pg';
import type { SchemaStep } from '../control/tables.js';
import { sqlState } from '../errors.js';
import { type ReplicaNames, fitName, quoteLiteral, quoteName, quoteTable } from '../names.js';
import type { TableSettings } from '../settings.js';
import { type Relaxation, describeNull } from './relax.js';
import { alignIndexes, dropUnique } from './indexes.js';
import { labelsOf } from './labels.js';
import type { Change } from './plan.js';
import type { TargetColumn, TargetSchema } from './target.js';
import type { KnowledgeRecord, SchemaVersion } from './versions.js';

export interface MirrorAlignment {
  readonly names: ReplicaNames;
  readonly settings: TableSettings;
  readonly target: TargetSchema;
  readonly current: SchemaVersion | null;
  readonly knowledge: KnowledgeRecord | null;
  /** What must be left off, whatever is known. */
  readonly relaxed?: readonly Relaxation[] | undefined;
}

/** What PostgreSQL's catalog says of one column of a mirror. */
interface MirrorColumn {
  readonly name: string;
  readonly notNull: boolean;
  readonly comment: string | null;
  /** Name and definition of its check of labels. */
  readonly check: string | null;
  readonly checkText: string | null;
}

const selectMirror = `
  SELECT a.attname AS name, a.attnotnull AS "notNull", col_description(a.attrelid, a.attnum) AS comment,
         c.conname AS check, obj_description(c.oid, 'pg_constraint') AS "checkText"
  FROM pg_attribute a
  LEFT JOIN pg_constraint c ON c.conrelid = a.attrelid AND c.contype = 'c' AND c.conkey = ARRAY[a.attnum] AND c.conname LIKE '%\\_labels'
  WHERE a.attrelid = $1::regclass AND a.attnum > 0 AND NOT a.attisdropped`;

async function readMirror(client: ClientBase, names: ReplicaNames): Promise<Map<string, MirrorColumn>> {
  const { rows } = await client.query<MirrorColumn>(selectMirror, [quoteTable(names.mirror)]);
  return new Map(rows.map((column) => [column.name, column]));
}

/**
 * Gives a mirror what MariaDB knows of the table besides columns and key: NOT NULL, labels as CHECK, comments, and indexes
 * where they are wanted. Only what no value that can come would break; without knowledge the mirror stays as it is.
 */
export async function alignMirror(client: ClientBase, alignment: MirrorAlignment): Promise<SchemaStep[]> {
  const { names, knowledge, target } = alignment;
  if (knowledge === null) return [];
  const there = await readMirror(client, names);
  const steps: SchemaStep[] = [];
  for (const column of target.columns) {
    const mirror = there.get(column.mirror);
    if (mirror === undefined) continue;
    steps.push(...(await alignNotNull(client, alignment, column, mirror)));
    steps.push(...(await alignLabels(client, names, column, mirror)));
    steps.push(...(await alignComment(client, alignment, column, mirror)));
  }
  steps.push(...(await alignTableComment(client, alignment)));
  const relaxed = relaxedNames(alignment, 'unique');
  steps.push(...(await alignIndexes(client, { names, indexes: target.indexes, relaxed })));
  return steps;
}

function relaxedNames({ relaxed = [] }: MirrorAlignment, kind: Relaxation['kind']): ReadonlySet<string> {
  return new Set(relaxed.flatMap((one) => (one.kind === kind ? [one.name] : [])));
}

/**
 * Takes checks of labels and unique constraints off columns that change, before they do: the new labels would be refused by
 * the checks, whose names are those of the columns, another type would not fit them, and values of it may meet.
 */
export async function dropRetypedConstraints(
  client: ClientBase,
  names: ReplicaNames,
  changes: readonly Change[],
): Promise<SchemaStep[]> {
  const changed = new Set(
    changes.flatMap((change) => {
      const isRenamed = change.kind === 'rename' && change.from.mirror !== change.to.mirror;
      return isRenamed || change.kind === 'retype' || change.kind === 'relabel' ? [change.from.mirror] : [];
    }),
  );
  if (changed.size === 0) return [];
  const there = await readMirror(client, names);
  const steps: SchemaStep[] = [];
  for (const column of there.values()) {
    if (!changed.has(column.name) || column.check === null) continue;
    const statement = `ALTER TABLE ${quoteTable(names.mirror)} DROP CONSTRAINT ${quoteName(column.check)}`;
    await client.query(statement);
    steps.push({ kind: 'constraint', column: column.name, detail: 'labels free', statement });
  }
  return [...steps, ...(await dropUnique(client, names, changed))];
}

async function alignNotNull(
  client: ClientBase,
  alignment: MirrorAlignment,
  column: TargetColumn,
  there: MirrorColumn,
): Promise<SchemaStep[]> {
  const { names, target, settings } = alignment;
  if (column.known === null || target.key?.includes(column.mirror) === true) return [];
  const alter = `ALTER TABLE ${quoteTable(names.mirror)} ALTER COLUMN ${quoteName(column.mirror)}`;
  const isRelaxed = relaxedNames(alignment, 'not-null').has(column.mirror);
  if (isNeverNull(column, settings) && !isRelaxed) return there.notNull ? [] : setNotNull(client, column, alter);
  return dropNotNull(client, there, { column, alter, isRelaxed });
}

async function dropNotNull(
  client: ClientBase,
  { notNull }: MirrorColumn,
  { column, alter, isRelaxed }: { column: TargetColumn; alter: string; isRelaxed: boolean },
): Promise<SchemaStep[]> {
  const statement = notNull ? `${alter} DROP NOT NULL` : null;
  if (statement !== null) await client.query(statement);
  if (isRelaxed) return [relaxStep(column, statement)];
  return statement === null ? [] : [{ kind: 'constraint', column: column.name, detail: 'may be NULL', statement }];
}

async function setNotNull(client: ClientBase, column: TargetColumn, alter: string): Promise<SchemaStep[]> {
  const statement = `${alter} SET NOT NULL`;
  // A row that came before the column was NOT NULL may still be NULL here.
  const done = await tryStatement(client, statement, '23502');
  return [done ? { kind: 'constraint', column: column.name, detail: 'NOT NULL', statement } : relaxStep(column, null)];
}

function relaxStep({ name, mirror }: TargetColumn, statement: string | null): SchemaStep {
  return { kind: 'relax', column: name, detail: describeNull(mirror), statement };
}

/** Whether no value that is there at the source can become NULL on its way: no lost value, no zero date. */
function isNeverNull({ known, mapping }: TargetColumn, { types }: TableSettings): boolean {
  if (known === null || known.isNullable || known.generated !== null || mapping.lost('v') !== null) return false;
  const isMoment = known.type.kind === 'date' || known.type.kind === 'datetime' || known.type.kind === 'timestamp';
  return mapping.unreliable === null && !(isMoment && types.zeroDates === 'null');
}

async function alignLabels(
  client: ClientBase,
  names: ReplicaNames,
  column: TargetColumn,
  there: MirrorColumn,
): Promise<SchemaStep[]> {
  const condition = labelCondition(column);
  // Its own text as its comment: PostgreSQL shows a definition in another form than it was given.
  if ((condition ?? null) === there.checkText && (condition === null) === (there.check === null)) return [];
  const table = quoteTable(names.mirror);
  const name = quoteName(fitName(`${names.mirror.table}_${column.mirror}`, '_labels'));
  const statements = [
    ...(there.check === null ? [] : [`ALTER TABLE ${table} DROP CONSTRAINT ${quoteName(there.check)}`]),
    // Rows of before may have a label that is gone: MariaDB changed those without an event.
    ...(condition === null ? [] : [`ALTER TABLE ${table} ADD CONSTRAINT ${name} CHECK (${condition}) NOT VALID`]),
  ];
  for (const statement of statements) await client.query(statement);
  if (condition !== null) await client.query(`COMMENT ON CONSTRAINT ${name} ON ${table} IS ${quoteLiteral(condition)}`);
  const detail = condition === null ? 'labels without a CHECK' : `labels as in ${column.sourceType}`;
  return [{ kind: 'constraint', column: column.name, detail, statement: statements.join('; ') }];
}

/** What a label can be; null where that is left free. The error value of an ENUM is ''. */
function labelCondition(column: TargetColumn): string | null {
  if (column.labels !== 'check') return null;
  const list = labelsOf(column).map(quoteLiteral).join(', ');
  const ref = quoteName(column.mirror);
  if (column.sourceType.startsWith('enum(')) return `${ref} IN ('', ${list})`;
  return `string_to_array(${ref}, ',') <@ ARRAY[${list}]`;
}

async function alignComment(
  client: ClientBase,
  { names, current }: MirrorAlignment,
  column: TargetColumn,
  there: MirrorColumn,
): Promise<SchemaStep[]> {
  if (column.known === null) return [];
  const former = current?.knowledge?.table.columns.find(({ streamName }) => streamName === column.known?.streamName);
  const text = nextComment(column.known.comment, there.comment, former?.comment);
  if (text === undefined) return [];
  const statement = `COMMENT ON COLUMN ${quoteTable(names.mirror)}.${quoteName(column.mirror)} IS ${text}`;
  await client.query(statement);
  return [{ kind: 'comment', column: column.name, detail: 'comment as in MariaDB', statement }];
}

async function alignTableComment(
  client: ClientBase,
  { names, current, knowledge }: MirrorAlignment,
): Promise<SchemaStep[]> {
  const { rows } = await client.query<{ comment: string | null }>(
    `SELECT obj_description($1::regclass, 'pg_class') AS comment`,
    [quoteTable(names.mirror)],
  );
  const text = nextComment(knowledge?.table.comment ?? '', rows[0]?.comment ?? null, current?.knowledge?.table.comment);
  if (text === undefined) return [];
  const statement = `COMMENT ON TABLE ${quoteTable(names.mirror)} IS ${text}`;
  await client.query(statement);
  return [{ kind: 'comment', column: null, detail: 'comment as in MariaDB', statement }];
}

/** The SQL of the comment to set; undefined = leave it. A comment that went in MariaDB goes here, unless it is one of the user's own. */
function nextComment(wanted: string, there: string | null, former: string | undefined): string | undefined {
  const text = wanted.replaceAll('\0', '');
  if (text !== '') return text === there ? undefined : quoteLiteral(text);
  return there !== null && there === former ? 'NULL' : undefined;
}

/** False when PostgreSQL refuses with `state`, and then nothing has changed. */
async function tryStatement(client: ClientBase, statement: string, state: string): Promise<boolean> {
  await client.query('SAVEPOINT attempt');
  try {
    await client.query(statement);
    await client.query('RELEASE SAVEPOINT attempt');
    return true;
  } catch (error) {
    if (sqlState(error) !== state) throw error;
    await client.query('ROLLBACK TO SAVEPOINT attempt');
    await client.query('RELEASE SAVEPOINT attempt');
    return false;
  }
}
