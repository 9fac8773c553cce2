import { quoteLiteral, quoteName } from '../names.js';
import type { TargetColumn } from '../schema/target.js';
import type { SchemaVersion } from '../schema/versions.js';

export interface EventsQueryOptions {
  readonly version: SchemaVersion;
  readonly columns: readonly TargetColumn[];
  readonly variant: { readonly nul: boolean; readonly bases: boolean };
}

/** The columns whose values the stream may lose, each with the SQL that tells whether it did. */
export function lostColumns(columns: readonly TargetColumn[]): { name: string; condition: string }[] {
  const { refs } = recordset(columns);
  return columns.flatMap((column, i) => {
    const condition = column.mapping.lost(refs[i] ?? '');
    return condition === null ? [] : [{ name: column.name, condition }];
  });
}

const unsigned32 = 4294967295;

/** SELECT that turns $1 (JSON array of event lines) into typed rows: what every history row has, v0, v1, …, lost_0, … */
export function eventsQuery({ version, columns, variant }: EventsQueryOptions): string {
  const { from, refs } = recordset(columns);
  const nul = variant.nul ? '$3::text' : null;
  const values = columns.map((column, i) => {
    const value = column.mapping.value(refs[i] ?? '', nul);
    const type = version.columns[i]?.postgresType ?? column.mappedType;
    return `${type === column.mappedType ? value : `(${value})::${type}`} AS v${i}`;
  });
  const bases = variant.nul ? '$4' : '$3';
  const base = variant.bases ? ` + coalesce((${bases}::jsonb ->> (domain & ${unsigned32})::text)::bigint, 0)` : '';
  const select = [
    '$2::bigint + o - 1 AS stream_ordinal',
    `domain & ${unsigned32} AS domain`,
    `server_id & ${unsigned32} AS server_id`,
    `(sequence & ${unsigned32})${base} AS sequence`,
    'event_number',
    `to_timestamp(ts & ${unsigned32}) AS ts`,
    'event_type::afterimage.operation AS event_type',
    ...values,
    ...lostColumns(columns).map(({ condition }, i) => `${condition} AS lost_${i}`),
  ];
  return `SELECT ${select.join(', ')}\n  FROM ${from}`;
}

/**
 * The rows of $1 and how to refer to each column in them. A name of more than 63 bytes cannot be a column of
 * json_to_recordset (PostgreSQL would cut it and look for the cut name); such values are taken out of the element itself.
 */
function recordset(columns: readonly TargetColumn[]): { from: string; refs: string[] } {
  const isLong = (column: TargetColumn) => Buffer.byteLength(column.name) > 63;
  const short = columns.flatMap((column, i) => (isLong(column) ? [] : [{ column, alias: `c${i}` }]));
  const fixed =
    'domain bigint, server_id bigint, sequence bigint, event_number bigint, "timestamp" bigint, event_type text';
  const definitions = short.map(({ column }) => `${quoteName(column.name)} ${column.mapping.jsonType}`);
  const anyLong = short.length < columns.length;
  const functions = [
    `json_to_recordset($1::json) AS (${[fixed, ...definitions].join(', ')})`,
    ...(anyLong ? ['json_array_elements($1::json)'] : []),
  ];
  const aliases = [
    'domain',
    'server_id',
    'sequence',
    'event_number',
    'ts',
    'event_type',
    ...short.map(({ alias }) => alias),
    ...(anyLong ? ['element'] : []),
    'o',
  ];
  return {
    from: `ROWS FROM (${functions.join(', ')}) WITH ORDINALITY AS r(${aliases.join(', ')})`,
    refs: columns.map((column, i) =>
      isLong(column) ? `((element ->> ${quoteLiteral(column.name)})::${column.mapping.jsonType})` : `c${i}`,
    ),
  };
}
