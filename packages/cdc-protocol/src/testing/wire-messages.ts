import type { Operation, RowValue } from '../messages.js';
import { avroTypeOf, formatText, formatValue, type Column } from './value-text.js';

/*
 * A builder per message that a server sends, with MaxScale 24.02's exact spacing and escapes.
 * https://mariadb.com/kb/en/maxscale-24-02-change-data-capture-cdc-protocol/ gives the protocol; the
 * bytes were compared with recordings, which differ from that page in places.
 */

/** Answer to a good authentication: two newlines since 23.08, one before. */
export const authenticationReply = { current: 'OK\n\n', upTo2302: 'OK\n' } as const;
export const authenticationFailedReply = {
  current: 'ERROR: Authentication failed\n\n',
  upTo2302: 'ERROR: Authentication failed\n',
} as const;
export const registrationReply = 'OK\n';
export const registrationFailedReply = 'ERR, code 12, msg: Registration failed\n';
/** The NUL stands after the newline, so the next line begins with it. */
export const unknownCommandReply = 'ERR: Unknown command\n\0';
export const requestWithoutNameReply = 'ERR REQUEST-DATA with no data.\n';
export const fileNotSpecifiedReply = 'ERR NO-FILE Filename not specified.\n';

export function noFileReply(fileName: string): string {
  return `ERR NO-FILE File '${fileName}' not found.\n`;
}

/** `reason` is MaxScale's name for it: `MAXAVRO_ERR_MEMORY`, `MAXAVRO_ERR_IO`. */
export function fatalErrorLine(reason: string): string {
  return `ERR fatal error: ${reason}\n`;
}

/** A GTID's parts. They are 64-bit here and 32-bit on the wire. */
export interface Gtid {
  readonly domain: number | bigint;
  readonly serverId: number | bigint;
  readonly sequence: number | bigint;
}

export function formatGtid({ domain, serverId, sequence }: Gtid): string {
  return `${domain}-${serverId}-${sequence}`;
}

/** Throws RangeError unless the text is `domain-server-sequence`. */
export function parseGtid(text: string): Gtid {
  const parts = /^(\d+)-(\d+)-(\d+)$/.exec(text);
  if (parts === null) throw new RangeError(`not a GTID: ${JSON.stringify(text)}`);
  const [domain, serverId, sequence] = parts.slice(1).map(BigInt);
  return { domain: domain ?? 0n, serverId: serverId ?? 0n, sequence: sequence ?? 0n };
}

export interface SchemaContent {
  readonly database: string;
  readonly table: string;
  readonly version: number;
  readonly gtid: string;
  readonly columns: readonly Column[];
}

const prefixFields = [
  ...['domain', 'server_id', 'sequence', 'event_number', 'timestamp'].map((name) => `{"name":"${name}","type":"int"}`),
  '{"name":"event_type","type":{"type":"enum","name":"EVENT_TYPES","symbols":["insert","update_before","update_after","delete"]}}',
];

/** A schema line, newline included. */
export function schemaLine({ database, table, version, gtid, columns }: SchemaContent): string {
  const fields = [...prefixFields, ...columns.map(fieldText)].join(',');
  return (
    '{"namespace":"MaxScaleChangeDataSchema.avro","type":"record","name":"ChangeRecord",' +
    `"table":${formatText(table)},"database":${formatText(database)},"version":${version},"gtid":${formatText(gtid)},"fields":[${fields}]}\n`
  );
}

function fieldText(column: Column): string {
  const { name, realType, unsigned = false } = column;
  return `{"name":${formatText(name)},"type":["null","${avroTypeOf(column)}"],"real_type":${formatText(realType)},"length":-1,"unsigned":${unsigned}}`;
}

export interface RowContent extends Gtid {
  readonly eventNumber: number;
  /** Unix seconds. */
  readonly timestamp: number;
  readonly operation: Operation;
}

/** A row's line, newline included: GTID parts wrapped to 32 bits, columns in table order, a missing value is null. */
export function rowLine(
  event: RowContent,
  columns: readonly Column[],
  values: Readonly<Record<string, RowValue | undefined>>,
): string {
  const prefix =
    `{"domain": ${wrap(event.domain)}, "server_id": ${wrap(event.serverId)}, "sequence": ${wrap(event.sequence)}, ` +
    `"event_number": ${wrap(event.eventNumber)}, "timestamp": ${wrap(event.timestamp)}, "event_type": "${event.operation}"`;
  let line = prefix;
  for (const column of columns) line += `, ${formatText(column.name)}: ${formatValue(column, values[column.name])}`;
  return `${line}}\n`;
}

function wrap(value: number | bigint): number {
  return typeof value === 'number' ? value | 0 : Number(BigInt.asIntN(32, value));
}
