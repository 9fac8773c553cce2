import type { TableKnowledge } from '@afterimage/mariadb';
import type { SnapshotPlace } from '@afterimage/replica';
import type { Pool, PoolConnection } from 'mariadb';
import { SnapshotError, sourceErrno } from './errors.js';
import { sourceTable } from './key-ranges.js';

/** Connections that all see a table as it was at one place of the binlog. */
export interface ConsistentView {
  readonly connections: readonly PoolConnection[];
  readonly place: SnapshotPlace;
  /** What the operator should know of how it was made; null: as usual. */
  readonly notice: string | null;
  close(): Promise<void>;
}

export interface ViewOptions {
  readonly source: Pool;
  readonly knowledge: TableKnowledge;
  /** Connections to read with, if they can be brought to one place. */
  readonly readers: number;
}

const tries = 10;
const lockSeconds = 5;

/** Streams that PostgreSQL holds up for minutes must not be ended by MariaDB for that. */
const sessionSetup = 'SET SESSION net_write_timeout = 28800, wait_timeout = 28800, max_statement_time = 0';

/**
 * Opens a view of a table. On engines with transactions each connection begins one with a consistent snapshot, which tells
 * its place in the binlog; they are begun again until all are at the same place, or, on a server that is never quiet, while
 * the table is locked for writing for that moment. Without the privilege for that, one connection has to do.
 *
 * A table without transactions is locked for writing until the view is closed. Where that is not allowed it is read as it
 * changes, from a place before: the stream's events after it correct every row that has a key.
 */
