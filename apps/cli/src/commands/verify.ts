import { configuredSettings, listStreamRecords, type StreamRecord } from '@afterimage/replica';
import { type Config, createRegistry, exitCodes, startHttp } from '@afterimage/service';
import {
  countDifferences,
  recordRun,
  repairTable,
  type TableRepair,
  type TableVerification,
  verifyTable,
  watch,
} from '@afterimage/verification';
import { Command, InvalidArgumentError } from 'commander';
import type { Pool } from 'pg';
import { withDatabase } from '../database.js';
import { formatRows, printJson } from '../output.js';
import { type CommonOptions, parseCount, readConfig, withCommonOptions } from '../options.js';
import { chooseStreams, withSides } from '../source-databases.js';
import { describeVerifications } from '../verification-report.js';

interface VerifyCommandOptions extends CommonOptions {
  readonly watch?: boolean;
  readonly load?: number;
  readonly pause: number;
  readonly port?: number;
  readonly chunk: number;
  readonly settle: number;
  readonly quiet: number;
}

const codes = ', 3 rows or columns differ';

/** `afterimage verify [table…]` */
export function createVerifyCommand(): Command {
  const command = new Command('verify')
    .description('compare mirrors with MariaDB, every row and column, while both keep changing')
    .argument(
      '[tables...]',
      'database.table, or source/database.table; without any, all that have a MariaDB configured',
    )
    .option('--load <percent>', 'part of the time that the servers are kept busy (100; with --watch 10)', parsePercent)
    .option('--chunk <rows>', 'rows that are read at a time', parseCount, 50_000)
    .option('--settle <seconds>', 'how long to look at rows that keep changing', parseCount, 60)
    .option(
      '--quiet <seconds>',
      'how long a stream must apply nothing for a difference in a quiet table to be sure',
      parseCount,
      5,
    )
    .option('-w, --watch', 'go on until Ctrl-C, one pass after the other')
    .option('--pause <seconds>', 'between two passes of --watch', parseCount, 60)
    .option('--port <port>', 'serve /healthz, /readyz and /metrics with --watch; 0 = any free port', parsePort)
    .option('--json', 'JSON for scripts');
  const example =
    'afterimage verify\nafterimage verify shop.orders --json\nafterimage verify --watch --load 5 --port 9105';
  return withCommonOptions(command, { example, codes }).action(
    async (tables: string[], options: VerifyCommandOptions) => {
      const config = readConfig(options);
      await withDatabase(config, async (pool) => {
        if (options.watch === true) await runWatch(pool, config, { tables, options });
        else await runOnce(pool, config, { tables, options });
      });
    },
  );
}

interface RepairCommandOptions extends CommonOptions {
  readonly dryRun?: boolean;
  readonly chunk: number;
  readonly settle: number;
  readonly quiet: number;
}

/** `afterimage repair [table…]` */
export function createRepairCommand(): Command {
  const command = new Command('repair')
    .description('compare mirrors with MariaDB, rewrite the rows that differ, and compare again')
    .argument(
      '[tables...]',
      'database.table, or source/database.table; without any, all that have a MariaDB configured',
    )
    .option('--dry-run', 'only compare')
    .option('--chunk <rows>', 'rows that are read at a time', parseCount, 50_000)
    .option('--settle <seconds>', 'how long to look at rows that keep changing', parseCount, 60)
    .option(
      '--quiet <seconds>',
      'how long a stream must apply nothing for a difference in a quiet table to be sure',
      parseCount,
      5,
    )
    .option('--json', 'JSON for scripts');
  const example = 'afterimage repair shop.orders --dry-run\nafterimage repair shop.orders';
  return withCommonOptions(command, { example, codes: ', 3 rows or columns differ still' }).action(
    async (tables: string[], options: RepairCommandOptions) => {
      const config = readConfig(options);
      await withDatabase(config, (pool) => runRepair(pool, config, { tables, options }));
    },
  );
}

interface Run<Options> {
  readonly tables: readonly string[];
  readonly options: Options;
}

const settleOf = ({ settle, quiet }: { readonly settle: number; readonly quiet: number }) => ({
  timeoutMs: Math.max(settle, quiet) * 1000,
  quietMs: quiet * 1000,
});

