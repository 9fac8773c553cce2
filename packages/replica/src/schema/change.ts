import type { ClientBase } from 'pg';
import type { Batch } from '@afterimage/change-events';
import type { SchemaStep, StoredColumn } from '../control/tables.js';
import { StreamHalted, describeError, isTransient, sqlState } from '../errors.js';
import { createSegmentStatements, historyRowColumns } from '../history/segment.js';
import { createOrReplace } from '../history/replaceable.js';
import { asOfFunctions, historyView } from '../history/view.js';
import { type ReplicaNames, type TableName, enumName, quoteName, quoteTable, segmentName } from '../names.js';
import type { Relaxation } from './relax.js';
import type { TableSettings } from '../settings.js';
import { createSchema, makeChange, storeColumns } from './ddl.js';
import { type Change, describeChange, planSchemaChange } from './plan.js';
import { sourceNameOf, type TargetColumn, type TargetSchema } from './target.js';
import { storedLabels } from './labels.js';
import { alignMirror, dropRetypedConstraints } from './constraints.js';
import type { Followed } from './origins.js';
import { type KnowledgeRecord, type SchemaVersion, loadVersions } from './versions.js';

export interface SchemaChange {
  readonly batch: Pick<Batch, 'stream' | 'firstOrdinal' | 'firstTimestamp'> & {
    readonly schema: Omit<Batch['schema'], 'since'>;
  };
  readonly current: SchemaVersion | null;
  readonly target: TargetSchema;
  readonly settings: TableSettings;
  readonly names: ReplicaNames;
  /** What `target` was made with. */
  readonly knowledge: KnowledgeRecord | null;
  /** What the columns of `current` are by that. */
  readonly followed?: Followed | undefined;
  /** A mirror and a first history segment that are there already, under their own names in this schema, and become the stream's. */
  readonly prepared?: string | undefined;
  /** Constraints that the mirror must do without, because rows that come do not keep them. */
  readonly relaxed?: readonly Relaxation[] | undefined;
}

/** Whether `current` is what the batch's fields and the settings of now ask for. */
export function isInForce(current: SchemaVersion, target: TargetSchema, fingerprint: string): boolean {
  if (current.fingerprint !== fingerprint) return false;
  const isSameSource = target.columns.every((column, i) => {
    const { source } = current.columns[i] ?? {};
    return source === undefined || source === sourceNameOf(column);
  });
  if (!isSameSource) return false;
  const shape = (columns: readonly (TargetColumn | StoredColumn)[]) =>
    columns.map(({ name, mirror, mappedType, sourceType, unreliable, lookup = false, labels }) => {
      return [name, mirror, mappedType, sourceType, unreliable, lookup, storedLabels(labels)];
    });
  const whole = ({ columns, key, indexes }: TargetSchema | SchemaVersion) =>
    JSON.stringify([shape(columns), key, indexes.map(({ name, text, unique }) => [name, text, unique])]);
  return whole(target) === whole(current);
}

/**
 * Brings mirror and history to the batch's schema and records the new version: all inside the caller's transaction,
 * before any row that needs it. Throws StreamHalted when the operator has to decide or PostgreSQL refuses.
 */
export async function applySchemaChange(client: ClientBase, change: SchemaChange): Promise<SchemaVersion> {
  try {
    return await changeSchema(client, change);
  } catch (error) {
    if (error instanceof StreamHalted || isTransient(error)) throw error;
    throw refusal(change.names, error);
  }
}

function refusal(names: ReplicaNames, error: unknown): StreamHalted {
  const mirror = `${names.mirror.schema}.${names.mirror.table}`;
  const why = describeError(error);
  switch (sqlState(error)) {
    case '42501':
      return new StreamHalted(
        'PRIVILEGE_MISSING',
        `the writer's role may not change ${mirror} or its history: ${why}`,
        error,
      );
    case '42P07':
    case '42710':
    case '42939':
      return new StreamHalted(
        'MIRROR_NAME_TAKEN',
        `cannot create ${mirror} or its history: ${why}. Drop what is there, or set "as" for this table.`,
        error,
      );
    case '54011':
      return new StreamHalted(
        'SCHEMA_REFUSED',
        `${mirror} or its history would have too many columns: ${why}. A history table has 7 besides the source's, so a source table can have 1593. Take it out of the configuration, or split it at the source.`,
        error,
      );
    default:
      return new StreamHalted(
        'SCHEMA_REFUSED',
        `schema change of ${mirror} refused: ${why}. It is tried again by itself; resolve the cause.`,
        error,
      );
  }
}

