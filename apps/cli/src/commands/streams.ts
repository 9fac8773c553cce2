import {
  configuredSettings,
  listSchemaVersions,
  listStreamRecords,
  findStream,
  readKeysInForce,
  replicaNames,
  type SchemaVersionRecord,
  type TableSettings,
} from '@afterimage/replica';
import { type Config, resolveAllTables } from '@afterimage/service';
import { Command } from 'commander';
import type { Pool } from 'pg';
import { withDatabase } from '../database.js';
import { formatMoment, printJson, renderTable } from '../output.js';
import { type CommonOptions, readConfig, withCommonOptions } from '../options.js';

/** `afterimage streams` */
export function createStreamsCommand(): Command {
  const command = new Command('streams')
    .description('list the streams: which table goes where')
    .option('--json', 'JSON for scripts');
  return withCommonOptions(command, { example: 'afterimage streams' }).action(async (options: CommonOptions) => {
    const config = readConfig(options);
    const streams = await withDatabase(config, (pool) => listStreams(config, pool));
    if (options.json === true) return printJson(streams);
    const rows = streams.map((s) => [
      s.source,
      s.table,
      s.mirror ?? '',
      s.history ?? '',
      s.mirror === null ? '' : (s.key?.join(', ') ?? 'none: whole row'),
      s.remark,
      s.id ?? '',
    ]);
    console.log(renderTable(['SOURCE', 'TABLE', 'MIRROR', 'HISTORY', 'KEY', '', 'STREAM ID'], rows));
  });
}

async function listStreams(config: Config, pool: Pool) {
  const settingsOf = configuredSettings(config);
  const registered = await listStreamRecords(pool);
  const keys = await readKeysInForce(pool);
  const known = new Set(registered.map((s) => JSON.stringify([s.source, s.database, s.table])));
  const waiting = resolveAllTables(config).filter((t) => !known.has(JSON.stringify([t.source, t.database, t.table])));
  const all = [
    ...registered.map((s) => ({ ...s, id: s.id as string | null })),
    ...waiting.map((t) => ({ source: t.source, database: t.database, table: t.table, id: null, partitions: 1 })),
  ];
  return all.map(({ id, source, database, table, partitions }) => {
    const settings = settingsOf({ id: id ?? '', source, database, table });
    const names = settings === undefined ? undefined : replicaNames(settings.mirror, settings.historySuffix);
    return {
      id,
      source,
      table: `${database}.${table}`,
      partitions,
      mirror: names === undefined ? null : `${names.mirror.schema}.${names.mirror.table}`,
      history: names === undefined ? null : `${names.history.schema}.${names.history.table}`,
      key: keys.get(id ?? '') ?? settings?.key ?? null,
      remark: describeStream(id, settings, keys),
    };
  });
}

function describeStream(
  id: string | null,
  settings: TableSettings | undefined,
  keys: ReadonlyMap<string, unknown>,
): string {
  if (id === null) return 'new: the reader will register it';
  if (settings === undefined) return 'not configured any more';
  const isAsked = settings.hasSource && settings.key === null && !keys.has(id);
  return isAsked ? 'MariaDB will be asked for its key with the first event' : '';
}

/** `afterimage schema-versions <table>` */
export function createSchemaVersionsCommand(): Command {
  const command = new Command('schema-versions')
    .description('the schemas a table has had, and what was done at each change')
    .argument('<table>', 'database.table, or source/database.table')
    .option('--json', 'JSON for scripts');
  return withCommonOptions(command, { example: 'afterimage schema-versions shop.orders' }).action(
    async (table: string, options: CommonOptions) => {
      const versions = await withDatabase(readConfig(options), async (pool) =>
        listSchemaVersions(pool, (await findStream(pool, table)).id),
      );
      if (options.json === true) return printJson(versions);
      if (versions.length === 0) return console.log('none yet: the first change event brings the first schema');
      console.log(
        renderTable(
          ['VERSION', 'FROM EVENT', 'SOURCE GTID', 'APPLIED', 'KEY', 'CHANGES'],
          versions.map(describeVersion),
        ),
      );
    },
  );
}

function describeVersion(version: SchemaVersionRecord): string[] {
  const steps = version.steps
    .map(({ column, detail }) => (column === null ? detail : `${column}: ${detail}`))
    .join('; ');
  return [
    String(version.version),
    version.firstOrdinal,
    version.sourceGtid,
    formatMoment(version.appliedAt),
    version.key?.join(', ') ?? 'whole row',
    steps || 'none',
  ];
}
