import type { ClientBase, Pool } from 'pg';
import type { EventId } from '@afterimage/change-events';
import { mirrorStatement } from '../apply/statement.js';
import type { StoredColumn } from '../control/tables.js';
import type { StreamRecord } from '../control/streams.js';
import { createOrReplace } from '../history/replaceable.js';
import { historyRowColumns } from '../history/segment.js';
import { asOfFunctions, asOfQuery } from '../history/view.js';
import { quoteName, quoteTable } from '../names.js';
import { fromMirror } from '../schema/labels.js';
import type { TableSettingsProvider } from '../settings.js';
import { fixTextForms } from '../transaction.js';
import { type CurrentReplica, loadCurrent } from './current.js';
import { inRelaxingTransaction } from './relaxing.js';

/** A row of a mirror with a key as it should be. */
export interface RowRepair {
  /** As text, in the order of `RepairOptions.key`. */
  readonly key: readonly string[];
  /** Values as text that the columns' types take, in the order of `RepairOptions.columns`; null: there should be no row. */
  readonly row: readonly (string | null)[] | null;
  /** `RepairOptions.rowHash` of the row that was found different; null: there was none. */
  readonly before: string | null;
}

/** Rows of a mirror without a key: how many copies of a row there should be. */
export interface CopiesRepair {
  readonly row: readonly (string | null)[] | null;
  /** `RepairOptions.rowHash` of such rows, how many were found, and how many there should be. */
  readonly hash: string;
  readonly found: number;
  readonly wanted: number;
}

export type Repairs =
  | { readonly kind: 'rows'; readonly key: readonly string[]; readonly rows: readonly RowRepair[] }
  | { readonly kind: 'copies'; readonly rows: readonly CopiesRepair[] };

export interface RepairOptions {
  readonly stream: StreamRecord;
  readonly settingsOf: TableSettingsProvider;
  /** The schema version under which the rows were compared. */
  readonly version: number;
  /** Mirror names of the columns that the rows give. */
  readonly columns: readonly string[];
  readonly repairs: Repairs;
  /** SQL of a text that tells whether a row of the mirror, `m`, is the one that was found. */
  readonly rowHash: string;
  /** The source's transaction that the values are read after; null = unknown. */
  readonly after: EventId | null;
}

/**
 * Rewrites rows of a mirror that were found different, in one transaction under the stream's offsets. A row that is not
 * any more what was found is left alone: the stream changed it. Each rewritten row is in history as `repair_before` and
 * `repair_after`, behind the newest event of its key. Returns how many rows (copies) were rewritten; nothing when the
 * schema changed.
 */
export async function repairRows(pool: Pool, options: RepairOptions): Promise<number> {
  const { stream, settingsOf } = options;
  return inRelaxingTransaction(pool, options, async (client) => {
    await fixTextForms(client);
    const current = await loadCurrent(client, { stream, settingsOf, lock: true });
    if (current.version.version !== options.version) return 0;
    await createTable(client, current);
    if (options.repairs.kind === 'rows') await collectRows(client, current, options, options.repairs);
    else await collectCopies(client, current, options, options.repairs.rows);
    const { rows } = await client.query<{ repaired: number }>(
      `SELECT count(DISTINCT place)::int AS repaired FROM repairs`,
    );
    const repaired = rows[0]?.repaired ?? 0;
    if (repaired > 0) await write(client, current, options);
    return repaired;
  });
}

/** `stream_ordinal` is 0 for what a row was, 1 for what it becomes; `place` counts the rewritten rows. */
async function createTable(client: ClientBase, { version }: CurrentReplica): Promise<void> {
  const columns = version.columns.map(({ postgresType }, i) => `v${i} ${postgresType}`).join(', ');
  await client.query(
    `CREATE TEMPORARY TABLE repairs (event_type afterimage.operation, stream_ordinal bigint, place text, ${columns}) ON COMMIT DROP`,
  );
}

/** A given value, cast; of a column that is not given, what the row has. */
function wantedValues({ version }: CurrentReplica, given: readonly string[]): string[] {
  return version.columns.map((column) => {
    const place = given.indexOf(column.mirror);
    return place === -1 ? ownValue(column) : `u.c${place}::${column.postgresType}`;
  });
}

function ownValue(column: Pick<StoredColumn, 'mirror' | 'labels'>): string {
  return fromMirror(column, `m.${quoteName(column.mirror)}`);
}

