import { createHash } from 'node:crypto';
import { historyRowColumns, presentOperations } from '../history/segment.js';
import { type ReplicaNames, quoteLiteral, quoteName, quoteTable } from '../names.js';
import { toMirror } from '../schema/labels.js';
import { identityOf, rowHash } from '../schema/ddl.js';
import { eventsQuery, lookedUpEvents, lostColumns, lostReference } from './events-query.js';
import { moveOffset, offsetParameters } from './offset.js';
import type { TargetColumn } from '../schema/target.js';
import type { SchemaVersion } from '../schema/versions.js';

export interface ApplyStatement {
  /** Prepared-statement name: equal texts have equal names. */
  readonly name: string;
  readonly text: string;
  /** Source names of the columns whose lost values the statement counts, as columns lost_0, lost_1, … */
  readonly counted: readonly string[];
}

export interface MirrorStatementOptions {
  readonly names: ReplicaNames;
  readonly version: SchemaVersion;
  readonly columns: readonly TargetColumn[];
}

export interface StatementOptions extends MirrorStatementOptions {
  /** The batch holds NUL characters. */
  readonly nul: boolean;
  /** False: history only. */
  readonly mirror: boolean;
  /** The statement moves the offset, too. */
  readonly offset: boolean;
  /** Values that were looked up in MariaDB are the last parameter. */
  readonly lookup: boolean;
}

/** The first parameter behind those of `eventsQuery`. */
const firstFree = ({ nul }: StatementOptions): number => (nul ? 10 : 9);

/**
 * The statement that applies one batch; its parameters are those of `eventsQuery`, then those of `moveOffset`, then what
 * was looked up.
 *
 *     WITH events AS (SELECT … typed … FROM json_to_recordset($1)), parsed once
 *          history AS (INSERT INTO segment SELECT … FROM events),
 *          net AS (the last event of each key | the sum of each whole row),
 *          … the mirror
 *          tally AS (how many events, how many lost values of each column),
 *          moved AS (UPDATE afterimage.offsets …), noted AS (UPDATE afterimage.unreliable_columns …)
 *     SELECT what was done
 *
 * Values go from the source's text to PostgreSQL's types without ever being JavaScript values. All parts see the
 * same snapshot, which is right because net holds each key once: a key is either deleted or upserted.
 */
export function applyStatement(options: StatementOptions): ApplyStatement {
  const { columns } = options;
  const lost = lostColumns(columns);
  const mirror = options.mirror ? mirrorParts(options) : { parts: [], missing: '0' };
  const isLost = lostReference(columns);
  const counts = lost.map((_, i) => `count(*) FILTER (WHERE ${isLost(i)})::int AS lost_${i}`);
  const text = [
    `WITH events AS MATERIALIZED (${typedEvents(options)})`,
    `, history AS (${historyInsert(options)})`,
    ...mirror.parts.map((part) => `, ${part}`),
    `, tally AS (SELECT ${['count(*)::int AS events', ...counts].join(', ')} FROM events)`,
    ...(options.offset ? progressParts(options, lost) : []).map((part) => `, ${part}`),
    `SELECT tally.*, ${mirror.missing} AS missing FROM tally`,
  ].join('\n');
  const name = `apply_${createHash('sha256').update(text).digest('hex').slice(0, 24)}`;
  return { name, text, counted: lost.map((column) => column.name) };
}

function typedEvents(options: StatementOptions): string {
  if (!options.lookup) return eventsQuery(options);
  const found = `$${firstFree(options) + (options.offset ? offsetParameters : 0)}`;
  return lookedUpEvents({ ...options, found });
}

/**
 * The same for the mirror alone, from `events`: SQL of rows (event_type, stream_ordinal, v0, v1, … in the order of the
 * columns). Used where events come from history instead of from the stream.
 */
export function mirrorStatement(options: MirrorStatementOptions, events: string): string {
  const { parts } = mirrorParts(options);
  return [
    `WITH events AS MATERIALIZED (${events})`,
    ...parts.map((part) => `, ${part}`),
    'SELECT count(*)::int AS events FROM events',
  ].join('\n');
}

/** The offset moves, and the lost values are counted. */
function progressParts(options: StatementOptions, lost: readonly { name: string }[]): string[] {
  const first = firstFree(options);
  const moved = `moved AS (${moveOffset(first)})`;
  if (lost.length === 0) return [moved];
  const names = lost.map(({ name }) => quoteLiteral(name)).join(', ');
  const counts = lost.map((_, i) => `lost_${i}`).join(', ');
  return [
    moved,
    `noted AS (UPDATE afterimage.unreliable_columns AS u SET values = u.values + l.n ` +
      `FROM tally, unnest(ARRAY[${names}]::text[], ARRAY[${counts}]) AS l(name, n) ` +
      `WHERE u.stream_id = $${first}::uuid AND u.column_name = l.name AND l.n > 0)`,
  ];
}

