import { randomBytes } from 'node:crypto';
import { type Field, formatPosition, positionAfterGtids } from '@afterimage/change-events';
import type { TableKnowledge } from '@afterimage/mariadb';
import type { ClientBase, Pool } from 'pg';
import { recordKnowledge } from '../apply/source.js';
import type { StreamRecord } from '../control/streams.js';
import type { StoredColumn } from '../control/tables.js';
import { createSegmentStatements, historyRowColumns } from '../history/segment.js';
import { type ReplicaNames, type TableName, quoteName, quoteTable, replicaNames, segmentName } from '../names.js';
import { type CurrentReplica, loadCurrent } from '../operations/current.js';
import { makeChange, storeColumns } from '../schema/ddl.js';
import { type TargetColumn, type TargetSchema, targetSchema } from '../schema/target.js';
import type { KnowledgeRecord } from '../schema/versions.js';
import type { TableSettings, TableSettingsProvider } from '../settings.js';
import { inTransaction } from '../transaction.js';

/** A column to be filled: the stream's name for it, and the type and name it has in the mirror. */
export interface ShadowColumn {
  readonly name: string;
  readonly mirror: string;
  readonly postgresType: string;
}

/**
 * A table like a mirror, in a schema of its own, that is filled before it becomes the mirror, or is compared with it. Table,
 * key and indexes have the mirror's names, so that they need only move to its schema.
 */
export interface Shadow {
  readonly stream: StreamRecord;
  readonly schema: string;
  /** Of the table to fill. */
  readonly table: TableName;
  readonly columns: readonly ShadowColumn[];
  /** As the source's table is: what the first schema version is made from. */
  readonly fields: readonly Field[];
  readonly settings: TableSettings;
  readonly target: TargetSchema;
  /** What MariaDB said of the table when it was copied. */
  readonly knowledge: KnowledgeRecord;
  /** The schema version that it is like; 0: the stream has none yet, and it may become the mirror. */
  readonly version: number;
  /** What it is like; null: the stream has no version yet. */
  readonly current: CurrentReplica | null;
}

export interface ShadowOptions {
  readonly stream: StreamRecord;
  readonly settingsOf: TableSettingsProvider;
  /** The columns of the source's table, as the stream would describe them. */
  readonly fields: readonly Field[];
  /** What MariaDB says of the table at the place; it is kept so since. */
  readonly knowledge: TableKnowledge;
  readonly place: SnapshotPlace;
}

/** The shadows of a stream live in schemas that begin so. */
function schemaPrefix(streamId: string): string {
  return `afterimage_snapshot_${streamId.slice(0, 8)}_`;
}

/** Removes what is left of snapshots of a stream. */
async function dropShadows(client: ClientBase, streamId: string): Promise<void> {
  const { rows } = await client.query<{ name: string }>(
    'SELECT nspname AS name FROM pg_namespace WHERE starts_with(nspname, $1)',
    [schemaPrefix(streamId)],
  );
  for (const { name } of rows) await client.query(`DROP SCHEMA IF EXISTS ${quoteName(name)} CASCADE`);
}

/**
 * Creates a shadow, empty, in place of those that are left from before: a process that lost its lock without noticing can
 * go on with its own only until then, and never has anything in common with its successor's. Throws StreamHalted where the configuration
 * does not fit the fields, and PostgreSQL's error (42501: the role may not create schemas).
 */
export async function createShadow(
  pool: Pool,
  { stream, settingsOf, fields, knowledge: table, place }: ShadowOptions,
): Promise<Shadow> {
  const position = place.gtids === '' ? null : formatPosition(positionAfterGtids(place.gtids));
  const seen = { table, at: place.at.toISOString(), first: position, last: position };
  const knowledge = { table, id: await recordKnowledge(pool, stream, seen) };
  return inTransaction(pool, async (client) => {
    const settings = settingsOf(stream);
    if (settings === undefined) throw new Error(`${stream.database}.${stream.table} is not in the configuration`);
    const schema = schemaPrefix(stream.id) + randomBytes(4).toString('hex');
    await dropShadows(client, stream.id);
    await client.query(`CREATE SCHEMA ${quoteName(schema)}`);
    const current = await findCurrent(client, { stream, settingsOf });
    const target = current === null ? targetSchema(fields, settings, table) : targetInForce(current);
    const names = namesIn(schema, replicaNames(settings.mirror, settings.historySuffix));
    const columns = target.columns.map(({ name, mirror, mappedType }) => ({ name, mirror, postgresType: mappedType }));
    const shadow: Shadow = {
      stream,
      schema,
      table: names.mirror,
      columns,
      fields,
      settings,
      target,
      knowledge,
      version: current?.version.version ?? 0,
      current,
    };
    await makeChange(client, { kind: 'create' }, ddlOf(shadow));
    if (shadow.version === 0) await createReadHistory(client, shadow, place);
    return shadow;
  });
}

async function findCurrent(
  client: ClientBase,
  { stream, settingsOf }: Pick<ShadowOptions, 'stream' | 'settingsOf'>,
): Promise<CurrentReplica | null> {
  const { rows } = await client.query<{ streamed: boolean }>(
    'SELECT coalesce(max(schema_version), 0) > 0 AS streamed FROM afterimage.offsets WHERE stream_id = $1',
    [stream.id],
  );
  return rows[0]?.streamed === true ? loadCurrent(client, { stream, settingsOf, lock: false }) : null;
}

