import {
  parseMariadbUrl,
  type Queryable,
  quoteSource,
  readDatabaseKnowledge,
  type TableKnowledge,
} from '@afterimage/mariadb';
import { type ConfiguredTable, readTlsFiles, type SourceConfig } from '@afterimage/service';
import { type ConnectionConfig, createConnection } from 'mariadb';

/** What a MariaDB server says about itself and about the tables of the configured databases. */
export interface MariadbFacts {
  readonly version: string;
  /** Global variables by name, in lower case. */
  readonly variables: Readonly<Record<string, string>>;
  /** What the binary log holds, `0-1-5807` or several by commas; null without the privilege or without a log. */
  readonly binlogPosition: string | null;
  /** How far the server's zone is east of UTC now; null when it names a zone that it has no tables of. */
  readonly zoneOffsetSeconds: number | null;
  /** How far its clock is ahead of this machine's. */
  readonly clockAheadMs: number;
  readonly user: string;
  /** As SHOW GRANTS has them, without passwords. */
  readonly grants: readonly Grant[];
  /** Whether a replica reads the binary log now; null when the user may not see other connections. */
  readonly hasReplica: boolean | null;
  /** Global privileges of other accounts by user name; empty when the user may not see them. */
  readonly accounts: ReadonlyMap<string, readonly string[]>;
  /** All tables of the configured databases that the user sees. */
  readonly tables: readonly TableKnowledge[];
  readonly views: readonly TableName[];
  /** By `database.table`, of the configured ones: whether their rows can be read. */
  readonly access: ReadonlyMap<string, TableAccess>;
  /** Of all databases: columns that end MaxScale; null where there are too many columns to look at in the time. */
  readonly fatalColumns: readonly FatalColumn[] | null;
  readonly cascades: readonly Cascade[];
  /** `database.table` of partitioned tables. */
  readonly partitioned: ReadonlySet<string>;
}

export interface TableName {
  readonly database: string;
  readonly table: string;
}

export interface Grant {
  readonly privileges: readonly string[];
  /** `*.*`, `` `shop`.* ``; as the server writes it. */
  readonly on: string;
}

export type TableAccess = 'readable' | 'denied' | 'missing';

export interface FatalColumn extends TableName {
  readonly column: string;
  readonly definition: string;
}

export interface Cascade extends TableName {
  readonly parent: string;
  readonly rule: string;
}

const statementSeconds = 5;

/** Reads all of it over one connection. Rejects with the connector's SqlError when the server is away. */
export async function readMariadbFacts(
  { url, tls }: NonNullable<SourceConfig['mariadb']>,
  tables: readonly ConfiguredTable[],
  { signal, timeoutMs }: { readonly signal: AbortSignal; readonly timeoutMs: number },
): Promise<MariadbFacts> {
  // Not a pool: that would try again until its time is over instead of telling what is wrong.
  const connection = await createConnection({
    ...parseMariadbUrl(url),
    ...(tls === undefined ? {} : { ssl: readTlsFiles(tls) as NonNullable<ConnectionConfig['ssl']> }),
    connectTimeout: timeoutMs,
    initSql: [`SET SESSION max_statement_time = ${statementSeconds}`, 'SET SESSION TRANSACTION READ ONLY'],
  });
  const destroy = (): void => connection.destroy();
  signal.addEventListener('abort', destroy, { once: true });
  try {
    return await readAll(connection, tables);
  } finally {
    destroy();
  }
}

async function readAll(connection: Queryable, tables: readonly ConfiguredTable[]): Promise<MariadbFacts> {
  const databases = [...new Set(tables.map(({ database }) => database))];
  const knowledge: TableKnowledge[] = [];
  for (const database of databases) knowledge.push(...(await readDatabaseKnowledge(connection, database)));
  const views = await readViews(connection, databases);
  return {
    ...(await readServer(connection)),
    ...(await readAccounts(connection)),
    tables: knowledge,
    views,
    ...(await readAccess(connection, tables)),
    fatalColumns: await readFatalColumns(connection),
    partitioned: await readPartitioned(connection, databases),
  };
}

const variableNames = [
  'log_bin',
  'binlog_format',
  'binlog_row_image',
  'gtid_strict_mode',
  'gtid_domain_id',
  'server_id',
  'expire_logs_days',
  'binlog_expire_logs_seconds',
  'max_allowed_packet',
  'lower_case_table_names',
  'time_zone',
  'system_time_zone',
  'binlog_do_db',
  'binlog_ignore_db',
  'read_only',
];

