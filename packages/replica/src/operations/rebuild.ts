import type { ClientBase, Pool } from 'pg';
import type { Relaxation } from '../schema/relax.js';
import { mirrorStatement } from '../apply/statement.js';
import type { StoredColumn } from '../control/tables.js';
import type { StreamRecord } from '../control/streams.js';
import { asOfQuery } from '../history/view.js';
import { quoteName, quoteTable } from '../names.js';
import { identityName, makeChange } from '../schema/ddl.js';
import { alignIndexes } from '../schema/indexes.js';
import { fromMirror, knownLabel } from '../schema/labels.js';
import type { Change } from '../schema/plan.js';
import type { TargetColumn } from '../schema/target.js';
import type { TableSettingsProvider } from '../settings.js';
import { type CurrentReplica, loadCurrent } from './current.js';
import { inRelaxingTransaction } from './relaxing.js';
import { fixTextForms } from '../transaction.js';

export interface RebuildOptions {
  readonly stream: StreamRecord;
  readonly settingsOf: TableSettingsProvider;
  /** False: compare only. */
  readonly apply: boolean;
}

export interface RebuildResult {
  /** Rows that history gives. */
  readonly rows: number;
  /** Rows of history that the mirror lacked, and rows of the mirror that history does not give; a changed row is one of each. */
  readonly missing: number;
  readonly extra: number;
  /** The mirror had been dropped and was created again. */
  readonly created: boolean;
  /** Whether mirror and history are equal now. */
  readonly equal: boolean;
}

/**
 * Computes a mirror table from its history, compares and (with `apply`) makes the mirror equal, touching only rows that
 * differ, then compares again. One transaction, with the stream's offsets locked: writers wait. Columns that a user
 * added to the mirror keep their values.
 */
export async function rebuild(pool: Pool, { stream, settingsOf, apply }: RebuildOptions): Promise<RebuildResult> {
  return inRelaxingTransaction(pool, { stream, settingsOf }, async (client, relaxed) => {
    await fixTextForms(client);
    const current = await loadCurrent(client, { stream, settingsOf, lock: true });
    const created = await createMissing(client, current, { apply, relaxed });
    const { names, version } = current;
    const content = asOfQuery({ names, columns: version.columns, key: version.key }, () => 'true');
    await client.query(`CREATE TEMPORARY TABLE rebuilt ON COMMIT DROP AS ${content}`);
    const before = await compare(client, current);
    if (apply)
      await client.query(mirrorStatement({ ...current, columns: current.target.columns }, differences(current)));
    const after = apply ? await compare(client, current) : before;
    return { ...before, created, equal: after.missing === 0 && after.extra === 0 };
  });
}

/** Puts back what was dropped by hand: the mirror, or columns, key or row index of it, with its indexes. Returns whether it was the mirror. */
async function createMissing(
  client: ClientBase,
  current: CurrentReplica,
  { apply, relaxed }: { readonly apply: boolean; readonly relaxed: readonly Relaxation[] },
): Promise<boolean> {
  const { names, version, target } = current;
  const columns = target.columns.map((column, i): TargetColumn => {
    const {
      postgresType: mappedType,
      sourceType,
      labels = null,
      kept = [],
    } = version.columns[i] ?? {
      ...column,
      postgresType: column.mappedType,
    };
    return { ...column, mappedType, sourceType, labels, kept };
  });
  const changes = await missingParts(client, current, columns);
  const [first] = changes;
  if (first === undefined) return false;
  const created = first.kind === 'create';
  if (!apply) {
    const what = created ? 'does not exist' : `lacks ${changes.map((change) => describeMissing(change)).join(', ')}`;
    throw new Error(`mirror ${quoteTable(names.mirror)} ${what}; rebuild it with --apply`);
  }
  for (const change of changes) await makeChange(client, change, { names, columns, timeZone: 'UTC' });
  await alignIndexes(client, { names, indexes: version.indexes, relaxed: new Set(relaxed.map(({ name }) => name)) });
  return created;
}

function describeMissing(change: Change): string {
  return change.kind === 'add' ? `column ${quoteName(change.column.mirror)}` : 'its key or row index';
}

async function missingParts(
  client: ClientBase,
  { names, version }: CurrentReplica,
  columns: readonly TargetColumn[],
): Promise<Change[]> {
  const rekey: Change = { kind: 'rekey', key: version.key };
  const { rows } = await client.query<{ columns: string[] | null; identity: boolean }>(
    `SELECT (SELECT array_agg(attname::text) FROM pg_attribute WHERE attrelid = m.id AND attnum > 0 AND NOT attisdropped) AS columns,
            EXISTS (SELECT FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE i.indrelid = m.id AND c.relname = $2) AS identity
     FROM to_regclass($1) AS m(id) WHERE m.id IS NOT NULL`,
    [quoteTable(names.mirror), identityName(names, version.key)],
  );
  const [mirror] = rows;
  if (mirror === undefined) return [{ kind: 'create' }, rekey];
  const there = new Set(mirror.columns);
  const missing = columns.filter((column) => !there.has(column.mirror));
  return [...missing.map((column): Change => ({ kind: 'add', column })), ...(mirror.identity ? [] : [rekey])];
}

async function compare(
  client: ClientBase,
  current: CurrentReplica,
): Promise<Pick<RebuildResult, 'rows' | 'missing' | 'extra'>> {
  const { mirror, rebuilt } = comparable(current);
  const { rows } = await client.query<{ rows: string; missing: string; extra: string }>(
    `SELECT (SELECT count(*) FROM rebuilt) AS rows,
            (SELECT count(*) FROM (${rebuilt} EXCEPT ALL ${mirror}) AS m) AS missing,
            (SELECT count(*) FROM (${mirror} EXCEPT ALL ${rebuilt}) AS e) AS extra`,
  );
  const [counts] = rows;
  return { rows: Number(counts?.rows), missing: Number(counts?.missing), extra: Number(counts?.extra) };
}

/** Mirror and rebuilt rows, each value as what PostgreSQL can compare: types without equality (json) as their text, labels, too. */
function comparable({ names, version, target }: CurrentReplica): { mirror: string; rebuilt: string } {
  const select = (value: (column: StoredColumn, ref: string) => string) =>
    version.columns
      .map((column, i) => {
        const ref = quoteName(column.mirror);
        const isComparable = target.columns[i]?.mapping.identity === true;
        return `${isComparable ? value(column, ref) : `${ref}::text`} AS ${ref}`;
      })
      .join(', ');
  return {
    mirror: `SELECT ${select(fromMirror)} FROM ${quoteTable(names.mirror)}`,
    rebuilt: `SELECT ${select(knownLabel)} FROM rebuilt`,
  };
}

/** The differences as events: what is too much goes first, what is missing comes after it. */
function differences(current: CurrentReplica): string {
  const values = current.version.columns
    .map(({ mirror, postgresType }, i) => `${quoteName(mirror)}::${postgresType} AS v${i}`)
    .join(', ');
  const { mirror, rebuilt } = comparable(current);
  return (
    `SELECT 'delete'::afterimage.operation AS event_type, 0 AS stream_ordinal, ${values} FROM (${mirror} EXCEPT ALL ${rebuilt}) AS e ` +
    `UNION ALL SELECT 'insert', 1, ${values} FROM (${rebuilt} EXCEPT ALL ${mirror}) AS m`
  );
}
