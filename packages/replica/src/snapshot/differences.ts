import { positionAfterGtids } from '@afterimage/change-events';
import type { ClientBase } from 'pg';
import { mirrorStatement } from '../apply/statement.js';
import { historyRowColumns } from '../history/segment.js';
import { quoteName, quoteTable } from '../names.js';
import { fromMirror, storedLabels } from '../schema/labels.js';
import type { CurrentReplica } from '../operations/current.js';
import { readPrefix, type Shadow, shadowNames, type SnapshotPlace } from './shadow.js';

export interface ReplaceOptions {
  readonly current: CurrentReplica;
  /** Indexed by its key, with the columns of the version in force. */
  readonly shadow: Shadow;
  readonly place: SnapshotPlace;
  /** Of the history rows that say what was done. */
  readonly ordinal: bigint;
  /** Nothing was applied that the snapshot does not cover. */
  readonly isBehind: boolean;
}

/**
 * Brings a shadow forward by the history events after it, then makes the mirror equal to it by the rows that differ, so that
 * what hangs on the mirror (views, grants, columns that a user added) stays; history gets a `read` row for each row that was
 * written and a `delete` for each that is no more. In the caller's transaction, which has the stream's offsets locked.
 */
export async function replaceRows(
  client: ClientBase,
  options: ReplaceOptions,
): Promise<{ written: number; removed: number }> {
  const { current, shadow, place, ordinal, isBehind } = options;
  const columns = current.target.columns;
  if (!isBehind) {
    // The shadow has text where the mirror has enum types, unless it was to become the mirror itself.
    const own = current.version.columns.map(({ labels: _, ...column }, i) => {
      const labels = storedLabels(shadow.target.columns[i]?.labels);
      return { ...column, ...(labels && { labels }) };
    });
    const forward = { names: shadowNames(shadow), version: { ...current.version, columns: own }, columns };
    await client.query(mirrorStatement(forward, laterEvents(current, place)));
  }
  await client.query(`CREATE TEMPORARY TABLE snapshot_differences ON COMMIT DROP AS ${differences(current, shadow)}`);
  const values = columns.map((_, i) => `v${i}`).join(', ');
  const found = 'FROM snapshot_differences';
  await client.query(mirrorStatement({ ...current, columns }, `SELECT event_type, stream_ordinal, ${values} ${found}`));
  const names = [...historyRowColumns.map(([name]) => name), ...current.version.columns.map(({ history }) => history)];
  await client.query(
    `INSERT INTO ${current.version.segment} (${names.map(quoteName).join(', ')}) ` +
      `SELECT ${readPrefix(place, ordinal).join(', ')}, event_type, ${values} ${found}`,
  );
  const { rows } = await client.query<{ written: string; removed: string }>(
    `SELECT count(*) FILTER (WHERE event_type = 'read') AS written, count(*) FILTER (WHERE event_type = 'delete') AS removed ${found}`,
  );
  return { written: Number(rows[0]?.written), removed: Number(rows[0]?.removed) };
}

/** What was applied after the snapshot, as events for `mirrorStatement`. */
function laterEvents({ names, version }: CurrentReplica, { gtids }: SnapshotPlace): string {
  const values = version.columns.map(
    ({ history, postgresType }, i) => `${quoteName(history)}::${postgresType} AS v${i}`,
  );
  const covered = [...positionAfterGtids(gtids).values()].map(
    ({ domain, sequence }) => `WHEN ${domain} THEN sequence > ${sequence}`,
  );
  const isLater = covered.length === 0 ? 'true' : `CASE domain ${covered.join(' ')} ELSE true END`;
  return (
    `SELECT event_type, stream_ordinal, ${values.join(', ')} FROM ${quoteTable(names.history)} ` +
    `WHERE event_type <> 'truncate' AND ${isLater}`
  );
}

/**
 * Rows of the mirror that the shadow does not have, and rows of the shadow that the mirror does not have or has otherwise,
 * to the last bit: -0 is not 0, and 1.0 is not 1.00.
 */
function differences(current: CurrentReplica, shadow: Shadow): string {
  const mirror = quoteTable(current.names.mirror);
  const copy = quoteTable(shadow.table);
  const { columns } = current.version;
  const values = (table: string) =>
    columns
      .map(({ mirror: name, postgresType }, i) => `${table}.${quoteName(name)}::${postgresType} AS v${i}`)
      .join(', ');
  const { key } = current.version;
  const event = (type: string, order: number) =>
    `SELECT '${type}'::afterimage.operation AS event_type, ${order} AS stream_ordinal`;
  if (key === null) {
    const rows = (table: string) => `SELECT ${comparable(current)} FROM ${table}`;
    return (
      `${event('delete', 0)}, ${values('e')} FROM (${rows(mirror)} EXCEPT ALL ${rows(copy)}) AS e ` +
      `UNION ALL ${event('read', 1)}, ${values('e')} FROM (${rows(copy)} EXCEPT ALL ${rows(mirror)}) AS e`
    );
  }
  const value = (table: string) => (column: (typeof columns)[number]) =>
    fromMirror(column, `${table}.${quoteName(column.mirror)}`);
  const same = columns
    .filter(({ mirror: name }) => key.includes(name))
    .map((column) => `${value('m')(column)} = ${value('s')(column)}`)
    .join(' AND ');
  const [first = ''] = key;
  const row = (table: string) => `ROW(${columns.map(value(table)).join(', ')})`;
  return (
    `${event('delete', 0)}, ${values('m')} FROM ${mirror} AS m WHERE NOT EXISTS (SELECT FROM ${copy} AS s WHERE ${same}) ` +
    `UNION ALL ${event('read', 1)}, ${values('s')} FROM ${copy} AS s LEFT JOIN ${mirror} AS m ON ${same} ` +
    `WHERE m.${quoteName(first)} IS NULL OR record_image_ne(${row('s')}, ${row('m')})`
  );
}

/** Types without equality (json) are compared as their text, and so are enums. */
function comparable({ version, target }: CurrentReplica): string {
  return version.columns
    .map(({ mirror, labels }, i) => {
      const ref = quoteName(mirror);
      const isComparable = target.columns[i]?.mapping.identity === true && labels !== 'enum';
      return isComparable ? ref : `${ref}::text AS ${ref}`;
    })
    .join(', ');
}