async function runOnce(pool: Pool, config: Config, { tables, options }: Run<VerifyCommandOptions>): Promise<void> {
  const streams = await chooseStreams(pool, config, tables);
  const results: TableVerification[] = [];
  await withSides(pool, config, async (sidesOf) => {
    for (const stream of streams) {
      const { chunk: chunkRows, load = 100 } = options;
      results.push(await verifyTable({ sides: sidesOf(stream), stream, chunkRows, load, settle: settleOf(options) }));
    }
  });
  const run = await recordRun(
    pool,
    results.map((result) => ({ result, repaired: 0 })),
  );
  if (options.json === true) printJson({ run, tables: results });
  else console.log(describeVerifications(results));
  setExitCode(results);
}

async function runRepair(pool: Pool, config: Config, { tables, options }: Run<RepairCommandOptions>): Promise<void> {
  const streams = await chooseStreams(pool, config, tables);
  const repairs: TableRepair[] = [];
  await withSides(pool, config, async (sidesOf) => {
    for (const stream of streams) {
      const common = { sides: sidesOf(stream), stream, chunkRows: options.chunk, settle: settleOf(options) };
      repairs.push(
        options.dryRun === true
          ? { before: await verifyTable(common), repaired: 0, after: null }
          : await repairTable(common),
      );
    }
  });
  const run = await recordRun(
    pool,
    repairs.map(({ before, repaired }) => ({ result: before, repaired })),
  );
  const results = repairs.map(({ before, after }) => after ?? before);
  if (repairs.some(({ after }) => after !== null)) {
    await recordRun(
      pool,
      repairs.flatMap(({ after }) => (after === null ? [] : [{ result: after, repaired: 0 }])),
    );
  }
  if (options.json === true) printJson({ run, tables: repairs });
  else console.log(describeRepairs(repairs, options.dryRun === true));
  setExitCode(results);
}

function describeRepairs(repairs: readonly TableRepair[], isDryRun: boolean): string {
  const found = describeVerifications(repairs.map(({ before }) => before));
  if (isDryRun) return `${found}\n\nnothing was changed: run again without --dry-run`;
  const repaired = repairs.reduce((sum, one) => sum + one.repaired, 0);
  const again = repairs.flatMap(({ after }) => after ?? []);
  if (again.length === 0) return `${found}\n\nno row was rewritten`;
  return `${found}\n\n${formatRows(repaired)} rewritten; compared again:\n\n${describeVerifications(again)}`;
}

async function runWatch(pool: Pool, config: Config, { tables, options }: Run<VerifyCommandOptions>): Promise<void> {
  const controller = new AbortController();
  const stop = (): void => controller.abort();
  process.once('SIGINT', stop).once('SIGTERM', stop);
  const registry = createRegistry('verify');
  const chosen = await chooseStreams(pool, config, tables);
  const settingsOf = configuredSettings(config);
  const listStreams = async (): Promise<StreamRecord[]> =>
    tables.length > 0
      ? chosen
      : (await listStreamRecords(pool)).filter((stream) => settingsOf(stream)?.hasSource === true);
  const { port } = options;
  const http =
    port === undefined
      ? null
      : await startHttp({ host: config.service.httpHost, port, registry, healthy: () => !controller.signal.aborted });
  if (http !== null) process.stderr.write(`metrics at ${http.url}/metrics\n`);
  try {
    await withSides(pool, config, (sidesOf) =>
      watch({
        sidesOf,
        listStreams,
        registry,
        signal: controller.signal,
        chunkRows: options.chunk,
        load: options.load ?? 10,
        settle: settleOf(options),
        pauseMs: options.pause * 1000,
        onResult: (result) => {
          if (options.json === true) printJson(result);
          else console.log(describeVerifications([result]));
        },
      }),
    );
  } finally {
    await http?.close();
  }
}

/** What could not be compared is an error; what keeps changing is not known to be equal. */
function setExitCode(results: readonly TableVerification[]): void {
  if (results.some(({ outcome }) => outcome === 'failed' || outcome === 'unsettled'))
    process.exitCode = exitCodes.error;
  if (results.some((result) => countDifferences(result) > 0)) process.exitCode = exitCodes.difference;
}

function parsePercent(text: string): number {
  const percent = Number(text);
  if (!(percent > 0 && percent <= 100)) throw new InvalidArgumentError('Write a number from 1 to 100.');
  return percent;
}

function parsePort(text: string): number {
  const port = Number(text);
  if (!Number.isInteger(port) || port < 0 || port > 65_535) throw new InvalidArgumentError('Write a port.');
  return port;
}
