import { type ReplicaNames, quoteLiteral, quoteName, quoteTable } from '../names.js';
import { fromMirror, toMirror } from '../schema/labels.js';
import type { TargetColumn } from '../schema/target.js';
import type { SchemaVersion } from '../schema/versions.js';

export interface EventsQueryOptions {
  readonly version: SchemaVersion;
  readonly columns: readonly TargetColumn[];
  /** The batch holds NUL characters; $9 stands for them. */
  readonly nul: boolean;
}

export interface LookedUpEventsOptions extends EventsQueryOptions {
  readonly names: ReplicaNames;
  /** SQL of what was found in MariaDB: a JSON array of objects with the text of column i as `ci`. */
  readonly found: string;
}

const present = `('insert', 'update_after')`;

/**
 * The rows of `eventsQuery`, with better values in place of those that the stream loses or bends. A row that comes has what
 * MariaDB says now, where it was found there by its key. A row that goes has the last value that the mirror had: what this
 * batch has put there, where it did, else what was there before.
 */
export function lookedUpEvents(options: LookedUpEventsOptions): string {
  const { version, columns, names } = options;
  const lost = lostColumns(columns).map(({ name }) => name);
  const keyed = columns.flatMap((column, i) => (version.key?.includes(column.mirror) === true ? [i] : []));
  const wanted = columns.flatMap((column, i) => (keyed.includes(i) || column.lookup ? [i] : []));
  const mirrorOf = (i: number): string => `m.${quoteName(columns[i]?.mirror ?? '')}`;
  const formerOf = (i: number): string => fromMirror(version.columns[i] ?? {}, mirrorOf(i));
  // As the mirror has it, whose index finds the row.
  const keyOf = (i: number): string => {
    const column = version.columns[i];
    return column === undefined ? `e.v${i}` : toMirror(names, column, `e.v${i}`);
  };
  const isFound = `f.hit AND (e.event_type IN ${present} OR e.is_again)`;
  const isFormer = `${mirrorOf(keyed[0] ?? 0)} IS NOT NULL`;
  const values = columns.map((column, i) => {
    if (!column.lookup) return `e.v${i}`;
    const only = showsLoss(column) ? ` AND e.lost_${lost.indexOf(column.name)}` : '';
    return `CASE WHEN ${isFound}${only} THEN f.v${i} WHEN ${isFormer}${only} THEN ${formerOf(i)} ELSE e.v${i} END AS v${i}`;
  });
  const asked = new Set(columns.filter(({ lookup }) => lookup).map(({ name }) => name));
  const stillLost = lost.map((name, i) =>
    asked.has(name) ? `(e.lost_${i} AND (${isFound} OR ${isFormer}) IS NOT TRUE) AS lost_${i}` : `e.lost_${i}`,
  );
  const typed = wanted.map((i) => `c${i}::${version.columns[i]?.postgresType ?? 'text'} AS v${i}`);
  // One row for a key: one that is configured may not be unique in MariaDB, and no event may count twice.
  const found =
    `SELECT DISTINCT ON (${keyed.map((i) => `c${i}`).join(', ')}) true AS hit, ${typed.join(', ')} ` +
    `FROM json_to_recordset(${options.found}::json) AS r(${wanted.map((i) => `c${i} text`).join(', ')})`;
  const isAgain =
    `coalesce(bool_or(event_type IN ${present}) OVER (PARTITION BY ${keyed.map((i) => `v${i}`).join(', ')} ` +
    `ORDER BY stream_ordinal ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), false) AS is_again`;
  const meta = ['stream_ordinal', 'domain', 'server_id', 'sequence', 'event_number', 'ts', 'event_type'];
  return (
    `SELECT ${[...meta.map((name) => `e.${name}`), ...values, ...stillLost].join(', ')}\n` +
    `  FROM (SELECT *, ${isAgain} FROM (${eventsQuery(options)}) AS r) AS e\n` +
    `  LEFT JOIN (${found}) AS f ON ${keyed.map((i) => `f.v${i} = e.v${i}`).join(' AND ')}\n` +
    `  LEFT JOIN ${quoteTable(names.mirror)} AS m ON e.event_type NOT IN ${present} AND NOT e.is_again ` +
    `AND ${keyed.map((i) => `${mirrorOf(i)} = ${keyOf(i)}`).join(' AND ')}`
  );
}

/** Types of which every value is exact that does not show that it was lost. */
const showingLoss = new Set(['decimal', 'time', 'uuid', 'inet4', 'inet6', 'bit']);

/** Whether it can be told of each value that it was lost, so that only such values are looked up. */
function showsLoss({ known, mapping }: TargetColumn): boolean {
  return showingLoss.has(known?.type.kind ?? '') && mapping.lost('v') !== null;
}

