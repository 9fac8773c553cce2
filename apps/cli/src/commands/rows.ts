import { configuredSettings, findStream, readAsOf, readHistory, type TextRows } from '@afterimage/replica';
import { Command } from 'commander';
import { withDatabase } from '../database.js';
import { printJson, renderTable, toObjects } from '../output.js';
import {
  type CommonOptions,
  parseAssignment,
  parseCount,
  parseMoment,
  readConfig,
  usageError,
  withCommonOptions,
} from '../options.js';

interface HistoryCommandOptions extends CommonOptions {
  readonly where?: Record<string, string>;
  readonly from?: Date;
  readonly to?: Date;
  readonly newest?: boolean;
  readonly limit: number;
}

/** `afterimage history <table>` */
export function createHistoryCommand(): Command {
  const command = new Command('history')
    .description('the changes of a table, or of some of its rows, in order')
    .argument('<table>', 'database.table, or source/database.table')
    .option('-w, --where <column=value>', 'only rows that have it; repeat for several columns', parseAssignment)
    .option('--from <moment>', 'source time, ISO 8601 (UTC unless it says otherwise)', parseMoment)
    .option('--to <moment>', 'source time', parseMoment)
    .option('--newest', 'newest first')
    .option('-l, --limit <n>', 'how many changes at most', parseCount, 100)
    .option('--json', 'JSON for scripts');
  return withCommonOptions(command, { example: 'afterimage history shop.orders --where id=7' }).action(
    async (table: string, options: HistoryCommandOptions) => {
      const config = readConfig(options);
      const { where, from, to, newest = false, limit } = options;
      const found = await withDatabase(config, async (pool) =>
        readHistory(pool, {
          stream: await findStream(pool, table),
          settingsOf: configuredSettings(config),
          newestFirst: newest,
          limit: limit + 1,
          ...(where === undefined ? {} : { where }),
          ...(from === undefined ? {} : { from }),
          ...(to === undefined ? {} : { to }),
        }),
      );
      printRows(found, options);
    },
  );
}

interface AsOfCommandOptions extends CommonOptions {
  readonly at?: Date;
  readonly gtid?: string;
  readonly limit: number;
}

/** `afterimage as-of <table>` */
export function createAsOfCommand(): Command {
  const command = new Command('as-of')
    .description('a table as it was at a moment or after a transaction')
    .argument('<table>', 'database.table, or source/database.table')
    .option('--at <moment>', 'source time, ISO 8601 (UTC unless it says otherwise)', parseMoment)
    .option('--gtid <gtid>', 'up to and with this transaction, domain-server-sequence')
    .option('-l, --limit <n>', 'how many rows at most', parseCount, 100)
    .option('--json', 'JSON for scripts');
  const example =
    'afterimage as-of shop.orders --at 2026-11-22T14:00:00Z\nafterimage as-of shop.orders --gtid 0-1-1234';
  return withCommonOptions(command, { example }).action(async (table: string, options: AsOfCommandOptions) => {
    const moment = chooseMoment(options);
    const config = readConfig(options);
    const found = await withDatabase(config, async (pool) =>
      readAsOf(pool, {
        stream: await findStream(pool, table),
        settingsOf: configuredSettings(config),
        moment,
        limit: options.limit + 1,
      }),
    );
    printRows(found, options);
  });
}

function chooseMoment({ at, gtid }: AsOfCommandOptions) {
  if ((at === undefined) === (gtid === undefined))
    throw usageError('say which moment: either --at <moment> or --gtid <gtid>');
  if (at !== undefined) return { kind: 'time', at } as const;
  if (gtid === undefined || !/^\d+-\d+-\d+$/.test(gtid))
    throw usageError('write the GTID as domain-server-sequence, such as 0-1-1234');
  return { kind: 'gtid', gtid } as const;
}

/** Rows were asked for with one more than the limit, which tells whether there are more. */
function printRows(
  { columns, rows }: TextRows,
  { json = false, limit }: { readonly json?: boolean; readonly limit: number },
): void {
  const shown = rows.slice(0, limit);
  if (json) return printJson(toObjects({ columns, rows: shown }));
  console.log(
    renderTable(
      columns,
      shown.map((row) => row.map((value) => value ?? 'NULL')),
    ),
  );
  if (rows.length > limit) console.log(`… there are more: --limit ${limit * 10}`);
}