export async function openView(options: ViewOptions): Promise<ConsistentView> {
  const { source, knowledge, readers } = options;
  const held: PoolConnection[] = [];
  const take = async (): Promise<PoolConnection> => {
    const connection = await source.getConnection();
    connection.on('error', ignoreError);
    held.push(connection);
    await connection.query(sessionSetup);
    return connection;
  };
  const close = async (): Promise<void> => {
    await Promise.all(held.splice(0).map((connection) => release(connection)));
  };
  try {
    const first = await take();
    await requireBinlog(first);
    if (!(await hasTransactions(first, knowledge))) return { ...(await readLocked(first, take, options)), close };
    const others = await Promise.all(Array.from({ length: readers - 1 }, take));
    const seen = await beginTogether([first, ...others], knowledge, take);
    return { ...seen, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** The queries under way tell of it, too. */
function ignoreError(): void {}

/** A connection with a query under way cannot be used again. */
async function release(connection: PoolConnection): Promise<void> {
  if (!connection.isValid()) return connection.destroy();
  try {
    await connection.query('UNLOCK TABLES');
    await connection.rollback();
    // It serves many tables, one after the other.
    connection.off('error', ignoreError);
    await connection.release();
  } catch {
    connection.destroy();
  }
}

async function readRow<Row>(connection: PoolConnection, sql: string, values?: unknown): Promise<Row | undefined> {
  const rows = await connection.query<Row[]>(sql, values);
  return rows[0];
}

async function requireBinlog(connection: PoolConnection): Promise<void> {
  const row = await readRow<{ binlog: unknown; follows: unknown; slave: string | null }>(
    connection,
    'SELECT @@log_bin AS binlog, @@log_slave_updates AS follows, @@gtid_slave_pos AS slave',
  );
  if (Number(row?.binlog) !== 1) {
    throw new SnapshotError(
      'NO_BINLOG',
      'this MariaDB writes no binlog (log_bin is OFF), so a copy of it has no place in the stream: name the server that MaxScale reads from in sources.<name>.mariadb.url',
    );
  }
  if (Number(row?.follows) !== 1 && (row?.slave ?? '') !== '') {
    throw new SnapshotError(
      'NO_BINLOG',
      'this MariaDB is a replica that does not write what it replicates into its binlog (log_slave_updates is OFF): name the primary in sources.<name>.mariadb.url, or set it ON',
    );
  }
}

async function hasTransactions(connection: PoolConnection, { engine }: TableKnowledge): Promise<boolean> {
  const row = await readRow<{ transactions: string | null }>(
    connection,
    'SELECT TRANSACTIONS AS transactions FROM information_schema.ENGINES WHERE ENGINE = ?',
    [engine ?? ''],
  );
  return row?.transactions === 'YES';
}

interface BinlogPlace {
  readonly file: string;
  readonly position: number;
}

type Seen = Omit<ConsistentView, 'close'>;

async function beginTogether(
  connections: readonly PoolConnection[],
  knowledge: TableKnowledge,
  take: () => Promise<PoolConnection>,
): Promise<Seen> {
  for (let attempt = 1; attempt <= tries; attempt += 1) {
    const places = await Promise.all(connections.map((connection) => begin(connection)));
    const [place] = places;
    if (place !== undefined && places.every((other) => isSame(place, other)))
      return describeView(connections, place, null);
  }
  const lock = await tryLock(await take(), knowledge);
  if (lock !== null) {
    // Nothing is written to this table meanwhile, so it does not matter that others move on.
    const places = await Promise.all(connections.map((connection) => begin(connection)));
    await lock.query('UNLOCK TABLES');
    const [place] = places;
    if (place !== undefined) return describeView(connections, place, null);
  }
  const alone = connections.slice(0, 1);
  const [connection] = alone;
  if (connection === undefined) throw new RangeError('a view without connections');
  const notice = `one reader only: MariaDB commits too often for several to begin at once, and LOCK TABLES on ${sourceTable(knowledge)} is not granted`;
  return describeView(alone, await begin(connection), notice);
}

async function begin(connection: PoolConnection): Promise<BinlogPlace> {
  await connection.query('ROLLBACK');
  await connection.query('START TRANSACTION WITH CONSISTENT SNAPSHOT');
  const rows = await connection.query<{ Variable_name: string; Value: string }[]>(
    `SHOW STATUS LIKE 'binlog_snapshot_%'`,
  );
  const valueOf = (name: string): string => rows.find((row) => row.Variable_name.toLowerCase() === name)?.Value ?? '';
  return { file: valueOf('binlog_snapshot_file'), position: Number(valueOf('binlog_snapshot_position')) };
}

const isSame = (a: BinlogPlace, b: BinlogPlace): boolean => a.file === b.file && a.position === b.position;

async function describeView(
  connections: readonly PoolConnection[],
  { file, position }: BinlogPlace,
  notice: string | null,
): Promise<Seen> {
  const [connection] = connections;
  const row =
    connection === undefined
      ? undefined
      : await readRow<{ gtids: string | null; now: string }>(
          connection,
          'SELECT BINLOG_GTID_POS(?, ?) AS gtids, CAST(UNIX_TIMESTAMP(NOW(6)) AS CHAR) AS now',
          [file, position],
        );
  if (row === undefined || row.gtids === null || file === '') {
    throw new SnapshotError(
      'NO_BINLOG',
      `MariaDB does not tell the GTID of its binlog at ${file}:${position}: see that log_bin is ON and the file is still there`,
    );
  }
  return { connections, place: { gtids: row.gtids, at: toDate(row.now) }, notice };
}

const toDate = (seconds: string): Date => new Date(Number(seconds) * 1000);

/** Null where it is not allowed, or others hold the table for too long. */
async function tryLock(connection: PoolConnection, knowledge: TableKnowledge): Promise<PoolConnection | null> {
  try {
    await connection.query(`SET SESSION lock_wait_timeout = ${lockSeconds}`);
    await connection.query(`LOCK TABLES ${sourceTable(knowledge)} READ`);
    return connection;
  } catch (error) {
    if ([1044, 1142, 1205, 1227].includes(sourceErrno(error) ?? 0)) return null;
    throw error;
  }
}

async function readLocked(
  first: PoolConnection,
  take: () => Promise<PoolConnection>,
  { knowledge, readers }: ViewOptions,
): Promise<Seen> {
  const lock = await tryLock(first, knowledge);
  if (lock === null && knowledge.key === null) {
    throw new SnapshotError(
      'LOCK_NEEDED',
      `${knowledge.database}.${knowledge.table} has neither transactions (engine ${knowledge.engine}) nor a key, so it can only be copied while nobody writes to it: GRANT LOCK TABLES, SELECT ON ${sourceTable(knowledge)} to the user of sources.<name>.mariadb.url, or convert the table to InnoDB`,
    );
  }
  const row = await readRow<{ gtids: string; now: string }>(
    first,
    'SELECT @@GLOBAL.gtid_binlog_pos AS gtids, CAST(UNIX_TIMESTAMP(NOW(6)) AS CHAR) AS now',
  );
  // A lock is on the connection that has it; the others read beside it.
  const connections = lock === null ? [first] : await Promise.all(Array.from({ length: readers }, take));
  const engine = `engine ${knowledge.engine} has no transactions`;
  const notice =
    lock === null
      ? `${engine}, and LOCK TABLES is not granted: rows that change meanwhile are right when the stream has passed the end of the copy`
      : `${engine}: writing to it waits until the copy is done`;
  return { connections, place: { gtids: row?.gtids ?? '', at: toDate(row?.now ?? '0') }, notice };
}