async function changeSchema(client: ClientBase, change: SchemaChange): Promise<SchemaVersion> {
  const { batch, current, target, settings, names, knowledge, relaxed, followed } = change;
  const before = current !== null && followed !== undefined ? { ...current, followed } : current;
  const changes = planSchemaChange(before, target, settings.rename);
  const made = await changeMirror(client, change, changes);

  const { next, isNewShape } = nextVersion(change, changes, made);
  const aligned = await alignMirror(client, { names, settings, target, current, knowledge, relaxed });
  const steps = [...made.steps, ...aligned];
  if (steps.length === 0)
    steps.push({ kind: 'unchanged', column: null, detail: 'same columns and types in PostgreSQL', statement: null });
  if (isNewShape) await createSegment(client, change, next);

  const recreated = changes.some(({ kind }) => kind === 'recreate');
  await recordVersion(client, change, next, { steps, recreated });
  await recordUnreliable(client, batch.stream.id, next);
  if (isNewShape) {
    const versions = await loadVersions(client, batch.stream.id);
    await createOrReplace(client, historyView(names, versions, settings.types.timeZone));
  }
  for (const asOf of asOfFunctions({ names, columns: next.columns, key: next.key }))
    await createOrReplace(client, asOf);
  if (recreated) await markTruncate(client, change, next.segment);
  return next;
}

/** The version to come. Where columns and types stay as they are, it goes on in the segment of the one before. */
function nextVersion(
  { batch, current, target, names, knowledge }: SchemaChange,
  changes: readonly Change[],
  { widened, filled, kept }: MadeChanges,
): { next: SchemaVersion; isNewShape: boolean } {
  const {
    version: former,
    columns: before,
    segment: segmentBefore,
  } = current ?? { version: 0, columns: [], segment: null };
  const version = former + 1;
  const columns = storeColumns({ version, target: target.columns, before, changes, widened, filled, kept });
  const shape = (list: readonly StoredColumn[]) =>
    JSON.stringify(list.map((c) => [c.history, c.postgresType, c.origin]));
  const isNewShape = shape(before) !== shape(columns);
  const segment = isNewShape || segmentBefore === null ? quoteTable(segmentName(names, version)) : segmentBefore;
  const { fingerprint, fields } = batch.schema;
  const { key, indexes } = target;
  return { next: { version, fingerprint, fields, columns, key, segment, knowledge, indexes }, isNewShape };
}

async function changeMirror(
  client: ClientBase,
  change: SchemaChange,
  changes: readonly Change[],
): Promise<MadeChanges> {
  const { target, settings, names, prepared } = change;
  if (prepared !== undefined)
    return {
      steps: await takeMirror(client, change, prepared),
      widened: new Set(),
      filled: new Map(),
      kept: new Map(),
    };
  const ddl = { names, columns: target.columns, timeZone: settings.types.timeZone };
  const steps = await dropRetypedConstraints(client, names, changes);
  const recreated = changes.some(({ kind }) => kind === 'recreate');
  const widened = new Set<string>();
  const filled = new Map<string, string>();
  const kept = new Map<string, readonly string[]>();
  for (const one of changes) {
    const made = await makeChange(client, one, ddl);
    steps.push(...made.steps);
    if (made.widened && one.kind === 'retype') widened.add(one.to.name);
    if (made.kept !== undefined && one.kind === 'relabel') kept.set(one.to.name, made.kept);
    if (made.filled !== null && one.kind === 'add' && !recreated) filled.set(one.column.name, made.filled);
  }
  return { steps, widened, filled, kept };
}

interface MadeChanges {
  readonly steps: readonly SchemaStep[];
  /** Columns that became text because a value did not fit. */
  readonly widened: ReadonlySet<string>;
  /** Added columns that are not NULL in the rows that were there. */
  readonly filled: ReadonlyMap<string, string>;
  /** Labels of new enum types besides those that are listed. */
  readonly kept: ReadonlyMap<string, readonly string[]>;
}

