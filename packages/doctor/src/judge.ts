import { cdcErrorAdvice, type CdcErrorCode } from '@afterimage/cdc-protocol';
import { describeQueueStore, redactUrl, sourceVariable } from '@afterimage/service';
import { clockCheck } from './checks/clocks.js';
import { columnChecks } from './checks/columns.js';
import { mariadbAccountChecks } from './checks/mariadb-accounts.js';
import { mariadbSettingChecks } from './checks/mariadb-settings.js';
import { maxscaleChecks } from './checks/maxscale.js';
import { postgresChecks } from './checks/postgres.js';
import { queueChecks, redisChecks } from './checks/queue.js';
import { sourceTablesChecks } from './checks/source-tables.js';
import { installationChecks, streamChecks } from './checks/streams.js';
import { tableChecks, type TableSubject } from './checks/tables.js';
import { type Area, type Finding, runChecks } from './finding.js';
import type { Known } from './known.js';
import type { Facts, SourceFacts } from './read-facts.js';

/** Everything that the facts give to say, in the order in which data passes the parts. Pure. */
export function judge(facts: Facts): Finding[] {
  return [
    ...facts.sources.flatMap((source) => judgeSource(facts, source)),
    ...judgeQueue(facts),
    ...judgePostgres(facts),
    ...judgeStreams(facts),
  ];
}

function judgeSource(facts: Facts, source: SourceFacts): Finding[] {
  return [...judgeMariadb(source), ...judgeTables(facts, source), ...judgeMaxscale(source)];
}

function judgeMariadb({ name, config, mariadb, rest }: SourceFacts): Finding[] {
  const place = { area: 'MariaDB', subject: `source ${name}` } as const;
  if (mariadb === null) {
    return [
      {
        check: 'mariadb-known',
        severity: 'notice',
        ...place,
        detail: null,
        text: 'not configured: its settings, privileges, keys and column types are not known, and not checked',
        fix: `sources.${name}.mariadb.url: mariadb://user:password@host:3306 (see docs/source.md)`,
      },
    ];
  }
  if (mariadb.kind === 'unknown') {
    const where = `MariaDB at ${hostOf(config.mariadb?.url ?? '')}`;
    return describeAbsence(mariadb, {
      ...place,
      check: 'mariadb-reachable',
      where,
      unchecked: 'its settings and privileges, keys, column types, and everything else about the tables in it',
      fix: adviseMariadb(mariadb.code, name),
    });
  }
  const server = mariadb.value;
  const services = rest?.kind === 'known' ? rest.value.services : [];
  return [
    ...runChecks(mariadbSettingChecks, { server, config }, place),
    ...runChecks(mariadbAccountChecks, { server, services }, place),
    ...runChecks([clockCheck], { aheadMs: server.clockAheadMs }, place),
  ];
}

function judgeTables(facts: Facts, source: SourceFacts): Finding[] {
  const { name, config, tables, rest } = source;
  const server = valueOf(source.mariadb);
  const cdc = valueOf(source.cdc);
  const services = valueOf(rest)?.services;
  const isWhole = facts.scope.table === undefined;
  const together = isWhole
    ? sourceTablesChecks
    : sourceTablesChecks.filter(({ name: check }) => check !== 'tables-left-out');
  return [
    ...runChecks(together, { config, tables, server, cdc, services }, { area: 'tables', subject: `source ${name}` }),
    ...tables.flatMap((table) => {
      const subject = describeTable(facts, source, table);
      const place = { area: 'tables', subject: `${table.database}.${table.table}` } as const;
      const { knowledge } = subject;
      return [
        ...runChecks(tableChecks, subject, place),
        ...(knowledge === undefined ? [] : runChecks(columnChecks, { config, table, knowledge }, place)),
      ];
    }),
  ];
}

