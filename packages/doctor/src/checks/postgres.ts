import type { Config, ConfiguredTable } from '@afterimage/service';
import type { PostgresFacts } from '../facts/postgres.js';
import type { ProgressFacts } from '../facts/progress.js';
import { type Check, failure, notice, ok, type Outcome, warning } from '../finding.js';
import { countOf, formatBytes, formatDuration, isBefore, listSome, parseVersion } from '../texts.js';

export interface PostgresSubject {
  readonly config: Config;
  readonly tables: readonly ConfiguredTable[];
  readonly postgres: PostgresFacts;
  readonly progress: ProgressFacts | undefined;
}

const quote = (name: string): string => `"${name.replaceAll('"', '""')}"`;

export const postgresChecks: readonly Check<PostgresSubject>[] = [
  {
    name: 'postgres-version',
    look: ({ postgres: { version } }) =>
      isBefore(parseVersion(version), [15])
        ? failure(`version ${version}: 15 is the oldest that works`, 'upgrade PostgreSQL')
        : ok(`version ${version}`),
  },
  {
    name: 'postgres-encoding',
    look: ({ postgres: { encoding, database } }) =>
      encoding === 'UTF8'
        ? ok('encoding UTF8')
        : failure(
            `database ${database} has encoding ${encoding}: it cannot hold all text`,
            `CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0, and postgres.url of it`,
          ),
  },
  {
    name: 'postgres-standby',
    look: ({ postgres: { isStandby } }) =>
      isStandby ? failure('it is a standby: nothing can be written', 'postgres.url of the primary') : null,
  },
  {
    name: 'postgres-read-only',
    look: ({ postgres: { settings, user } }) =>
      settings['default_transaction_read_only'] === 'on'
        ? failure(
            'transactions are read-only by default',
            `ALTER ROLE ${quote(user)} SET default_transaction_read_only = off`,
          )
        : null,
  },
  { name: 'postgres-privileges', look: checkPrivileges },
  {
    name: 'postgres-superuser',
    look: ({ postgres: { isSuperuser, user } }) =>
      isSuperuser
        ? notice(`role ${user} is a superuser: it needs no such rights`, 'a role of its own: deploy/postgres-roles.sql')
        : ok(`role ${user} is no superuser`),
  },
  { name: 'migrations', look: checkMigrations },
  { name: 'mirror-names', look: checkMirrorNames },
  {
    name: 'mirror-triggers',
    look: ({ postgres: { relations } }) => {
      const found = relations.filter(({ isTable, triggers }) => isTable && triggers > 0);
      if (found.length === 0) return null;
      return notice(
        `triggers on mirror tables (${listSome(found.map(({ schema, table }) => `${schema}.${table}`))}): what they change makes the mirror differ from the source`,
        null,
      );
    },
  },
  { name: 'postgres-connections', look: checkConnections },
  { name: 'postgres-timeouts', look: checkTimeouts },
  {
    name: 'postgres-durability',
    look: ({ postgres: { settings } }) => {
      const off = ['fsync', 'full_page_writes'].filter((name) => settings[name] === 'off');
      if (off.length > 0) {
        return warning(
          `${off.join(' and ')} off: a crash of the machine may ruin the database`,
          off.map((name) => `ALTER SYSTEM SET ${name} = on;`).join(' '),
        );
      }
      return settings['synchronous_commit'] === 'off'
        ? ok('synchronous_commit is off: a crash loses a little progress, which is read again')
        : ok('commits are durable');
    },
  },
  {
    name: 'postgres-replication-role',
    look: ({ postgres: { settings, user } }) =>
      settings['session_replication_role'] === 'origin'
        ? null
        : warning(
            `session_replication_role is ${settings['session_replication_role']}: constraints and triggers are passed over`,
            `ALTER ROLE ${quote(user)} RESET session_replication_role`,
          ),
  },
  {
    name: 'postgres-types',
    look: ({ postgres: { missingTypes, extensions } }) =>
      missingTypes.map((type) => {
        const word = /^\w+/.exec(type)?.[0] ?? '';
        const extension = /^(?:geometry|geography)$/.test(word) ? 'postgis' : word;
        const known = extensions.find(({ name }) => name === extension);
        const fix =
          known !== undefined
            ? `CREATE EXTENSION ${extension};`
            : `install the extension that has it, then CREATE EXTENSION; or another type in the configuration`;
        return failure(`the configuration gives a column type ${type}, which this database does not have`, fix);
      }),
  },
  {
    name: 'postgres-size',
    look: ({ postgres: { databaseBytes } }) =>
      ok(`the database has ${formatBytes(databaseBytes)} (free disk space cannot be asked by SQL)`),
  },
  { name: 'autovacuum', look: checkVacuum },
  { name: 'replication-slots', look: checkSlots },
  {
    name: 'long-transactions',
    look: ({ postgres: { longTransactions } }) => {
      const [oldest] = longTransactions;
      if (oldest === undefined) return ok('no transaction is open for more than 5 minutes');
      const others = longTransactions.length === 1 ? '' : ` and ${longTransactions.length - 1} more`;
      const text = `a transaction of ${oldest.user} (${oldest.application || 'no application name'}, ${oldest.state || 'not shown'}) is open for ${formatDuration(oldest.seconds)}${others}: it holds back vacuum, and may hold locks that a schema change waits for`;
      return (oldest.seconds > 3600 ? warning : notice)(text, `SELECT pg_terminate_backend(${oldest.pid});`);
    },
  },
  {
    name: 'prepared-transactions',
    look: ({ postgres: { preparedTransactions } }) => {
      const old = preparedTransactions.filter(({ seconds }) => seconds > 60);
      if (old.length === 0) return null;
      return warning(
        `${countOf(old.length, 'prepared transaction')} for ${formatDuration(old[0]?.seconds ?? 0)}: they hold back vacuum and locks until somebody ends them`,
        `COMMIT PREPARED '${(old[0]?.id ?? '').replaceAll("'", "''")}'; or ROLLBACK PREPARED`,
      );
    },
  },
];