/** The prepared mirror has key and indexes under the names that they would have been created with. */
async function takeMirror(
  client: ClientBase,
  { names, target }: SchemaChange,
  prepared: string,
): Promise<SchemaStep[]> {
  const { schema, table } = names.mirror;
  const types = target.columns.filter(({ labels }) => labels === 'enum').map(({ mirror }) => enumName(names, mirror));
  const statements = [
    ...(await createSchema(client, schema)),
    ...types.map((type) => `ALTER TYPE ${quoteTable({ ...type, schema: prepared })} SET SCHEMA ${quoteName(schema)}`),
    moveTable({ schema: prepared, table }, schema),
  ];
  for (const statement of statements) await client.query(statement);
  const rekey = describeChange({ kind: 'rekey', key: target.key }, null);
  return [
    { kind: 'create', column: null, detail: 'mirror table made from a snapshot', statement: statements.join('; ') },
    rekey,
  ];
}

function moveTable(table: TableName, schema: string): string {
  return `ALTER TABLE ${quoteTable(table)} SET SCHEMA ${quoteName(schema)}`;
}

async function createSegment(
  client: ClientBase,
  { names, settings, prepared }: SchemaChange,
  next: SchemaVersion,
): Promise<void> {
  if (prepared !== undefined) {
    const { schema, table } = segmentName(names, next.version);
    for (const statement of [...(await createSchema(client, schema)), moveTable({ schema: prepared, table }, schema)])
      await client.query(statement);
    return;
  }
  const key = new Set(next.key);
  const indexKey =
    settings.historyIndex === 'key' && next.key !== null
      ? next.columns.filter((c) => key.has(c.mirror)).map((c) => c.history)
      : null;
  const statements = [
    ...(await createSchema(client, names.history.schema)),
    ...createSegmentStatements({ names, segment: segmentName(names, next.version), columns: next.columns, indexKey }),
  ];
  for (const statement of statements) await client.query(statement);
}

async function recordVersion(
  client: ClientBase,
  change: SchemaChange,
  next: SchemaVersion,
  made: { steps: SchemaStep[]; recreated: boolean },
): Promise<void> {
  const { batch } = change;
  await client.query(
    `INSERT INTO afterimage.schema_versions
       (stream_id, version, fingerprint, fields, columns, key, first_ordinal, source_gtid, file_version, segment, steps, recreated, knowledge_id, indexes)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)`,
    [
      batch.stream.id,
      next.version,
      next.fingerprint,
      JSON.stringify(next.fields),
      JSON.stringify(next.columns),
      JSON.stringify(next.key),
      batch.firstOrdinal,
      batch.schema.gtid,
      batch.schema.version,
      next.segment,
      JSON.stringify(made.steps),
      made.recreated,
      next.knowledge?.id ?? null,
      JSON.stringify(next.indexes),
    ],
  );
  await client.query('UPDATE afterimage.streams SET knowledge_id = $2 WHERE id = $1', [
    batch.stream.id,
    next.knowledge?.id ?? null,
  ]);
}

async function recordUnreliable(client: ClientBase, streamId: string, { columns }: SchemaVersion): Promise<void> {
  const unreliable = columns.filter((column) => column.unreliable !== null);
  await client.query('DELETE FROM afterimage.unreliable_columns WHERE stream_id = $1 AND column_name <> ALL ($2)', [
    streamId,
    unreliable.map((column) => column.name),
  ]);
  await client.query(
    `INSERT INTO afterimage.unreliable_columns (stream_id, column_name, reason)
     SELECT $1, name, reason FROM unnest($2::text[], $3::text[]) AS u(name, reason)
     ON CONFLICT (stream_id, column_name) DO UPDATE SET reason = excluded.reason`,
    [streamId, unreliable.map((column) => column.name), unreliable.map(describeUnreliable)],
  );
}

function describeUnreliable({ unreliable, lookup }: StoredColumn): string {
  return lookup === true
    ? `read from MariaDB as it is when a row has changed, because ${unreliable ?? ''}`
    : (unreliable ?? '');
}

/** A history row that says: all rows from before are gone. */
async function markTruncate(client: ClientBase, { batch }: SchemaChange, segment: string): Promise<void> {
  const [domain = '0', serverId = '0', sequence = '0'] = batch.schema.gtid.split('-');
  const columns = historyRowColumns.map(([name]) => quoteName(name)).join(', ');
  await client.query(
    `INSERT INTO ${segment} (${columns}) VALUES ($1::bigint - 1, $2, $3, $4, 0, to_timestamp($5), 'truncate')`,
    [batch.firstOrdinal, domain, serverId, sequence, batch.firstTimestamp],
  );
}