type ServerFacts = Pick<
  MariadbFacts,
  'version' | 'variables' | 'binlogPosition' | 'zoneOffsetSeconds' | 'clockAheadMs'
>;

async function readServer(connection: Queryable): Promise<ServerFacts> {
  const variables = await connection.query<{ Variable_name: string; Value: string }[]>(
    `SHOW GLOBAL VARIABLES WHERE Variable_name IN (${variableNames.map(() => '?').join(', ')})`,
    variableNames,
  );
  const [row] = await connection.query<{ version: string; position: string; zoneOffset: unknown }[]>(
    `SELECT version() AS version, @@global.gtid_binlog_pos AS position,
            TIMESTAMPDIFF(SECOND, UTC_TIMESTAMP(), CONVERT_TZ(UTC_TIMESTAMP(), '+00:00', @@global.time_zone)) AS zoneOffset`,
  );
  return {
    version: row?.version ?? '',
    variables: Object.fromEntries(variables.map(({ Variable_name, Value }) => [Variable_name.toLowerCase(), Value])),
    binlogPosition: row?.position === undefined || row.position === '' ? null : row.position,
    zoneOffsetSeconds: row?.zoneOffset === null || row === undefined ? null : Number(row.zoneOffset),
    clockAheadMs: await compareClocks(connection),
  };
}

/** The shortest of a few questions is the best judge: the answer was made in the middle of it. */
async function compareClocks(connection: Queryable): Promise<number> {
  let best = { trip: Infinity, ahead: 0 };
  for (let turn = 0; turn < 3; turn += 1) {
    const asked = Date.now();
    const [row] = await connection.query<{ now: unknown }[]>('SELECT UNIX_TIMESTAMP(SYSDATE(6)) * 1000 AS now');
    const answered = Date.now();
    const trip = answered - asked;
    if (trip < best.trip) best = { trip, ahead: Number(row?.now) - (asked + answered) / 2 };
  }
  return best.ahead;
}

async function readAccounts(
  connection: Queryable,
): Promise<Pick<MariadbFacts, 'user' | 'grants' | 'hasReplica' | 'accounts'>> {
  const [me] = await connection.query<{ user: string }[]>('SELECT CURRENT_USER() AS user');
  const lines = await connection.query<Record<string, string>[]>('SHOW GRANTS');
  const grants = lines.flatMap((line) => parseGrant(Object.values(line)[0] ?? ''));
  const global = new Set(grants.filter(({ on }) => on === '*.*').flatMap(({ privileges }) => privileges));
  const seesAll = global.has('PROCESS') || global.has('ALL PRIVILEGES');
  const replicas = seesAll
    ? await connection.query<unknown[]>(
        `SELECT 1 FROM information_schema.PROCESSLIST WHERE COMMAND = 'Binlog Dump' LIMIT 1`,
      )
    : null;
  const rows = await connection.query<{ grantee: string; privilege: string }[]>(
    'SELECT GRANTEE AS grantee, PRIVILEGE_TYPE AS privilege FROM information_schema.USER_PRIVILEGES',
  );
  const accounts = new Map<string, string[]>();
  for (const { grantee, privilege } of rows) {
    const name = /^'(.*)'@/s.exec(grantee)?.[1] ?? grantee;
    accounts.set(name, [...(accounts.get(name) ?? []), privilege]);
  }
  return { user: me?.user ?? '', grants, hasReplica: replicas && replicas.length > 0, accounts };
}

/** `GRANT SELECT (a, b), INSERT ON … TO …`: a list of columns goes; a role that is granted has no ON, and its own lines. */
export function parseGrant(line: string): Grant[] {
  const [, list, on] = /^GRANT (.+?) ON (?:TABLE )?(.+?) TO /s.exec(line) ?? [];
  if (list === undefined || on === undefined) return [];
  const privileges = list.split(/,\s*(?![^(]*\))/).map((privilege) => privilege.trim());
  return [{ privileges: [...privileges, ...(line.endsWith('WITH GRANT OPTION') ? ['GRANT OPTION'] : [])], on }];
}

async function readViews(connection: Queryable, databases: readonly string[]): Promise<TableName[]> {
  return queryDatabases(
    connection,
    databases,
    `SELECT TABLE_SCHEMA AS \`database\`, TABLE_NAME AS \`table\` FROM information_schema.VIEWS WHERE TABLE_SCHEMA IN`,
  );
}

const noSuchTable = new Set([1146, 1049]);

