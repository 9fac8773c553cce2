import { checkColumnTypes, replicaNames, type TableName } from '@afterimage/replica';
import {
  type Config,
  type ConfiguredTable,
  describeQueueStore,
  redactSecrets,
  resolveAllTables,
  resolveTables,
  toPrintable,
  toPrintableJson,
} from '@afterimage/service';
import { Command } from 'commander';
import { stringify } from 'yaml';
import { printJson, renderTable } from '../output.js';
import { type CommonOptions, readConfig, usageError, withCommonOptions } from '../options.js';

/** `afterimage config` */
export function createConfigCommand(): Command {
  const command = new Command('config')
    .description('show the configuration with its defaults (secrets hidden), or check it')
    .option('--check', 'explain what it will do: tables, keys, names in PostgreSQL, warnings')
    .option('--json', 'JSON for scripts');
  return withCommonOptions(command, { example: 'afterimage config --check' }).action(
    (options: CommonOptions & { readonly check?: boolean }) => {
      const config = readConfig(options);
      if (options.check === true) refuseWrongTypes(config);
      if (options.check === true)
        return options.json === true ? printJson(explainConfig(config)) : printExplanation(config);
      const shown = redactSecrets(config);
      if (options.json === true) printJson(shown);
      else console.log(toPrintableJson(stringify(shown, { lineWidth: 0 }).trimEnd()));
    },
  );
}

/** Column types are read by the writers, which would halt the stream; here is the time to say so. */
function refuseWrongTypes(config: Config): void {
  const problems = resolveAllTables(config).flatMap(({ source, entry, settings }) =>
    Object.entries(settings.columns ?? {}).flatMap(([column, knowledge]) =>
      checkColumnTypes(knowledge).map((text) => `  sources.${source}.tables."${entry}".columns.${column}: ${text}`),
    ),
  );
  const listed = [...new Set(problems)];
  if (listed.length > 0) throw usageError(`column types that cannot be read:\n${listed.map(toPrintable).join('\n')}`);
}

interface ExplainedTable {
  readonly source: string;
  readonly table: string;
  readonly entry: string;
  readonly mirror: string;
  readonly history: string;
  readonly key: readonly string[] | null;
  /** Where the key comes from; null = there is none. */
  readonly keyFrom: 'configuration' | 'MariaDB' | null;
}

interface Explanation {
  readonly tables: readonly ExplainedTable[];
  readonly warnings: readonly string[];
}

function explainConfig(config: Config): Explanation {
  const tables = resolveAllTables(config);
  return {
    tables: tables.map((table) => ({
      source: table.source,
      table: `${table.database}.${table.table}`,
      entry: table.entry,
      mirror: formatName(table.mirror),
      history: formatName(replicaNames(table.mirror, config.writer.historySuffix).history),
      key: table.settings.key ?? null,
      keyFrom: keySource(config, table),
    })),
    warnings: [...tables.flatMap((table) => findTableWarnings(config, table)), ...findWarnings(config)],
  };
}

function keySource({ sources }: Config, { source, settings }: ConfiguredTable): ExplainedTable['keyFrom'] {
  if (settings.key !== undefined) return 'configuration';
  return sources[source]?.mariadb === undefined ? null : 'MariaDB';
}

function formatName({ schema, table }: TableName): string {
  return `${schema}.${table}`;
}

function findTableWarnings(config: Config, { source, database, table, settings }: ConfiguredTable): string[] {
  if (settings.key !== undefined || config.sources[source]?.mariadb !== undefined) return [];
  const name = `${database}.${table} of ${source}`;
  return [
    `${name} has no key: rows are matched whole, one at a time, which is right but slow; give it \`key: [column]\` if it has one, or let MariaDB tell it (sources.${source}.mariadb)`,
  ];
}

function findWarnings(config: Config): string[] {
  const warnings = findQueueWarnings(config);
  for (const [name, source] of Object.entries(config.sources)) {
    if (source.tls === undefined && !['localhost', '127.0.0.1', '::1'].includes(source.host)) {
      warnings.push(`source ${name}: no TLS to ${source.host}, rows travel unencrypted`);
    }
    if (resolveTables(name, source).length === 0) warnings.push(`source ${name}: no tables, nothing will be read`);
    if (source.tls?.rejectUnauthorized === false) warnings.push(`source ${name}: any TLS certificate is accepted`);
    if (source.mariadb?.tls?.rejectUnauthorized === false)
      warnings.push(`MariaDB of source ${name}: any TLS certificate is accepted`);
  }
  return warnings;
}

function findQueueWarnings({ queue, postgres }: Config): string[] {
  if (queue.backend === 'postgres' && (queue.url === undefined || queue.url === postgres.url)) {
    return ['the queue shares the PostgreSQL of the mirror: simple, but slower than Redis under load'];
  }
  return queue.redis?.tls?.rejectUnauthorized === false ? ['Redis: any TLS certificate is accepted'] : [];
}

function printExplanation(config: Config): void {
  const { tables, warnings } = explainConfig(config);
  const { reader, postgres } = config;
  const facts = [
    ['PostgreSQL', redactSecrets(postgres.url) as string],
    ['queue', describeQueueStore(config)],
    ...Object.entries(config.sources).flatMap(([name, source]) => [
      [
        `source ${name}`,
        `MaxScale ${source.host}:${source.port} as ${source.user}, ${source.tls === undefined ? 'no TLS' : 'TLS'}, time zone ${source.timeZone}`,
      ],
      ...(source.mariadb === undefined ? [] : [['', `MariaDB ${redactSecrets(source.mariadb.url) as string}`]]),
    ]),
    [
      'batches',
      `up to ${reader.maxBatchEvents} events or ${reader.maxBatchBytes} bytes, at most ${reader.maxQueuedBatches} queued per stream`,
    ],
  ];
  for (const [name = '', value = ''] of facts) console.log(`${name.padEnd(16)}${toPrintable(value)}`);
  console.log();
  const rows = tables.map((t) => [
    t.source,
    t.table,
    t.mirror,
    t.history,
    t.key?.join(', ') ?? (t.keyFrom === 'MariaDB' ? 'as in MariaDB' : 'none: whole row'),
    t.entry === t.table ? '' : `from ${t.entry}`,
  ]);
  console.log(renderTable(['SOURCE', 'TABLE', 'MIRROR', 'HISTORY', 'KEY', ''], rows));
  for (const warning of warnings) console.log(`\nwarning: ${toPrintable(warning)}`);
  console.log(
    `\nThe configuration is valid: ${tables.length === 1 ? '1 table' : `${tables.length} tables`}, ${warnings.length === 1 ? '1 warning' : `${warnings.length} warnings`}.`,
  );
}
