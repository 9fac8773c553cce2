import { findStream, listDetectedChanges, listStreamRecords, resumeStream } from '@afterimage/replica';
import { toPrintable } from '@afterimage/service';
import { Command } from 'commander';
import { withDatabase } from '../database.js';
import { CommandError } from '../failures.js';
import { type CommonOptions, readConfig, withCommonOptions } from '../options.js';
import { formatMoment, printJson, renderTable } from '../output.js';

/** `afterimage source-changes [table]` */
export function createSourceChangesCommand(): Command {
  const command = new Command('source-changes')
    .description('what changed in MariaDB without an event, as the watcher found it, and what was done about it')
    .argument('[table]', 'database.table, or source/database.table; all tables when none is named')
    .option('--open', 'only what is not dealt with yet')
    .option('--json', 'JSON for scripts');
  return withCommonOptions(command, { example: 'afterimage source-changes shop.orders' }).action(
    async (table: string | undefined, options: CommonOptions & { readonly open?: boolean }) => {
      const found = await withDatabase(readConfig(options), async (pool) => {
        const streams = table === undefined ? await listStreamRecords(pool) : [await findStream(pool, table)];
        const lists = streams.map(async ({ id, source, database, table: name }) =>
          (await listDetectedChanges(pool, id, { all: options.open !== true })).map((change) => ({
            source,
            table: `${database}.${name}`,
            ...change,
          })),
        );
        return (await Promise.all(lists)).flat().toSorted((a, b) => Number(a.id) - Number(b.id));
      });
      if (options.json === true) return printJson(found);
      if (found.length === 0) return console.log('none: `afterimage watcher` looks for them');
      const rows = found.map((change) => [
        formatMoment(change.detectedAt),
        change.table,
        change.detail,
        change.policy,
        change.state,
        change.outcome ?? '',
      ]);
      console.log(renderTable(['FOUND', 'TABLE', 'CHANGE', 'POLICY', 'STATE', 'OUTCOME'], rows));
    },
  );
}

/** `afterimage resume <table>` */
export function createResumeCommand(): Command {
  const command = new Command('resume')
    .description('let a stream go on that was stopped because its table changed at the source')
    .argument('<table>', 'database.table, or source/database.table');
  return withCommonOptions(command, { example: 'afterimage resume shop.orders' }).action(
    async (table: string, options: CommonOptions) => {
      const resumed = await withDatabase(readConfig(options), async (pool) =>
        resumeStream(pool, (await findStream(pool, table)).id),
      );
      const name = toPrintable(table);
      if (!resumed) throw new CommandError(`${name} is not stopped for that: see afterimage status`);
      console.log(`${name} goes on`);
    },
  );
}