function checkPrivileges({ postgres, tables, config }: PostgresSubject): Outcome[] {
  const { user, database, mayCreateSchemas, schemas, relations } = postgres;
  const wanted = [
    ...new Set(tables.flatMap(({ mirror }) => [mirror.schema, mirror.schema + config.writer.historySuffix])),
  ];
  const known = new Map(schemas.map(({ name, mayCreate }) => [name, mayCreate]));
  const missing = wanted.filter((name) => !known.has(name));
  const closed = wanted.filter((name) => known.get(name) === false);
  const foreign = relations.filter(({ isTable, isOwned, mayWrite }) => isTable && (!isOwned || !mayWrite));
  const found: Outcome[] = [];
  if (!mayCreateSchemas && missing.length > 0) {
    found.push(
      failure(
        `role ${user} may not create schemas (${listSome(missing)})`,
        `GRANT CREATE ON DATABASE ${quote(database)} TO ${quote(user)};`,
      ),
    );
  }
  if (closed.length > 0) {
    found.push(
      failure(
        `role ${user} may not create tables in ${listSome(closed)}`,
        `GRANT USAGE, CREATE ON SCHEMA ${closed.map(quote).join(', ')} TO ${quote(user)};`,
      ),
    );
  }
  if (foreign.length > 0) {
    const names = foreign.map(({ schema, table }) => `${schema}.${table}`);
    const [first] = foreign;
    found.push(
      failure(
        `role ${user} does not own ${listSome(names)}: it cannot change them with the source's`,
        `ALTER TABLE ${quote(first?.schema ?? '')}.${quote(first?.table ?? '')} OWNER TO ${quote(user)};`,
      ),
    );
  }
  return found.length > 0 ? found : [ok(`role ${user} may create and write what is needed`)];
}

function checkMigrations({ progress }: PostgresSubject): Outcome | null {
  if (progress === undefined) return null;
  const { pending, ahead } = progress.migrations;
  if (pending.length > 0) {
    return failure(
      `the control tables lack ${countOf(pending.length, 'migration')} (${listSome(pending)})`,
      'afterimage migrate',
    );
  }
  if (!ahead) return ok('control tables are up to date');
  return warning('the control tables are of a later version than this program', 'use the version that migrated them');
}

/** Something else stands where a mirror is to be made. */
function checkMirrorNames({ postgres: { relations }, tables, progress }: PostgresSubject): Outcome[] {
  if (progress === undefined || progress.migrations.pending.length > 0) return [];
  return tables.flatMap(({ source, database, table, mirror }) => {
    const stream = progress.streams.find((s) => s.source === source && s.database === database && s.table === table);
    const relation = relations.find((r) => r.schema === mirror.schema && r.table === mirror.table);
    if (relation === undefined || (stream !== undefined && stream.schemaVersion > 0)) return [];
    return [
      failure(
        `${mirror.schema}.${mirror.table} is there already, and is not the mirror of ${database}.${table}: its stream would halt (MIRROR_NAME_TAKEN)`,
        `ALTER ${relation.isTable ? 'TABLE' : 'VIEW'} ${quote(mirror.schema)}.${quote(mirror.table)} RENAME TO …; or \`as\` of the table in the configuration`,
      ),
    ];
  });
}

