import { exitCodes } from '@afterimage/service';
import { Command } from 'commander';
import { describeUse, parseCount } from '../options.js';

interface DemoCommandOptions {
  readonly seconds?: number;
  readonly rate?: number;
  readonly writers: number;
  readonly seed: number;
  readonly keep?: boolean;
  readonly crash?: boolean;
  readonly mariadb?: boolean;
}

/** `afterimage demo` */
export function createDemoCommand(): Command {
  return new Command('demo')
    .description('the whole pipeline on this machine with nothing but Node, checked against its source')
    .option('-m, --mariadb', 'a real MariaDB as the source: snapshot, real SQL, verify, repair')
    .option('-s, --seconds <n>', 'how long the workload runs (20; with --mariadb 10)', parseCount)
    .option('-r, --rate <n>', 'transactions per second at the source (500; with --mariadb 100)', parseCount)
    .option('-w, --writers <n>', 'writer processes', parseCount, 2)
    .option('--seed <n>', 'the same seed gives the same rows', parseCount, 1)
    .option('--crash', 'kill -9 a writer and the reader in the middle, and start them again')
    .option('-k, --keep', 'stay up afterwards to look around, until Ctrl-C')
    .option('--debug', 'show the stack of an error')
    .addHelpText(
      'after',
      describeUse(
        'afterimage demo --seconds 30 --keep\nafterimage demo --mariadb --keep',
        ', 3 something differs from the source',
      ),
    )
    .action(async ({ keep = false, crash = false, mariadb = false, seconds, rate, ...options }: DemoCommandOptions) => {
      const { runDemo } = await import('../demo/demo-run.js');
      const { runMariadbDemo } = await import('../demo/mariadb-demo.js');
      const common = { ...options, keep, crash };
      const equal = await (mariadb
        ? runMariadbDemo({ ...common, seconds: seconds ?? 10, rate: rate ?? 100 })
        : runDemo({ ...common, seconds: seconds ?? 20, rate: rate ?? 500 }));
      process.exitCode = equal ? exitCodes.ok : exitCodes.difference;
    });
}

/** `afterimage demo-source`: the source of the demo, which starts it as a process. */
export function createDemoSourceCommand(): Command {
  return new Command('demo-source')
    .description('the source of the demo')
    .requiredOption('--expectations <file>', 'where the model goes')
    .requiredOption('--seed <n>', 'seed of the workload', parseCount)
    .action(async ({ expectations, seed }: { readonly expectations: string; readonly seed: number }) => {
      const { runDemoSource } = await import('../demo/source-process.js');
      await runDemoSource({ expectationsFile: expectations, seed });
    });
}