/** Whether each table can be read, and what its foreign keys do. */
async function readAccess(
  connection: Queryable,
  tables: readonly ConfiguredTable[],
): Promise<Pick<MariadbFacts, 'access' | 'cascades'>> {
  const access = new Map<string, TableAccess>();
  const cascades: Cascade[] = [];
  for (const { database, table } of tables) {
    const name = `${quoteSource(database)}.${quoteSource(table)}`;
    const can = await tryTable(connection, name);
    access.set(`${database}.${table}`, can);
    if (can === 'readable') cascades.push(...(await readCascades(connection, { database, table })));
  }
  return { access, cascades };
}

/** `instead` when the server refuses the statement; rejects when the connection is lost. */
async function ignoreRefusal<T, U>(statement: Promise<T>, instead: U): Promise<T | U> {
  try {
    return await statement;
  } catch (error) {
    const { errno, fatal } = error as { errno?: number; fatal?: boolean };
    if (errno === undefined || fatal === true) throw error;
    return instead;
  }
}

/** Asking is better than reading grants: roles, patterns and columns are the server's business. */
async function tryTable(connection: Queryable, quotedName: string): Promise<TableAccess> {
  try {
    await connection.query(`SELECT * FROM ${quotedName} LIMIT 0`);
    return 'readable';
  } catch (error) {
    const { errno, fatal } = error as { errno?: number; fatal?: boolean };
    if (errno === undefined || fatal === true) throw error;
    return noSuchTable.has(errno) ? 'missing' : 'denied';
  }
}

/** One of the two rules is enough to tell. */
const foreignKey =
  /FOREIGN KEY \(.*?\) REFERENCES `((?:[^`]|``)+)`.*?(ON (?:DELETE|UPDATE) (?:CASCADE|SET NULL|SET DEFAULT))/g;

/** information_schema shows foreign keys only to those who may write; the definition is for all that may read. */
async function readCascades(connection: Queryable, { database, table }: TableName): Promise<Cascade[]> {
  // Of a view it wants another privilege, and there are no foreign keys.
  const [row] = await ignoreRefusal(
    connection.query<Record<string, string>[]>(`SHOW CREATE TABLE ${quoteSource(database)}.${quoteSource(table)}`),
    [],
  );
  const definition = row?.['Create Table'] ?? '';
  return [...definition.matchAll(foreignKey)].map(([, parent = '', rule = '']) => ({
    database,
    table,
    parent: parent.replaceAll('``', '`'),
    rule,
  }));
}

/** MaxScale converts every table that it is not told to leave out, so those of other databases count as well. */
async function readFatalColumns(connection: Queryable): Promise<FatalColumn[] | null> {
  const found = connection.query<FatalColumn[]>(
    `SELECT TABLE_SCHEMA AS \`database\`, TABLE_NAME AS \`table\`, COLUMN_NAME AS \`column\`, COLUMN_TYPE AS definition
     FROM information_schema.COLUMNS
     WHERE TABLE_SCHEMA NOT IN ('mysql', 'sys', 'information_schema', 'performance_schema')
       AND (DATA_TYPE IN ('geometry', 'point', 'linestring', 'polygon', 'multipoint', 'multilinestring', 'multipolygon',
                          'geometrycollection')
            OR DATA_TYPE IN ('varchar', 'varbinary') AND COLUMN_TYPE LIKE '%COMPRESSED%')
       AND TABLE_NAME IN (SELECT TABLE_NAME FROM information_schema.TABLES t
                          WHERE t.TABLE_SCHEMA = COLUMNS.TABLE_SCHEMA AND t.TABLE_TYPE LIKE '%BASE TABLE%')
     ORDER BY 1, 2, 3 LIMIT 100`,
  );
  return ignoreRefusal(found, null);
}

async function readPartitioned(connection: Queryable, databases: readonly string[]): Promise<Set<string>> {
  const found = await queryDatabases<TableName>(
    connection,
    databases,
    `SELECT TABLE_SCHEMA AS \`database\`, TABLE_NAME AS \`table\` FROM information_schema.TABLES
     WHERE CREATE_OPTIONS LIKE '%partitioned%' AND TABLE_SCHEMA IN`,
  );
  return new Set(found.map(({ database, table }) => `${database}.${table}`));
}

async function queryDatabases<Row>(
  connection: Queryable,
  databases: readonly string[],
  select: string,
): Promise<Row[]> {
  if (databases.length === 0) return [];
  return connection.query<Row[]>(`${select} (${databases.map(() => '?').join(', ')})`, databases);
}