async function collectRows(
  client: ClientBase,
  current: CurrentReplica,
  { columns, rowHash }: RepairOptions,
  { key, rows }: Extract<Repairs, { kind: 'rows' }>,
): Promise<void> {
  const { version, names } = current;
  const fields = ['before', 'present', ...key.map((_, i) => `k${i}`), ...columns.map((_, i) => `c${i}`)];
  const parameters: unknown[] = [
    rows.map(({ before }) => before),
    rows.map(({ row }) => row !== null),
    ...key.map((_, i) => rows.map((row) => row.key[i] ?? null)),
    ...columns.map((_, i) => rows.map(({ row }) => row?.[i] ?? null)),
  ];
  const arrays = fields.map((field, i) => `$${i + 1}::${field === 'present' ? 'boolean' : 'text'}[]`).join(', ');
  const keyed = key.flatMap((name) => version.columns.filter(({ mirror }) => mirror === name));
  const same = keyed.map((column, i) => `${ownValue(column)} = u.k${i}::${column.postgresType}`).join(' AND ');
  const found = `unnest(${arrays}) WITH ORDINALITY AS u(${fields.join(', ')}, place) LEFT JOIN ${quoteTable(names.mirror)} AS m ON ${same}
    WHERE CASE WHEN m.ctid IS NOT NULL THEN ${rowHash} END IS NOT DISTINCT FROM u.before`;
  const own = version.columns.map(ownValue);
  await client.query(
    `INSERT INTO repairs
     SELECT 'repair_before'::afterimage.operation, 0, u.place::text, ${own.join(', ')} FROM ${found} AND m.ctid IS NOT NULL
     UNION ALL SELECT 'repair_after'::afterimage.operation, 1, u.place::text, ${wantedValues(current, columns).join(', ')} FROM ${found} AND u.present`,
    parameters,
  );
}

async function collectCopies(
  client: ClientBase,
  current: CurrentReplica,
  { columns, rowHash }: RepairOptions,
  rows: readonly CopiesRepair[],
): Promise<void> {
  const { version, names } = current;
  const mirror = quoteTable(names.mirror);
  const own = version.columns.map((column) => `${ownValue(column)} AS ${quoteName(column.mirror)}`).join(', ');
  const there = version.columns.map((column) => `m.${quoteName(column.mirror)}`).join(', ');
  const given = columns.map((_, i) => `c${i}`);
  const fields = ['hash', 'found', 'wanted', ...given];
  const arrays = fields.map((_, i) => `$${i + 1}::${i === 0 || i > 2 ? 'text' : 'int'}[]`).join(', ');
  const values = columns.map((name, i) => {
    const type = version.columns.find((column) => column.mirror === name)?.postgresType ?? 'text';
    return `u.c${i}::${type}`;
  });
  await client.query(
    `WITH u AS (SELECT * FROM unnest(${arrays}) AS u(${fields.join(', ')})),
          there AS (SELECT ${own}, u.hash AS repaired_hash, row_number() OVER (PARTITION BY u.hash) AS repaired_place
                    FROM u JOIN ${mirror} AS m ON ${rowHash} = u.hash),
          counted AS (SELECT u.*, (SELECT count(*) FROM there WHERE repaired_hash = u.hash) AS copies FROM u),
          good AS (SELECT * FROM counted WHERE copies = found)
     INSERT INTO repairs
     SELECT 'repair_before'::afterimage.operation, 0, 'gone ' || repaired_hash || ' ' || repaired_place, ${there}
     FROM there AS m JOIN good ON good.hash = m.repaired_hash AND m.repaired_place <= good.found - good.wanted
     UNION ALL
     SELECT 'repair_after'::afterimage.operation, 1, 'new ' || u.hash || ' ' || n, ${values.join(', ')} FROM good AS u, generate_series(1, u.wanted - u.found) AS n`,
    [
      rows.map(({ hash }) => hash),
      rows.map(({ found }) => found),
      rows.map(({ wanted }) => wanted),
      ...columns.map((_, i) => rows.map(({ row }) => row?.[i] ?? null)),
    ],
  );
}

async function write(client: ClientBase, current: CurrentReplica, options: RepairOptions): Promise<void> {
  const { names, version, target } = current;
  const values = version.columns.map((_, i) => `v${i}`).join(', ');
  await client.query(
    mirrorStatement(
      { ...current, columns: target.columns },
      `SELECT event_type, stream_ordinal, ${values} FROM repairs`,
    ),
  );
  if (options.repairs.kind === 'rows') await recordRows(client, current, options, 'repairs');
  else await recordRows(client, current, options, `(${copiesOfHistory(current)})`);
  // Those of a schema version that is older than repairs do not know them.
  for (const asOf of asOfFunctions({ names, columns: version.columns, key: version.key })) {
    await createOrReplace(client, asOf);
  }
}

