import {
  configuredSettings,
  readSnapshots,
  registerStreams,
  type StreamRecord,
  type TableSettingsProvider,
} from '@afterimage/replica';
import { openSourceDatabase } from '@afterimage/mariadb';
import {
  type Config,
  type ConfiguredTable,
  exitCodes,
  resolveMariadb,
  resolveAllTables,
  toPrintable,
} from '@afterimage/service';
import { SnapshotError, type SnapshotResult, snapshotTable } from '@afterimage/snapshot';
import { Command } from 'commander';
import type { Pool as SourcePool } from 'mariadb';
import type { Pool } from 'pg';
import { withDatabase } from '../database.js';
import { type CommonOptions, parseCount, readConfig, usageError, withCommonOptions } from '../options.js';
import { formatCount, printJson } from '../output.js';
import { createSnapshotBoard, type SnapshotBoard } from '../snapshot-board.js';

interface SnapshotCommandOptions extends CommonOptions {
  readonly again?: boolean;
  readonly parallel: number;
  readonly rate?: number;
}

/** `afterimage snapshot [table…]` */
export function createSnapshotCommand(): Command {
  const command = new Command('snapshot')
    .description('copy the rows that are in MariaDB into their mirrors; the stream goes on from there')
    .argument('[table...]', 'database.table, or source/database.table; all tables when none is named')
    .option('--again', 'copy tables, too, that have been copied before, and correct their mirrors')
    .option('-p, --parallel <n>', 'readers of one table at most', parseCount, 2)
    .option('-r, --rate <rows>', 'rows per second at most', parseCount)
    .option('--json', 'JSON for scripts');
  const texts = {
    example: 'afterimage snapshot\nafterimage snapshot shop.orders --again --rate 20000',
    codes: ', 3 some tables were not copied',
  };
  return withCommonOptions(command, texts).action(async (names: string[], options: SnapshotCommandOptions) => {
    const config = readConfig(options);
    const tables = chooseTables(config, names);
    const work = (pool: Pool): Promise<TableOutcome[]> => copyTables({ pool, config, tables, options });
    const outcomes = await withDatabase(config, work, { connections: 2 * options.parallel + 4 });
    if (options.json === true) printJson(outcomes);
    if (outcomes.some(({ state }) => state === 'failed')) process.exitCode = exitCodes.difference;
  });
}

function chooseTables(config: Config, names: readonly string[]): ConfiguredTable[] {
  const all = resolveAllTables(config);
  const nameOf = ({ database, table }: ConfiguredTable) => `${database}.${table}`;
  const chosen =
    names.length === 0
      ? all
      : names.flatMap((name) => {
          const found = all.filter((table) => [nameOf(table), `${table.source}/${nameOf(table)}`].includes(name));
          if (found.length === 1) return found;
          const known = all.map(nameOf).slice(0, 20).join(', ');
          throw usageError(
            found.length > 1
              ? `several sources have ${name}: write ${found.map((table) => `${table.source}/${name}`).join(' or ')}`
              : `${JSON.stringify(name)} is not in the configuration; there are: ${known}`,
          );
        });
  const missing = chosen.find(({ source }) => config.sources[source]?.mariadb === undefined);
  if (missing !== undefined) {
    throw usageError(
      `source ${missing.source} has no MariaDB server to copy from: set sources.${missing.source}.mariadb.url (AFTERIMAGE_SOURCE_${missing.source.toUpperCase()}_MARIADB_URL)`,
    );
  }
  return chosen;
}

type TableOutcome = { readonly source: string; readonly table: string } & (
  | ({ readonly state: 'done' } & SnapshotResult)
  | { readonly state: 'skipped'; readonly copiedAt: Date | null }
  | { readonly state: 'failed'; readonly code: string; readonly message: string }
);

interface CopyTask {
  readonly pool: Pool;
  readonly config: Config;
  readonly tables: readonly ConfiguredTable[];
  readonly options: SnapshotCommandOptions;
}