/** The columns in force, with the types that their values have: a widened one is text, and so is an enum. */
export function targetInForce({ target, version }: CurrentReplica): TargetSchema {
  const columns = target.columns.map((column, i): TargetColumn => {
    const { mirror = column.mirror, postgresType = column.mappedType } = version.columns[i] ?? {};
    return { ...column, mirror, mappedType: postgresType, labels: null };
  });
  return { columns, key: version.key, indexes: version.indexes };
}

/** All that belongs to the stream, as if its mirror and its history lived in the shadow's schema. */
function namesIn(schema: string, names: ReplicaNames): ReplicaNames {
  const moved = ({ table }: TableName): TableName => ({ schema, table });
  return {
    mirror: moved(names.mirror),
    history: moved(names.history),
    asOf: moved(names.asOf),
    asOfGtid: moved(names.asOfGtid),
  };
}

export function shadowNames({ schema, settings }: Shadow): ReplicaNames {
  return namesIn(schema, replicaNames(settings.mirror, settings.historySuffix));
}

function ddlOf(shadow: Shadow) {
  const { target, settings } = shadow;
  return { names: shadowNames(shadow), columns: target.columns, timeZone: settings.types.timeZone };
}

/** What is left of a snapshot is removed. */
export async function dropShadow(pool: Pool, streamId: string): Promise<void> {
  await inTransaction(pool, (client) => dropShadows(client, streamId));
}

/** Gives a filled shadow its key, or its row index. Rejects with 23505 when the source's key does not hold here. */
export async function indexShadow(client: ClientBase, shadow: Shadow): Promise<void> {
  await makeChange(client, { kind: 'rekey', key: shadow.target.key }, ddlOf(shadow));
  await client.query(`ANALYZE ${quoteTable(shadow.table)}`);
}

/** The place of a snapshot in the stream, as its history rows say it. */
export interface SnapshotPlace {
  /** GTID position, as MariaDB writes it. */
  readonly gtids: string;
  /** When it was taken, by MariaDB's clock. */
  readonly at: Date;
}

/** What a history row has besides the columns, of a row that was read at a place: SQL literals, all but the event type. */
export function readPrefix({ gtids, at }: SnapshotPlace, ordinal: bigint): string[] {
  const [domain = '0', server = '0', sequence = '0'] = (gtids.split(',')[0] ?? '').split('-');
  const numbers = [ordinal, BigInt(domain), BigInt(server === '' ? '0' : server), BigInt(sequence), 0n];
  return [...numbers.map((number) => `${number}::bigint`), `'${at.toISOString()}'::timestamptz`];
}

/** The ordinal of the rows with which a stream begins. */
export const firstOrdinal = 1n;

/** A table that is filled, with the names of its columns in the order of the shadow's. */
export interface FilledTable {
  readonly table: TableName;
  readonly columns: readonly string[];
}

/**
 * The tables that get every row that is copied, as the same text: the shadow itself, and the history that begins with these
 * rows where the shadow is to become the mirror. What else a history row has are defaults.
 */
export function tablesToFill(shadow: Shadow): FilledTable[] {
  const mirror = { table: shadow.table, columns: shadow.columns.map((column) => column.mirror) };
  if (shadow.version !== 0) return [mirror];
  return [mirror, { table: shadowSegment(shadow), columns: firstColumns(shadow).map(({ history }) => history) }];
}

async function createReadHistory(client: ClientBase, shadow: Shadow, place: SnapshotPlace): Promise<void> {
  await client.query(segmentStatements(shadow).create);
  const values = [...readPrefix(place, firstOrdinal), `'read'`];
  await alterPrefix(client, shadow, (i) => `SET DEFAULT ${values[i]}`);
}

async function alterPrefix(client: ClientBase, shadow: Shadow, change: (i: number) => string): Promise<void> {
  const changes = historyRowColumns.map(([name], i) => `ALTER COLUMN ${quoteName(name)} ${change(i)}`);
  await client.query(`ALTER TABLE ${quoteTable(shadowSegment(shadow))} ${changes.join(', ')}`);
}

/** To be called when all rows are there. Returns the statements of the history's indexes, which may run at once. */
export async function finishReadHistory(client: ClientBase, shadow: Shadow): Promise<readonly string[]> {
  await alterPrefix(client, shadow, () => 'DROP DEFAULT');
  return segmentStatements(shadow).indexes;
}

function shadowSegment(shadow: Shadow): TableName {
  return segmentName(shadowNames(shadow), 1);
}

/** The columns of the first schema version. */
function firstColumns({ target }: Shadow): StoredColumn[] {
  return storeColumns({
    version: 1,
    target: target.columns,
    before: [],
    changes: [],
    widened: new Set(),
    filled: new Map(),
    kept: new Map(),
  });
}

/** The statements for the first history segment, in the shadow's schema. */
function segmentStatements(shadow: Shadow): { create: string; indexes: string[] } {
  const { target, settings } = shadow;
  const columns = firstColumns(shadow);
  const key = new Set(target.key);
  const indexKey =
    settings.historyIndex === 'key' && target.key !== null
      ? columns.filter((column) => key.has(column.mirror)).map((column) => column.history)
      : null;
  const [create = '', ...indexes] = createSegmentStatements({
    names: shadowNames(shadow),
    segment: shadowSegment(shadow),
    columns,
    indexKey,
  });
  return { create, indexes };
}
