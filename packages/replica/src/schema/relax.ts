import pg, { type ClientBase } from 'pg';
import type { SchemaStep } from '../control/tables.js';
import { sqlState } from '../errors.js';
import { type ReplicaNames, quoteName, quoteTable } from '../names.js';
import { readEnforced, refusals, relaxIndex } from './indexes.js';
import type { TargetSchema } from './target.js';
import type { SchemaVersion } from './versions.js';

/** A constraint that MariaDB knows and the mirror's rows do not keep: NOT NULL of a column, or a unique index, by their names here. */
export interface Relaxation {
  readonly kind: 'not-null' | 'unique';
  readonly name: string;
}

interface Mirror {
  readonly names: ReplicaNames;
  readonly version: SchemaVersion;
  readonly target: TargetSchema;
}

/**
 * The constraint that refused rows that are right. A row of before its column became NOT NULL at the source may come when
 * that is known here already; unique values may meet when MariaDB did not check them, or one of two lost what told them
 * apart. Null when the error is another, or that has been relaxed already.
 */
export function findRelaxation(
  { names, version, target }: Mirror,
  error: unknown,
  done: readonly Relaxation[] = [],
): Relaxation | null {
  if (!(error instanceof pg.DatabaseError)) return null;
  const isNew = (found: Relaxation): boolean =>
    done.every(({ kind, name }) => kind !== found.kind || name !== found.name);
  return refusing({ names, version, target }, error).find(isNew) ?? null;
}

function refusing(mirror: Mirror, error: pg.DatabaseError): Relaxation[] {
  const { names, version, target } = mirror;
  const state = sqlState(error) ?? '';
  const indexes = [...version.indexes, ...target.indexes].filter(({ unique }) => unique !== null);
  const unique = (name: string): Relaxation => ({ kind: 'unique', name });
  // Of a value that is too long for any index PostgreSQL does not say which one.
  if (state === '54000' && error.table === undefined) return indexes.map(({ name }) => unique(name));
  if (error.schema !== names.mirror.schema || error.table !== names.mirror.table) return [];
  if (refusals.has(state)) return indexes.flatMap(({ name }) => (name === error.constraint ? [unique(name)] : []));
  if (state !== '23502') return [];
  const columns = target.columns.filter(({ mirror: name, known }) => name === error.column && known !== null);
  return columns.flatMap(({ mirror: name }) =>
    version.key?.includes(name) === true ? [] : [{ kind: 'not-null' as const, name }],
  );
}

/**
 * Takes the constraint off the mirror, in the caller's transaction, and tells so in the schema version; the next one tries
 * it again. A constraint that came with the transaction that was refused has gone with it: then there is nothing to do.
 */
export async function relaxMirror(
  client: ClientBase,
  { streamId, names, version }: Pick<Mirror, 'names' | 'version'> & { readonly streamId: string },
  relaxation: Relaxation,
): Promise<void> {
  const step = await (relaxation.kind === 'unique'
    ? relaxUnique(client, { names, version }, relaxation.name)
    : relaxNotNull(client, names, relaxation.name));
  if (step === null) return;
  await client.query(
    'UPDATE afterimage.schema_versions SET steps = steps || $3::jsonb WHERE stream_id = $1 AND version = $2',
    [streamId, version.version, JSON.stringify([step])],
  );
}

async function relaxUnique(
  client: ClientBase,
  { names, version }: Pick<Mirror, 'names' | 'version'>,
  name: string,
): Promise<SchemaStep | null> {
  const index = version.indexes.find((candidate) => candidate.name === name);
  return index === undefined ? null : relaxIndex(client, names, index);
}

async function relaxNotNull(client: ClientBase, names: ReplicaNames, column: string): Promise<SchemaStep> {
  const statement = `ALTER TABLE ${quoteTable(names.mirror)} ALTER COLUMN ${quoteName(column)} DROP NOT NULL`;
  await client.query(statement);
  return { kind: 'relax', column, detail: describeNull(column), statement };
}

/** In words for an operator. */
export function describeNull(column: string): string {
  return `${column} is NOT NULL in MariaDB and may be NULL here: rows came that are`;
}

/** While rows are tried one by one, what they do to each other must not count before all have been. */
export async function deferUnique(
  client: ClientBase,
  { names, version }: Pick<Mirror, 'names' | 'version'>,
): Promise<void> {
  const enforced = await readEnforced(client, names, version.indexes);
  if (enforced.length > 0) await client.query(`SET CONSTRAINTS ${enforced.join(', ')} DEFERRED`);
}