function describeTable(facts: Facts, source: SourceFacts, table: SourceFacts['tables'][number]): TableSubject {
  const isThis = (other: { readonly database: string; readonly table: string }): boolean =>
    other.database === table.database && other.table === table.table;
  const progress = valueOf(facts.progress)?.streams.find((s) => s.source === source.name && isThis(s));
  const answer = valueOf(source.cdc)?.streams.get(`${table.database}.${table.table}`);
  const asked = { config: source.config, table, answer, progress };
  const server = valueOf(source.mariadb);
  if (server === undefined) return { ...asked, ...unaskedTable };
  return {
    ...asked,
    knowledge: server.tables.find(isThis),
    access: server.access.get(`${table.database}.${table.table}`),
    isView: server.views.some(isThis),
    isPartitioned: server.partitioned.has(`${table.database}.${table.table}`),
    cascades: server.cascades.filter(isThis),
    lowerCaseNames: server.variables['lower_case_table_names'] !== '0',
  };
}

const unaskedTable = {
  knowledge: undefined,
  access: undefined,
  isView: false,
  isPartitioned: false,
  cascades: [],
  lowerCaseNames: false,
} as const;

function judgeMaxscale({ name, config, cdc, rest, mariadb }: SourceFacts): Finding[] {
  const place = { area: 'MaxScale', subject: `source ${name}` } as const;
  const found: Finding[] = [];
  if (cdc.kind === 'known') {
    const text = `the CDC listener at ${config.host}:${config.port} takes user ${config.user}`;
    found.push({ check: 'cdc-listener', severity: 'ok', ...place, detail: null, text, fix: null });
  } else {
    const fix = isCdcCode(cdc.code) ? cdcErrorAdvice[cdc.code] : 'look at maxscale.log, and at the network between';
    const where = `the CDC listener at ${config.host}:${config.port}`;
    found.push(
      ...describeAbsence(cdc, { ...place, check: 'cdc-listener', where, unchecked: 'which tables have a stream', fix }),
    );
  }
  if (rest === null) {
    const text = 'its REST API is not configured: version, settings and time zone are not checked';
    const fix = `sources.${name}.rest: { url: http://${config.host}:8989, user: … } (see docs/source.md)`;
    return [...found, { check: 'rest-known', severity: 'notice', ...place, detail: null, text, fix }];
  }
  if (rest.kind === 'unknown') {
    const where = `MaxScale's REST API at ${redactUrl(config.rest?.url ?? '')}`;
    const unchecked = 'version, settings, time zone and progress of MaxScale';
    const fix = `check rest.url, user and password (AFTERIMAGE_SOURCE_<NAME>_REST_PASSWORD); admin_host and admin_port in maxscale.cnf`;
    return [
      ...found,
      ...describeAbsence(rest, { ...place, check: 'rest-api', where, unchecked, fix, severity: 'warning' }),
    ];
  }
  return [...found, ...runChecks(maxscaleChecks, { config, rest: rest.value, server: valueOf(mariadb) }, place)];
}

function judgeQueue({ config, queue, progress, takenAt }: Facts): Finding[] {
  const { backend, prefix } = config.queue;
  const place = { area: 'queue', subject: backend === 'redis' ? 'Redis' : 'queue in PostgreSQL' } as const;
  if (queue.kind === 'unknown') {
    return describeAbsence(queue, {
      ...place,
      check: 'queue-reachable',
      where: describeQueueStore(config),
      unchecked: 'its settings, memory and leftovers',
      fix: 'start it, or correct queue.url and its password (AFTERIMAGE_REDIS_URL, AFTERIMAGE_REDIS_PASSWORD)',
    });
  }
  const subject = { backend, prefix, queue: queue.value, progress: valueOf(progress), now: takenAt };
  return [
    ...queue.value.servers.flatMap((server) =>
      runChecks(redisChecks, server, { area: 'queue', subject: server.place.replace(/^the /, '') }),
    ),
    ...runChecks(queueChecks, subject, place),
  ];
}