const readerConnections = 5;
const queuePool = 8;

function checkConnections(subject: PostgresSubject): Outcome {
  const { settings, connections, isSuperuser } = subject.postgres;
  const most = Number(settings['max_connections']);
  const free = most - (isSuperuser ? 0 : Number(settings['superuser_reserved_connections'])) - connections;
  const { needed, who } = countNeeded(subject);
  if (free >= needed) return ok(`${free} connections are free, ${who} ${needed}`);
  return (free <= 2 ? failure : warning)(
    `${free} connections are free of ${most}, ${who} ${needed}`,
    `ALTER SYSTEM SET max_connections = ${most + 50}; and restart PostgreSQL`,
  );
}

function countNeeded({ config, progress }: PostgresSubject): { readonly needed: number; readonly who: string } {
  const perQueue = config.queue.backend === 'postgres' ? queuePool : 0;
  const writer = config.writer.connections + perQueue;
  return (progress?.writerConnections ?? 0) > 0
    ? { needed: writer, who: 'one more writer needs' }
    : { needed: writer + readerConnections + perQueue, who: 'a reader and a writer need' };
}

/** Writers set their own, unless the URL says otherwise; nobody overrides `transaction_timeout`. */
function checkTimeouts({ postgres: { settings, user }, config }: PostgresSubject): Outcome[] {
  const inUrl = new URL(config.postgres.url).searchParams.get('options') ?? '';
  const statement = /statement_timeout=(?!0\b)(\w+)/.exec(inUrl)?.[1];
  const transaction = Number(settings['transaction_timeout'] ?? 0);
  const own = Number(settings['statement_timeout'] ?? 0);
  const found: Outcome[] = [];
  if (statement !== undefined) {
    found.push(
      warning(
        `postgres.url sets statement_timeout to ${statement}: a batch or a schema change that takes longer is never applied`,
        'take statement_timeout out of the URL',
      ),
    );
  }
  if (transaction > 0) {
    found.push(
      warning(
        `transaction_timeout of role ${user} is ${formatDuration(transaction / 1000)}: a batch that takes longer is never applied`,
        `ALTER ROLE ${quote(user)} SET transaction_timeout = 0`,
      ),
    );
  }
  if (own > 0 && own < 30_000) {
    found.push(
      notice(
        `statement_timeout of role ${user} is ${formatDuration(own / 1000)}: writers override it, readers and commands such as rebuild do not`,
        `ALTER ROLE ${quote(user)} SET statement_timeout = 0`,
      ),
    );
  }
  return found;
}

function checkVacuum({ postgres: { settings, unvacuumed } }: PostgresSubject): Outcome[] {
  if (settings['autovacuum'] !== 'on') {
    return [
      warning(
        'autovacuum is off: mirror tables grow with every change',
        'ALTER SYSTEM SET autovacuum = on; SELECT pg_reload_conf();',
      ),
    ];
  }
  if (unvacuumed.length === 0) return [ok('autovacuum is on')];
  const names = unvacuumed.map(({ table, dead }) => `${table} ${dead.toLocaleString('en-US')}`);
  return [
    notice(
      `more dead rows than live ones: ${listSome(names)}`,
      `VACUUM (ANALYZE) ${unvacuumed[0]?.table}; and see what holds vacuum back`,
    ),
  ];
}

const muchWal = 10 * 2 ** 30;

function checkSlots({ postgres: { slots } }: PostgresSubject): Outcome[] {
  const holding = slots.filter(({ heldBytes, isActive }) => heldBytes > muchWal || (!isActive && heldBytes > 2 ** 30));
  if (holding.length === 0) return [ok('no replication slot holds back WAL')];
  return holding.map(({ name, isActive, heldBytes }) =>
    warning(
      `replication slot ${name} (${isActive ? 'in use' : 'nobody reads it'}) holds ${formatBytes(heldBytes)} of WAL, which fills the disk`,
      isActive
        ? 'see why its reader is behind'
        : `SELECT pg_drop_replication_slot('${name.replaceAll("'", "''")}'); if nobody needs it any more`,
    ),
  );
}
