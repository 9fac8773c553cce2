import { describeError, isTransient, sqlState } from '@afterimage/replica';
import { SqlError } from 'mariadb';

/** Why a table cannot be copied. Each code's comment says what to do. */
export type SnapshotErrorCode =
  /** Connecting to MariaDB was refused: correct user or password of `sources.<name>.mariadb.url`. */
  | 'SOURCE_LOGIN'
  /** MariaDB does not answer: start it, or correct the URL. */
  | 'SOURCE_UNAVAILABLE'
  /** The user lacks a privilege: grant what the message names. */
  | 'SOURCE_PRIVILEGE'
  /** There is no such table in MariaDB, it is a view, or the user may not see it: correct the name, or grant SELECT. */
  | 'NO_SUCH_TABLE'
  /** The table's rows never come through MaxScale (WITH SYSTEM VERSIONING), so a copy would stay as it is. */
  | 'NOT_STREAMED'
  /** The server writes no binlog, or not what it replicates: a copy would have no place in the stream. */
  | 'NO_BINLOG'
  /** A table without transactions and without key can only be copied under a lock: grant LOCK TABLES. */
  | 'LOCK_NEEDED'
  /** A row does not fit into `max_allowed_packet`: raise it at the server. */
  | 'ROW_TOO_LONG'
  /** PostgreSQL refuses a value or a key: the message has its words; change the column's type, or the value. */
  | 'ROW_REFUSED'
  /** PostgreSQL refuses the table: a privilege, a name taken, a disk that is full. */
  | 'TARGET_REFUSED'
  /** Another process copies this table: wait for it. */
  | 'ALREADY_RUNNING'
  /** The partitions of the stream stay on both sides of the copy's place: see why writers do not go on. */
  | 'STREAM_APART'
  /** The table changed again and again while it was copied: try again when its DDL is done. */
  | 'TABLE_CHANGES';

/** A table was not copied; nothing of it is in mirror or history. */
export class SnapshotError extends Error {
  readonly code: SnapshotErrorCode;

  constructor(code: SnapshotErrorCode, message: string, cause?: unknown) {
    super(message, { cause });
    this.name = 'SnapshotError';
    this.code = code;
  }
}

/** What MariaDB said, by its error number. */
export function sourceErrno(error: unknown): number | undefined {
  return error instanceof SqlError ? error.errno : undefined;
}

const diskFull = '53100';

const changedTable = new Set([
  1412, // ER_TABLE_DEF_CHANGED: altered after the view began
  1020, // ER_CHECKREAD
]);

/** The table is not the one any more that the view has. */
function isTableChanged(error: unknown): boolean {
  return changedTable.has(sourceErrno(error) ?? 0);
}

const deniedErrnos = new Set([1044, 1142, 1143, 1227, 1370]);
const loginErrnos = new Set([1045, 1698, 1130, 1275, 1251]);
const waitedErrnos = new Set([
  1040, // too many connections
  1053, // shutdown in progress
  1203, // user has too many connections
  1205, // lock wait timeout
  1213, // deadlock
  1226, // user resource limit
]);

/** The connector's own errors, as of a pool that gets no connection, say why in their cause. */
function causeOf(error: unknown): unknown {
  return error instanceof SqlError && error.errno >= 45_000 && error.cause instanceof SqlError ? error.cause : error;
}

/** Whether copying again later may go well, without anybody changing anything. */
export function isWorthAnotherTry(failure: unknown): boolean {
  const error = causeOf(failure);
  if (error instanceof SnapshotError) return false;
  // Without more room it would fail again, after all the work.
  if (!(error instanceof SqlError)) return isTransient(error) && sqlState(error) !== diskFull;
  if (loginErrnos.has(error.errno) || deniedErrnos.has(error.errno)) return false;
  return error.fatal || waitedErrnos.has(error.errno) || isTableChanged(error) || error.errno >= 45_000;
}

/** The error as the operator should see it: what to do is in it. */
export function explainError(failure: unknown, table: string): SnapshotError {
  const error = causeOf(failure);
  if (error instanceof SnapshotError) return error;
  if (error instanceof SqlError) return explainSource(error, table);
  const why = describeError(error);
  const state = (error as { code?: unknown }).code;
  if (typeof state !== 'string') return new SnapshotError('TARGET_REFUSED', `${table}: ${why}`, error);
  return new SnapshotError(...explainTarget(state, why, table), error);
}

function explainSource(error: SqlError, table: string): SnapshotError {
  // Of the connector's texts the first line is the server's.
  const [why = ''] = (error.sqlMessage ?? error.message).split('\n');
  if (loginErrnos.has(error.errno)) {
    const advice = 'correct user and password in sources.<name>.mariadb.url (AFTERIMAGE_SOURCE_<NAME>_MARIADB_URL)';
    return new SnapshotError('SOURCE_LOGIN', `MariaDB refused the connection: ${why}: ${advice}`, error);
  }
  if (deniedErrnos.has(error.errno)) {
    const advice = `GRANT SELECT ON ${table.replace(/^.*\//, '')} TO the user of sources.<name>.mariadb.url`;
    return new SnapshotError('SOURCE_PRIVILEGE', `MariaDB refused to read ${table}: ${why}: ${advice}`, error);
  }
  if (error.errno === 1146 || error.errno === 1049) return noSuchTable(table, error);
  if (error.errno === 1301 || error.errno === 1153) return rowTooLong(table, why);
  return new SnapshotError(
    'SOURCE_UNAVAILABLE',
    `reading ${table} from MariaDB failed: ${why} (${error.errno})`,
    error,
  );
}

function explainTarget(state: string, why: string, table: string): [SnapshotErrorCode, string] {
  if (/^2[23]/.test(state)) {
    const advice =
      state === '23505'
        ? 'two rows of MariaDB are one for the key in PostgreSQL: set another `key` for this table, or none'
        : 'correct the value at the source, or give its column another type in the configuration (`columns: <name>: postgres: text`)';
    return ['ROW_REFUSED', `PostgreSQL refused a row of ${table}: ${why}; ${advice}`];
  }
  if (state === '42501') {
    return [
      'TARGET_REFUSED',
      `the role of postgres.url may not make the copy of ${table}: ${why}. Grant it CREATE on the database, or run as the writers' role.`,
    ];
  }
  if (state === diskFull) {
    return [
      'TARGET_REFUSED',
      `PostgreSQL's disk is full while ${table} is copied: ${why}. Make room, then run it again.`,
    ];
  }
  return ['TARGET_REFUSED', `PostgreSQL refused the copy of ${table}: ${why}`];
}

export function noSuchTable(table: string, cause?: unknown): SnapshotError {
  return new SnapshotError(
    'NO_SUCH_TABLE',
    `there is no table ${table} in MariaDB, or the user of sources.<name>.mariadb.url may not SELECT it: correct the name in the configuration, or grant it`,
    cause,
  );
}

export function rowTooLong(table: string, why: string): SnapshotError {
  return new SnapshotError(
    'ROW_TOO_LONG',
    `a row of ${table} is too long for MariaDB's max_allowed_packet (${why}): raise max_allowed_packet at the server, then run it again`,
  );
}