/** SQL condition on the rows of `eventsQuery` of just these columns: the row has a value that is to be looked up. */
export function lookupCondition(columns: readonly TargetColumn[]): string {
  const asked = columns.filter(({ lookup }) => lookup);
  if (!asked.every(showsLoss)) return 'true';
  const lost = lostColumns(columns);
  const isAsked = (name: string): boolean => asked.some((column) => column.name === name);
  return lost.flatMap(({ name }, i) => (isAsked(name) ? [`lost_${i}`] : [])).join(' OR ');
}

/** Whether values are to be looked up: not in a table of so many columns that its lost values come as an array. */
export function hasLookups({ version, columns }: Pick<EventsQueryOptions, 'version' | 'columns'>): boolean {
  return version.key !== null && columns.some(({ lookup }) => lookup) && !isWide(columns);
}

/** The columns whose values the stream may lose, each with the SQL that tells whether it did. */
export function lostColumns(columns: readonly TargetColumn[]): { name: string; condition: string }[] {
  const { refs } = recordset(columns);
  return columns.flatMap((column, i) => {
    const condition = column.mapping.lost(refs[i] ?? '');
    return condition === null ? [] : [{ name: column.name, condition }];
  });
}

/** A SELECT has at most 1,664 columns (PostgreSQL manual, "PostgreSQL Limits"); some are needed for other things. */
const isWide = (columns: readonly TargetColumn[]): boolean => columns.length + lostColumns(columns).length > 1600;

/** What tells of each value whether it was lost: a column for each, in one array where that would be too many columns. */
function lostValues(columns: readonly TargetColumn[]): string[] {
  const conditions = lostColumns(columns).map(({ condition }) => condition);
  if (isWide(columns)) return [`ARRAY[${conditions.join(', ')}] AS lost`];
  return conditions.map((condition, i) => `${condition} AS lost_${i}`);
}

/** How to refer to them behind `eventsQuery`. */
export function lostReference(columns: readonly TargetColumn[]): (i: number) => string {
  return isWide(columns) ? (i) => `lost[${i + 1}]` : (i) => `lost_${i}`;
}

/**
 * SELECT of typed rows, one for each event: what every history row has, v0, v1, …, lost_0, …
 *
 * $1 JSON array of the events' columns · $2 ordinals · $3 domains · $4 server ids · $5 sequences · $6 event
 * numbers · $7 Unix seconds · $8 operations, as arrays · $9 text that stands for NUL. The fixed prefix of the lines comes in
 * arrays because json_to_recordset takes some 0.5 µs for each of its six members, more than half of a narrow row's time.
 */
export function eventsQuery({ version, columns, nul }: EventsQueryOptions): string {
  const { from, refs } = recordset(columns);
  const values = columns.map((column, i) => {
    const value = column.mapping.value(refs[i] ?? '', nul ? '$9::text' : null);
    const type = version.columns[i]?.postgresType ?? column.mappedType;
    return `${type === column.mappedType ? value : `(${value})::${type}`} AS v${i}`;
  });
  const select = [
    'ordinal AS stream_ordinal',
    'domain',
    'server_id',
    'sequence',
    'event_number',
    'to_timestamp(ts) AS ts',
    'event_type',
    ...values,
    ...lostValues(columns),
  ];
  return `SELECT ${select.join(', ')}\n  FROM ${from}`;
}

const prefixArrays =
  'unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::float8[], $8::afterimage.operation[])';
const prefixColumns = ['ordinal', 'domain', 'server_id', 'sequence', 'event_number', 'ts', 'event_type'];

/**
 * The rows and how to refer to each column in them. A name of more than 63 bytes cannot be a column of json_to_recordset
 * (PostgreSQL would cut it and look for the cut name); such values are taken out of the element itself.
 */
function recordset(columns: readonly TargetColumn[]): { from: string; refs: string[] } {
  const isLong = (column: TargetColumn) => Buffer.byteLength(column.name) > 63;
  const short = columns.flatMap((column, i) => (isLong(column) ? [] : [{ column, alias: `c${i}` }]));
  const definitions = short.map(({ column }) => `${quoteName(column.name)} ${column.mapping.jsonType}`);
  const anyLong = short.length < columns.length;
  const functions = [
    ...(short.length > 0 ? [`json_to_recordset($1::json) AS (${definitions.join(', ')})`] : []),
    ...(anyLong ? ['json_array_elements($1::json)'] : []),
    prefixArrays,
  ];
  const aliases = [...short.map(({ alias }) => alias), ...(anyLong ? ['element'] : []), ...prefixColumns];
  return {
    from: `ROWS FROM (${functions.join(', ')}) AS r(${aliases.join(', ')})`,
    refs: columns.map((column, i) =>
      isLong(column) ? `((element ->> ${quoteLiteral(column.name)})::${column.mapping.jsonType})` : `c${i}`,
    ),
  };
}
