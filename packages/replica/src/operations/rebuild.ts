import type { ClientBase, Pool } from 'pg';
import { mirrorStatement } from '../apply/statement.js';
import type { StreamRecord } from '../control/streams.js';
import { asOfQuery } from '../history/view.js';
import { quoteName, quoteTable } from '../names.js';
import { createSchema, makeChange } from '../schema/ddl.js';
import type { TableSettingsProvider } from '../settings.js';
import { type CurrentReplica, loadCurrent } from './current.js';
import { fixTextForms, inTransaction } from '../transaction.js';

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
  return inTransaction(pool, async (client) => {
    await fixTextForms(client);
    const current = await loadCurrent(client, { stream, settingsOf, lock: true });
    const created = await createMissing(client, current, apply);
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

async function createMissing(
  client: ClientBase,
  { names, version, target }: CurrentReplica,
  apply: boolean,
): Promise<boolean> {
  const { rows } = await client.query<{ found: boolean }>('SELECT to_regclass($1) IS NOT NULL AS found', [
    quoteTable(names.mirror),
  ]);
  if (rows[0]?.found === true) return false;
  if (!apply) throw new Error(`mirror ${quoteTable(names.mirror)} does not exist; rebuild it with --apply`);
  for (const statement of await createSchema(client, names.mirror.schema)) await client.query(statement);
  const columns = target.columns.map((column, i) => ({
    ...column,
    mappedType: version.columns[i]?.postgresType ?? column.mappedType,
  }));
  const ddl = { names, columns, timeZone: 'UTC' };
  await makeChange(client, { kind: 'create' }, ddl);
  await makeChange(client, { kind: 'rekey', key: version.key }, ddl);
  return true;
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

/** Mirror and rebuilt rows, each value as what PostgreSQL can compare: types without equality (json) as their text. */
function comparable({ names, version, target }: CurrentReplica): { mirror: string; rebuilt: string } {
  const values = version.columns
    .map(({ mirror }, i) => {
      const ref = quoteName(mirror);
      return target.columns[i]?.mapping.identity === true ? ref : `${ref}::text AS ${ref}`;
    })
    .join(', ');
  return { mirror: `SELECT ${values} FROM ${quoteTable(names.mirror)}`, rebuilt: `SELECT ${values} FROM rebuilt` };
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