async function copyTables({ pool, config, tables, options }: CopyTask): Promise<TableOutcome[]> {
  const stopping = new AbortController();
  const stop = (): void => stopping.abort(new Error('interrupted: nothing of this table was changed; run it again'));
  process.once('SIGINT', stop);
  process.once('SIGTERM', stop);
  const board = createSnapshotBoard(options.json === true ? 'none' : process.stdout.isTTY ? 'bars' : 'lines');
  const sources = new Map<string, SourcePool>();
  const outcomes: TableOutcome[] = [];
  try {
    const settingsOf = configuredSettings(config);
    for (const table of tables) {
      const source = sources.get(table.source) ?? openSource(config, table.source, options.parallel);
      sources.set(table.source, source);
      outcomes.push(await copyOne({ pool, source, table, settingsOf, options, board, signal: stopping.signal }));
    }
    return outcomes;
  } finally {
    process.off('SIGINT', stop);
    process.off('SIGTERM', stop);
    board.close();
    await Promise.all([...sources.values()].map((source) => source.end().catch(() => undefined)));
  }
}

function openSource(config: Config, name: string, parallel: number): SourcePool {
  const mariadb = config.sources[name]?.mariadb;
  if (mariadb === undefined) throw usageError(`source ${name} has no MariaDB server`);
  return openSourceDatabase({ ...resolveMariadb(mariadb), connections: parallel + 3 });
}

interface OneTable {
  readonly pool: Pool;
  readonly source: SourcePool;
  readonly table: ConfiguredTable;
  readonly settingsOf: TableSettingsProvider;
  readonly options: SnapshotCommandOptions;
  readonly board: SnapshotBoard;
  readonly signal: AbortSignal;
}

async function copyOne({ pool, source, table, settingsOf, options, board, signal }: OneTable): Promise<TableOutcome> {
  const name = `${table.database}.${table.table}`;
  const identity = { source: table.source, table: name };
  const stream = await registerStream(pool, table);
  const before = (await readSnapshots(pool)).find(({ streamId }) => streamId === stream.id);
  if (before?.state === 'done' && options.again !== true) {
    board.note(`${toPrintable(name)}: has been copied already; --again copies it anew`);
    return { ...identity, state: 'skipped', copiedAt: before.finishedAt };
  }
  board.begin(name);
  try {
    const result = await snapshotTable({
      pool,
      source,
      stream,
      settingsOf,
      signal,
      parallel: options.parallel,
      rate: options.rate ?? null,
      onProgress: (progress) => board.update(progress),
      onNotice: (text) => board.note(`${toPrintable(name)}: ${toPrintable(text)}`),
    });
    board.end(`${toPrintable(name)}: ${describeResult(result)}`);
    return { ...identity, state: 'done', ...result };
  } catch (error) {
    if (!(error instanceof SnapshotError)) throw error;
    board.end(`${toPrintable(name)}: not copied (${error.code}): ${toPrintable(error.message)}`);
    // The other tables would fail alike.
    if (error.code === 'SOURCE_LOGIN' || error.code === 'SOURCE_UNAVAILABLE') throw error;
    return { ...identity, state: 'failed', code: error.code, message: error.message };
  }
}

async function registerStream(pool: Pool, { source, database, table }: ConfiguredTable): Promise<StreamRecord> {
  const [stream] = await registerStreams(pool, source, [{ database, table }]);
  if (stream === undefined) throw new Error(`${database}.${table} could not be registered`);
  return stream;
}

function describeResult({ kind, rows, gtids, written, removed, attempts }: SnapshotResult): string {
  const at = `at ${gtids === '' ? 'the beginning of the binlog' : gtids}`;
  const tries = attempts === 1 ? '' : `, at attempt ${attempts}`;
  if (kind === 'adopted') return `${formatCount(rows)} rows ${at}${tries}`;
  if (written === 0 && removed === 0) return `the mirror was right: ${formatCount(rows)} rows compared ${at}${tries}`;
  return `mirror corrected ${at}${tries}: ${formatCount(written)} rows written and ${formatCount(removed)} removed of ${formatCount(rows)}`;
}