function judgePostgres({ config, sources, postgres, progress }: Facts): Finding[] {
  const place = { area: 'PostgreSQL', subject: 'PostgreSQL' } as const;
  if (postgres.kind === 'unknown') {
    return describeAbsence(postgres, {
      ...place,
      check: 'postgres-reachable',
      where: `PostgreSQL at ${hostOf(config.postgres.url)}`,
      unchecked: 'its settings and privileges, and the state of the streams',
      fix: advisePostgres(postgres.code),
    });
  }
  const tables = sources.flatMap((source) => source.tables);
  return [
    ...runChecks(postgresChecks, { config, tables, postgres: postgres.value, progress: valueOf(progress) }, place),
    ...runChecks([clockCheck], { aheadMs: postgres.value.clockAheadMs }, place),
  ];
}

function judgeStreams({ config, scope, sources, postgres, progress, takenAt }: Facts): Finding[] {
  const place = { area: 'Afterimage', subject: 'processes' } as const;
  if (progress.kind === 'unknown') {
    // Without PostgreSQL its own finding says so already.
    if (postgres.kind === 'unknown') return [];
    const text = `the control tables cannot be read: ${progress.cause}`;
    return [
      {
        check: 'control-tables',
        severity: 'error',
        ...place,
        detail: null,
        text,
        fix: 'afterimage migrate, as the role that owns schema afterimage',
      },
    ];
  }
  const { streams, presence } = progress.value;
  const byName = new Map(sources.map((source) => [source.name, source]));
  const shown = streams.filter(
    ({ source, database, table }) =>
      (byName.has(source) || scope.source === undefined) &&
      (scope.table === undefined || `${database}.${table}` === scope.table),
  );
  const installation = {
    config,
    sources: [...byName.keys()],
    hasStreams: streams.some(({ schemaVersion }) => schemaVersion > 0),
    ...presence,
  };
  return [
    ...runChecks(installationChecks, installation, place),
    ...shown.flatMap((stream) => {
      const source = byName.get(stream.source);
      const isConfigured =
        source?.tables.some((t) => t.database === stream.database && t.table === stream.table) ?? false;
      const binlogPosition = source && valueOf(source.mariadb)?.binlogPosition;
      const isRead = presence.readSources.has(stream.source);
      const subject = { stream, isConfigured, isRead, binlogPosition, now: takenAt };
      return runChecks(streamChecks, subject, { area: 'Afterimage', subject: `${stream.database}.${stream.table}` });
    }),
  ];
}

interface Absence {
  readonly area: Area;
  readonly subject: string;
  readonly check: string;
  readonly where: string;
  readonly unchecked: string;
  readonly fix: string;
  readonly severity?: 'error' | 'warning';
}

/** A server that is away is one finding; what was not looked at because of that is another. */
function describeAbsence(
  { cause }: Extract<Known<unknown>, { kind: 'unknown' }>,
  { where, unchecked, fix, severity = 'error', ...place }: Absence,
): Finding[] {
  return [
    { ...place, detail: null, severity, text: `${where} cannot be used: ${cause}`, fix },
    { ...place, detail: null, severity: 'unknown', text: `not checked because of that: ${unchecked}`, fix: null },
  ];
}

function valueOf<T>(known: Known<T> | null): T | undefined {
  return known?.kind === 'known' ? known.value : undefined;
}

function isCdcCode(code: string | null): code is CdcErrorCode {
  return code !== null && Object.hasOwn(cdcErrorAdvice, code);
}

function hostOf(url: string): string {
  return URL.canParse(url) ? new URL(url).host : '?';
}

function adviseMariadb(code: string | null, source: string): string {
  const variable = sourceVariable(source, 'MARIADB_URL');
  if (code === 'ER_ACCESS_DENIED_ERROR')
    return `correct user and password of sources.${source}.mariadb.url (${variable})`;
  return `check host, port and firewall, and TLS (mariadb.tls); correct sources.${source}.mariadb.url (${variable})`;
}

function advisePostgres(code: string | null): string {
  if (code === '3D000')
    return 'CREATE DATABASE (deploy/postgres-roles.sql), or correct postgres.url (AFTERIMAGE_POSTGRES_URL)';
  if (code === '28P01') return 'correct the password in postgres.url (AFTERIMAGE_POSTGRES_URL)';
  if (code === '53300') return 'raise max_connections, or stop something';
  return 'start it, check network and firewall, or correct postgres.url (AFTERIMAGE_POSTGRES_URL)';
}
