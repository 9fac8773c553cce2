import type pg from 'pg';

/** What PostgreSQL says about itself, the database and the role. */
export interface PostgresFacts {
  readonly version: string;
  /** From pg_settings, as seen by this role. */
  readonly settings: Readonly<Record<string, string>>;
  readonly user: string;
  readonly database: string;
  readonly encoding: string;
  readonly mayCreateSchemas: boolean;
  readonly isSuperuser: boolean;
  readonly isStandby: boolean;
  /** Connections of all databases now. */
  readonly connections: number;
  readonly databaseBytes: number;
  readonly clockAheadMs: number;
  readonly extensions: readonly { readonly name: string; readonly isInstalled: boolean }[];
  /** Types that the configuration names and this database does not have. */
  readonly missingTypes: readonly string[];
  readonly schemas: readonly { readonly name: string; readonly mayCreate: boolean }[];
  /** Relations at the places of configured mirrors. */
  readonly relations: readonly Relation[];
  readonly slots: readonly Slot[];
  readonly longTransactions: readonly LongTransaction[];
  readonly preparedTransactions: readonly { readonly id: string; readonly seconds: number }[];
  readonly unvacuumed: readonly { readonly table: string; readonly dead: number; readonly live: number }[];
}

export interface Relation {
  readonly schema: string;
  readonly table: string;
  readonly isTable: boolean;
  readonly mayWrite: boolean;
  readonly isOwned: boolean;
  /** Of the table, not row ones of the user's making. */
  readonly triggers: number;
}

export interface Slot {
  readonly name: string;
  readonly isActive: boolean;
  readonly heldBytes: number;
}

export interface LongTransaction {
  readonly pid: number;
  readonly user: string;
  readonly application: string;
  readonly state: string;
  readonly seconds: number;
}

export interface PostgresQuestion {
  readonly mirrors: readonly { readonly schema: string; readonly table: string }[];
  readonly schemas: readonly string[];
  /** Types that the configuration gives columns. */
  readonly types: readonly string[];
}

const settingNames = [
  'max_connections',
  'superuser_reserved_connections',
  'synchronous_commit',
  'fsync',
  'full_page_writes',
  'autovacuum',
  'statement_timeout',
  'lock_timeout',
  'idle_in_transaction_session_timeout',
  'transaction_timeout',
  'default_transaction_read_only',
  'default_transaction_isolation',
  'TimeZone',
  'session_replication_role',
  'max_prepared_transactions',
];

/** Settings are those of this role: what ALTER ROLE and ALTER DATABASE say counts. Rejects with PostgreSQL's error. */
export async function readPostgresFacts(
  pool: pg.Pool,
  { mirrors, schemas, types }: PostgresQuestion,
): Promise<PostgresFacts> {
  const settings = await pool.query<{ name: string; setting: string }>(
    'SELECT name, setting FROM pg_settings WHERE name = ANY ($1)',
    [settingNames],
  );
  const own = await pool.query<OwnRow>(ownQuery);
  const [row] = own.rows;
  if (row === undefined) throw new Error('PostgreSQL gave no answer');
  const missing: string[] = [];
  for (const type of new Set(types)) if (!(await hasType(pool, type))) missing.push(type);
  return {
    ...row,
    databaseBytes: Number(row.databaseBytes),
    settings: Object.fromEntries(settings.rows.map(({ name, setting }) => [name.toLowerCase(), setting])),
    clockAheadMs: await compareClocks(pool),
    missingTypes: missing,
    extensions: (await pool.query(extensionsQuery)).rows as PostgresFacts['extensions'],
    schemas: (await pool.query(schemasQuery, [schemas])).rows as PostgresFacts['schemas'],
    relations: (await pool.query(relationsQuery, [mirrors.map((m) => m.schema), mirrors.map((m) => m.table)]))
      .rows as PostgresFacts['relations'],
    slots: (await pool.query(slotsQuery)).rows as PostgresFacts['slots'],
    longTransactions: (await pool.query(transactionsQuery)).rows as PostgresFacts['longTransactions'],
    preparedTransactions: (await pool.query(preparedQuery)).rows as PostgresFacts['preparedTransactions'],
    unvacuumed: (await pool.query(unvacuumedQuery, [schemas])).rows as PostgresFacts['unvacuumed'],
  };
}

type OwnRow = Pick<
  PostgresFacts,
  'version' | 'user' | 'database' | 'encoding' | 'mayCreateSchemas' | 'isSuperuser' | 'isStandby' | 'connections'
