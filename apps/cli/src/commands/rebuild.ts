import { configuredSettings, findStream, rebuild, type RebuildResult } from '@afterimage/replica';
import { exitCodes, toPrintable } from '@afterimage/service';
import { Command } from 'commander';
import { withDatabase } from '../database.js';
import { formatCount, printJson } from '../output.js';
import { type CommonOptions, readConfig, withCommonOptions } from '../options.js';

/** `afterimage rebuild <table>` */
export function createRebuildCommand(): Command {
  const command = new Command('rebuild')
    .description(
      'compare a mirror table with its history, and make it equal with --apply; writers of the table wait meanwhile',
    )
    .argument('<table>', 'database.table, or source/database.table')
    .option('--apply', 'change the mirror; without it only compare')
    .option('--json', 'JSON for scripts');
  const texts = {
    example: 'afterimage rebuild shop.orders\nafterimage rebuild shop.orders --apply',
    codes: ', 3 mirror and history differ',
  };
  return withCommonOptions(command, texts).action(
    async (table: string, options: CommonOptions & { readonly apply?: boolean }) => {
      const config = readConfig(options);
      const { apply = false } = options;
      const result = await withDatabase(config, async (pool) =>
        rebuild(pool, { stream: await findStream(pool, table), settingsOf: configuredSettings(config), apply }),
      );
      if (options.json === true) printJson(result);
      else console.log(describeResult(toPrintable(table), result, apply));
      if (!result.equal) process.exitCode = exitCodes.difference;
    },
  );
}

function describeResult(
  table: string,
  { rows, missing, extra, created, equal }: RebuildResult,
  apply: boolean,
): string {
  const found =
    missing === 0 && extra === 0
      ? `${table}: the mirror equals its history (${formatCount(rows)} rows)`
      : `${table}: history gives ${formatCount(rows)} rows; the mirror lacks ${formatCount(missing)} of them and has ${formatCount(extra)} others`;
  if (created) return `${found}\nthe mirror was missing and has been created and filled`;
  if (missing === 0 && extra === 0) return found;
  if (!apply) return `${found}\nnothing was changed: run again with --apply to correct the mirror`;
  return `${found}\n${equal ? 'the mirror has been corrected and now equals its history' : 'the mirror still differs: see whether triggers or rules change its rows'}`;
}