function mirrorParts(options: MirrorStatementOptions): MirrorParts {
  return options.version.key === null ? wholeRowParts(options) : keyedParts(options, options.version.key);
}

/** The events, with labels in their enum types where the mirror has such. */
function mirrorEvents({ names, version }: MirrorStatementOptions): string {
  if (!version.columns.some(({ labels }) => labels === 'enum')) return 'events';
  const values = version.columns.map((column, i) => `${toMirror(names, column, `v${i}`)} AS v${i}`);
  return `(SELECT event_type, stream_ordinal, ${values.join(', ')} FROM events) AS events`;
}

function historyInsert({ version, columns }: StatementOptions): string {
  const names = [...historyRowColumns.map(([name]) => name), ...version.columns.map((column) => column.history)];
  const values = [
    'stream_ordinal',
    'domain',
    'server_id',
    'sequence',
    'event_number',
    'ts',
    'event_type',
    ...columns.map((_, i) => `v${i}`),
  ];
  return `INSERT INTO ${version.segment} (${names.map(quoteName).join(', ')}) SELECT ${values.join(', ')} FROM events`;
}

interface MirrorParts {
  readonly parts: string[];
  /** SQL for how many rows should have gone but were not there. */
  readonly missing: string;
}

function keyedParts(options: MirrorStatementOptions, key: readonly string[]): MirrorParts {
  const { names, columns, version } = options;
  const mirror = quoteTable(names.mirror);
  const keyIndexes = columns.flatMap((column, i) => (key.includes(column.mirror) ? [i] : []));
  const keyValues = keyIndexes.map((i) => `v${i}`).join(', ');
  const allNames = version.columns.map((column) => quoteName(column.mirror)).join(', ');
  const allValues = columns.map((_, i) => `v${i}`).join(', ');
  const updates = columns.flatMap((column) =>
    key.includes(column.mirror) ? [] : [`${quoteName(column.mirror)} = excluded.${quoteName(column.mirror)}`],
  );
  const onConflict = updates.length === 0 ? 'NOTHING' : `UPDATE SET ${updates.join(', ')}`;
  const sameKey = keyIndexes.map((i) => `m.${quoteName(columns[i]?.mirror ?? '')} = net.v${i}`).join(' AND ');
  return {
    parts: [
      // An update's before-image removes its key, unless its after-image (or a later event) brings it again.
      `net AS (SELECT DISTINCT ON (${keyValues}) event_type, ${allValues} FROM ${mirrorEvents(options)} ORDER BY ${keyValues}, stream_ordinal DESC)`,
      `gone AS (DELETE FROM ${mirror} AS m USING net WHERE net.event_type IN ('delete', 'update_before', 'repair_before') AND ${sameKey})`,
      // The alias keeps a table that is itself called excluded apart from the rows that ON CONFLICT calls so.
      `here AS (INSERT INTO ${mirror} AS m (${allNames}) SELECT ${allValues} FROM net WHERE event_type IN (${presentOperations}) ` +
        `ON CONFLICT (${key.map(quoteName).join(', ')}) DO ${onConflict})`,
    ],
    missing: '0',
  };
}

function wholeRowParts(options: MirrorStatementOptions): MirrorParts {
  const { names, columns, version } = options;
  const mirror = quoteTable(names.mirror);
  const values = columns.map((_, i) => `v${i}`);
  const sign = `CASE WHEN event_type IN (${presentOperations}) THEN 1 ELSE -1 END`;
  const asNet = columns.map((column, i) => ({ ...column, mirror: `v${i}` }));
  const mirrorRow = columns.map((column) => identityOf(`m.${quoteName(column.mirror)}`, column)).join(', ');
  const netRow = columns.map((column, i) => identityOf(`net.v${i}`, column)).join(', ');
  return {
    parts: [
      `net AS (SELECT ${values.join(', ')}, sum(${sign}) AS copies FROM ${mirrorEvents(options)} GROUP BY ${values.join(', ')} HAVING sum(${sign}) <> 0)`,
      `here AS (INSERT INTO ${mirror} (${version.columns.map((column) => quoteName(column.mirror)).join(', ')}) ` +
        `SELECT ${values.join(', ')} FROM net, generate_series(1, net.copies))`,
      `gone AS (DELETE FROM ${mirror} WHERE ctid = ANY (ARRAY(SELECT id FROM (` +
        `SELECT m.ctid AS id, net.copies, row_number() OVER (PARTITION BY ${netRow}) AS nth FROM net JOIN ${mirror} AS m ` +
        `ON ${rowHash('m', columns)} = ${rowHash('net', asNet)} AND ROW(${mirrorRow}) IS NOT DISTINCT FROM ROW(${netRow}) ` +
        `WHERE net.copies < 0) AS found WHERE nth <= -copies)) RETURNING 1)`,
    ],
    missing: `(SELECT coalesce(-sum(copies) FILTER (WHERE copies < 0), 0) FROM net)::int - (SELECT count(*) FROM gone)::int`,
  };
}