> & { readonly databaseBytes: string };

const ownQuery = `
  SELECT current_setting('server_version') AS version, current_user AS "user", current_database() AS database,
         pg_encoding_to_char(d.encoding) AS encoding,
         has_database_privilege(current_database(), 'CREATE') AS "mayCreateSchemas",
         r.rolsuper AS "isSuperuser", pg_is_in_recovery() AS "isStandby",
         (SELECT sum(numbackends) FROM pg_stat_database)::int AS connections,
         pg_database_size(d.oid)::text AS "databaseBytes"
  FROM pg_database d, pg_roles r
  WHERE d.datname = current_database() AND r.rolname = current_user`;

const extensionsQuery = `
  SELECT a.name, a.installed_version IS NOT NULL AS "isInstalled"
  FROM pg_available_extensions a WHERE a.name IN ('postgis', 'citext', 'hstore', 'ltree', 'isn', 'vector')`;

const schemasQuery = `
  SELECT nspname AS name, has_schema_privilege(oid, 'CREATE') AND has_schema_privilege(oid, 'USAGE') AS "mayCreate"
  FROM pg_namespace WHERE nspname = ANY ($1)`;

const relationsQuery = `
  SELECT n.nspname AS schema, c.relname AS "table", c.relkind IN ('r', 'p') AS "isTable",
         has_table_privilege(c.oid, 'SELECT') AND has_table_privilege(c.oid, 'INSERT')
           AND has_table_privilege(c.oid, 'UPDATE') AND has_table_privilege(c.oid, 'DELETE') AS "mayWrite",
         pg_has_role(c.relowner, 'USAGE') AS "isOwned",
         (SELECT count(*) FROM pg_trigger t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal AND t.tgenabled IN ('O', 'A'))::int AS triggers
  FROM unnest($1::text[], $2::text[]) AS m (schema, name)
  JOIN pg_namespace n ON n.nspname = m.schema
  JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = m.name AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'i', 'c')`;

const slotsQuery = `
  SELECT slot_name AS name, active AS "isActive",
         coalesce(pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END,
                                  restart_lsn), 0)::float8 AS "heldBytes"
  FROM pg_replication_slots`;

const transactionsQuery = `
  SELECT pid, coalesce(usename, '') AS "user", coalesce(application_name, '') AS application, coalesce(state, '') AS state,
         extract(epoch FROM clock_timestamp() - xact_start)::float8 AS seconds
  FROM pg_stat_activity
  WHERE xact_start IS NOT NULL AND backend_type = 'client backend' AND pid <> pg_backend_pid()
    AND xact_start < clock_timestamp() - interval '5 minutes'
  ORDER BY xact_start LIMIT 10`;

const preparedQuery = `
  SELECT gid AS id, extract(epoch FROM clock_timestamp() - prepared)::float8 AS seconds
  FROM pg_prepared_xacts WHERE database = current_database() ORDER BY prepared LIMIT 10`;

/** More than half of a table is dead, and it is not small. */
const unvacuumedQuery = `
  SELECT schemaname || '.' || relname AS "table", n_dead_tup::float8 AS dead, n_live_tup::float8 AS live
  FROM pg_stat_user_tables
  WHERE schemaname = ANY ($1) AND n_dead_tup > 100000 AND n_dead_tup > n_live_tup
  ORDER BY n_dead_tup DESC LIMIT 10`;

async function hasType(pool: pg.Pool, type: string): Promise<boolean> {
  const { rows } = await pool
    .query<{ found: boolean }>('SELECT to_regtype($1) IS NOT NULL AS found', [type])
    .catch(() => ({ rows: [{ found: false }] }));
  return rows[0]?.found === true;
}

/** The shortest of a few questions is the best judge: the answer was made in the middle of it. */
async function compareClocks(pool: pg.Pool): Promise<number> {
  let best = { trip: Infinity, ahead: 0 };
  for (let turn = 0; turn < 3; turn += 1) {
    const asked = Date.now();
    const { rows } = await pool.query<{ now: number }>(
      'SELECT (extract(epoch FROM clock_timestamp()) * 1000)::float8 AS now',
    );
    const answered = Date.now();
    const trip = answered - asked;
    if (trip < best.trip) best = { trip, ahead: (rows[0]?.now ?? answered) - (asked + answered) / 2 };
  }
  return best.ahead;
}
