import { Command } from 'commander';
import { runApps } from '../child-programs.js';
import { type CommonOptions, parseCount, readConfig, withCommonOptions } from '../options.js';

interface AppOptions extends CommonOptions {
  readonly pretty?: boolean;
}

/** `afterimage reader` */
export function createReaderCommand(): Command {
  const command = new Command('reader')
    .description('run the reader in the foreground: MaxScale → queue (a second one waits as standby)')
    .option('--pretty', 'log for people instead of JSON');
  return withCommonOptions(command, { example: 'afterimage reader --config afterimage.yaml' }).action(
    async (options: AppOptions) => {
      readConfig(options);
      process.exitCode = await runApps('reader', 1, options);
    },
  );
}

/** `afterimage watcher` */
export function createWatcherCommand(): Command {
  const command = new Command('watcher')
    .description('run the watcher in the foreground: notices what changes in MariaDB without an event, and acts on it')
    .option('--pretty', 'log for people instead of JSON');
  return withCommonOptions(command, { example: 'afterimage watcher --config afterimage.yaml' }).action(
    async (options: AppOptions) => {
      readConfig(options);
      process.exitCode = await runApps('watcher', 1, options);
    },
  );
}

/** `afterimage writer` */
export function createWriterCommand(): Command {
  const command = new Command('writer')
    .description('run writers in the foreground: queue → PostgreSQL')
    .option('-n, --count <n>', 'how many writer processes', parseCount, 1)
    .option(
      '--partitions <list>',
      'work on these partitions of every table only, like 0-3,7; others must then do the rest',
    )
    .option('--pretty', 'log for people instead of JSON');
  return withCommonOptions(command, { example: 'afterimage writer --count 2' }).action(
    async (options: AppOptions & { readonly count: number; readonly partitions?: string }) => {
      readConfig(options);
      process.exitCode = await runApps('writer', options.count, options);
    },
  );
}
