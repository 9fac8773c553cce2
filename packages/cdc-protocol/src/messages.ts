/** What a MaxScale CDC stream consists of. */
export type CdcMessage = SchemaMessage | RowEvent | ServerError;

/** A table's columns from here on. Sent at the start of a stream and, inline, before the first row of a new version. */
export interface SchemaMessage {
  readonly kind: 'schema';
  /** Avro namespace, `MaxScaleChangeDataSchema.avro`. */
  readonly namespace: string;
  readonly database: string;
  readonly table: string;
  /** Number of the Avro file; it also grows when a file merely rotates, so compare fields, not versions. */
  readonly version: number;
  /** GTID of the DDL statement. */
  readonly gtid: string;
  /** The source's columns in table order, without the six fields that avrorouter puts before them. */
  readonly fields: readonly SchemaField[];
  /** The line as received, without its newline. */
  readonly raw: string;
}

export interface SchemaField {
  readonly name: string;
  /** The type word as written in the DDL, in its case: `int`, `INTEGER`, `timestamp_`, … Empty when absent. */
  readonly realType: string;
  /** The Avro type other than null: `int`, `long`, `float`, `double`, `string`, `bytes`, … */
  readonly avroType: string;
  /** Whether the Avro type is a union with null (MaxScale 24.02: always, whatever the column's definition). */
  readonly nullable: boolean;
  /** Declared length; MaxScale 24.02 always says -1, "unknown". */
  readonly length: number;
  readonly unsigned: boolean;
}

export type Operation = 'insert' | 'update_before' | 'update_after' | 'delete';

/** A value as the line has it: integers beyond 2^53 are bigint, other numbers are the nearest double. */
export type RowValue = string | number | bigint | null;

/** Column name → value, in table order. Without prototype, so a column named `__proto__` is a plain key. */
export type Row = Record<string, RowValue>;

/**
 * What a row's line says before its columns. MaxScale prints these integers modulo 2^32 as signed; here they
 * are unsigned. (A sequence of 2^32 and more is still only known modulo 2^32.)
 */
export interface RowPrefix {
  /** The three parts of the transaction's GTID. */
  readonly domain: number;
  readonly serverId: number;
  readonly sequence: number;
  /** Counts the row images of one transaction over all its tables, from 1; so one table's stream has gaps. */
  readonly eventNumber: number;
  /** Time of the event at the source, Unix seconds. */
  readonly timestamp: number;
  readonly operation: Operation;
}

/** One row image. */
export interface RowEvent extends RowPrefix {
  readonly kind: 'row';
  /** The line exactly as received, without its newline (and without the NUL that ends an earlier error reply). */
  readonly raw: string;
  /** Parses the columns, anew at each call. Throws CdcError PROTOCOL_VIOLATION when they are not flat JSON. */
  row(): Row;
}

export type ServerErrorCode =
  /** The file of that table and version does not exist: no row event yet, no such table, or pruned. */
  | 'NO_SUCH_FILE'
  | 'UNKNOWN_COMMAND'
  /** The table's file is damaged or a row did not fit: MaxScale closes, and does so again at the same place. */
  | 'FATAL'
  | 'REQUEST_WITHOUT_NAME'
  | 'AUTH_FAILED'
  | 'REGISTRATION_FAILED'
  /** An error text this version of the package does not know. */
  | 'OTHER';

/** An error line of the server. The connection's end, if it follows, is a CdcError of its own. */
export interface ServerError {
  readonly kind: 'error';
  readonly code: ServerErrorCode;
  /** Whether the server gives up the connection after it. */
  readonly fatal: boolean;
  /** The text as received; it can hold a newline when the requested name did. */
  readonly text: string;
}