/** `repairs`: rows of event_type, stream_ordinal (0 before, 1 after), v0, v1, … */
async function recordRows(
  client: ClientBase,
  current: CurrentReplica,
  { stream, after }: RepairOptions,
  repairs: string,
): Promise<void> {
  const { version } = current;
  const values = version.columns.map((_, i) => `v${i}`).join(', ');
  const own = [...historyRowColumns.map(([name]) => name), ...version.columns.map(({ history }) => history)];
  const { ordinal, join } = orderAfterEvents(current, stream.partitions);
  // Above every event's number, and growing: repairs behind one event are in order, too.
  const number = `(extract(epoch FROM clock_timestamp()) * 1000000)::bigint * 2 + r.stream_ordinal`;
  await client.query(
    `INSERT INTO ${version.segment} (${own.map((name) => quoteName(name)).join(', ')})
     SELECT ${ordinal}, $2::bigint, $3::bigint, $4::bigint, ${number}, now(), r.event_type, ${values} FROM ${repairs} AS r ${join}`,
    [stream.id, after?.domain ?? 0n, after?.serverId ?? 0n, after?.sequence ?? 0n],
  );
}

/**
 * What history lacks of the rows that were rewritten, and has too many of, once the mirror is right: without a key it is a
 * sum, and a row that was put into the mirror by hand is in none of it.
 */
function copiesOfHistory({ names, version }: CurrentReplica): string {
  const { columns, key } = version;
  const texts = columns.map(({ mirror }, i) => `${quoteName(mirror)}::text AS v${i}`).join(', ');
  const row = (refs: readonly string[]): string => `md5(ROW(${refs.join(', ')})::text)`;
  const own = row(columns.map(({ mirror }) => quoteName(mirror)));
  const rewritten = `IN (SELECT ${row(columns.map((_, i) => `v${i}`))} FROM repairs)`;
  const mirror = `SELECT ${texts} FROM ${quoteTable(names.mirror)} WHERE ${own} ${rewritten}`;
  const history = `SELECT ${texts} FROM (${asOfQuery({ names, columns, key }, () => 'true')}) AS h WHERE ${own} ${rewritten}`;
  const values = columns.map(({ postgresType }, i) => `v${i}::${postgresType} AS v${i}`).join(', ');
  return (
    `SELECT 'repair_before'::afterimage.operation AS event_type, 0 AS stream_ordinal, ${values} FROM (${history} EXCEPT ALL ${mirror}) AS x ` +
    `UNION ALL SELECT 'repair_after'::afterimage.operation, 1, ${values} FROM (${mirror} EXCEPT ALL ${history}) AS y`
  );
}

/**
 * A repair stands behind all events of its key, and before those to come. One partition's offset says which these are; of
 * several, another one than the key's may be further behind.
 */
function orderAfterEvents(
  { names, version }: CurrentReplica,
  partitions: number,
): { readonly ordinal: string; readonly join: string } {
  const least = `(SELECT min(o.ordinal) FROM afterimage.offsets o WHERE o.stream_id = $1)`;
  if (version.key === null || partitions === 1) return { ordinal: least, join: '' };
  const key = version.key.flatMap((mirror) => {
    const i = version.columns.findIndex((column) => column.mirror === mirror);
    const column = version.columns[i];
    return column === undefined ? [] : [{ history: `h.${quoteName(column.history)}`, value: `v${i}`, i }];
  });
  const columns = key.map(({ history, i }) => `${history} AS k${i}`).join(', ');
  const same = key.map(({ i }) => `n.k${i} = r.v${i}`).join(' AND ');
  return {
    ordinal: `greatest(${least}, n.ordinal)`,
    join:
      `LEFT JOIN (SELECT ${columns}, max(h.stream_ordinal) AS ordinal FROM ${quoteTable(names.history)} h ` +
      `WHERE (${key.map(({ history }) => history).join(', ')}) IN (SELECT ${key.map(({ value }) => value).join(', ')} FROM repairs) ` +
      `GROUP BY ${key.map(({ history }) => history).join(', ')}) AS n ON ${same}`,
  };
}
