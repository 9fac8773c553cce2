import { DrizzleQueryError } from 'drizzle-orm';
import pg from 'pg';

/** Why a stream stands still until the operator acts. Each code's comment says what to do. */
export type HaltCode =
  /** A column of the configured key is not in the table any more: change `key`, then restart the writers. */
  | 'KEY_COLUMN_MISSING'
  /** A column's `type` or `postgres` in the configuration cannot be read: correct it, then restart the writers. */
  | 'COLUMN_TYPE_INVALID'
  /** A column may have been renamed and `rename` is `halt`: set it to `infer` or `drop-add` for the table. */
  | 'RENAME_UNDECIDED'
  /** PostgreSQL refused a schema change; the message says why (a dependent view, a name taken): resolve that. */
  | 'SCHEMA_REFUSED'
  /** The mirror's name is taken or reserved: drop that table, or give the mirror another name with `as`. */
  | 'MIRROR_NAME_TAKEN'
  /** The mirror or a history segment was dropped or altered by hand: `afterimage rebuild`, or undo the change. */
  | 'MIRROR_CHANGED'
  /** Reader and writers have different keys of a divided table: restart the reader, too. */
  | 'PARTITION_KEY_DIFFERS'
  /** A row was refused and `onRefused` is `halt`: make room for it, or set `onRefused` to `dead-letter`. */
  | 'ROW_REFUSED'
  /** The writer's role lacks a privilege: grant what the message names. */
  | 'PRIVILEGE_MISSING'
  /** The table changed at the source without an event, and the policy is `halt`: see status, then `afterimage resume`. */
  | 'SOURCE_CHANGED'
  /** Anything else that PostgreSQL said to a whole batch: the message has its words and SQLSTATE. */
  | 'BATCH_REFUSED';

/** Stops a stream with a code and a message for the operator; nothing of the batch is applied. */
export class StreamHalted extends Error {
  readonly code: HaltCode;
  constructor(code: HaltCode, message: string, cause?: unknown) {
    super(message, { cause });
    this.name = 'StreamHalted';
    this.code = code;
  }
}

/** A line that is no event: put into the dead letters like a row that PostgreSQL refuses. */
export class EventMalformed extends Error {
  /** Stands where others have a SQLSTATE; of the class that the standard leaves to implementations. */
  readonly code = 'AFI01';
  constructor(message: string) {
    super(message);
    this.name = 'EventMalformed';
  }
}

/** MariaDB, which is needed to go on, does not answer or refuses: trying again may help. */
export class SourceUnavailable extends Error {
  constructor(message: string, cause: unknown) {
    super(message, { cause });
    this.name = 'SourceUnavailable';
  }
}

/** The SQLSTATE of an error that PostgreSQL sent (or our own that stands for one), else undefined. */
export function sqlState(error: unknown): string | undefined {
  if (error instanceof EventMalformed) return error.code;
  return error instanceof pg.DatabaseError ? error.code : undefined;
}

const transientStates = new Set([
  '40001', // serialization_failure
  '40P01', // deadlock_detected
  '55P03', // lock_not_available (lock_timeout)
  '57014', // query_canceled (statement_timeout)
  '57P01', // admin_shutdown
  '57P02', // crash_shutdown
  '57P03', // cannot_connect_now
  '57P05', // idle_session_timeout
  // What a server says to who connects, while a password or a database is being changed: no batch is at fault.
  '28000', // invalid_authorization_specification
  '28P01', // invalid_password
  '3D000', // invalid_catalog_name
  '25006', // read_only_sql_transaction: a standby not promoted yet
  '25P03', // idle_in_transaction_session_timeout
  '25P04', // transaction_timeout
  '58030', // io_error
  'XX000', // internal_error: often a broken backend; the retry tells
]);

/**
 * Whether trying again later can help, without anybody changing anything: connection lost, server starting or
 * stopping, serialization, deadlock, lock and statement time-outs, resources (class 53: disk full, memory, connections).
 * PostgreSQL manual, "PostgreSQL Error Codes".
 */
export function isTransient(error: unknown): boolean {
  if (error instanceof SourceUnavailable) return true;
  const state = sqlState(error);
  if (state !== undefined) return state.startsWith('08') || state.startsWith('53') || transientStates.has(state);
  // What pg itself throws (connection lost, refused, timed out) has no SQLSTATE; our own errors are not its.
  return error instanceof Error && !(error instanceof StreamHalted) && isConnectionError(error);
}

const socketCodes = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
  'ENOTFOUND',
  'EAI_AGAIN',
  'ECONNABORTED',
  'EHOSTUNREACH',
  'EHOSTDOWN',
  'ENETUNREACH',
  'ENETDOWN',
  'EADDRNOTAVAIL',
  'EMFILE',
  'ENOENT',
]);

function isConnectionError(error: Error): boolean {
  if (error instanceof AggregateError) return error.errors.some((e) => e instanceof Error && isConnectionError(e));
  if ('code' in error && typeof error.code === 'string' && socketCodes.has(error.code)) return true;
  // pg gives these neither code nor class; its texts are all there is.
  return /^(Connection terminated|Client has encountered a connection error|timeout e(xceeded|xpired)|Query read timeout)/.test(
    error.message,
  );
}

/**
 * Whether the cause is in the row: bad value (22), constraint (23), over a limit such as index row size (54000) or nested
 * deeper than PostgreSQL's stack (54001). The rest of class 54 (too many columns) would refuse every row alike.
 */
export function isRowRefused(error: unknown): boolean {
  const state = sqlState(error);
  return state !== undefined && /^(22|23)|^5400[01]$|^P0001$|^44000$|^AFI01$/.test(state);
}

/** The error that says why: drizzle's tells the query, and a connection tried at several addresses has one for each. */
export function rootError(error: unknown): unknown {
  if (error instanceof DrizzleQueryError && error.cause !== undefined) return rootError(error.cause);
  return error instanceof AggregateError && error.message === '' ? rootError(error.errors[0]) : error;
}

/** What an operator needs of a PostgreSQL error, in one line; row values are left to the dead letter. */
export function describeError(error: unknown): string {
  const root = rootError(error);
  const state = sqlState(root);
  const message = root instanceof Error ? root.message : String(root);
  return state === undefined ? message : `${message} (SQLSTATE ${state})`;
}
