import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import { createReaderCommand, createWatcherCommand, createWriterCommand } from './commands/apps.js';
import { createConfigCommand } from './commands/config.js';
import { createDeadLetterCommand } from './commands/dead-letter.js';
import { createDemoCommand, createDemoSourceCommand } from './commands/demo.js';
import { createDoctorCommand } from './commands/doctor.js';
import { createInitCommand } from './commands/init.js';
import { createMigrateCommand } from './commands/migrate.js';
import { createRebuildCommand } from './commands/rebuild.js';
import { createAsOfCommand, createHistoryCommand } from './commands/rows.js';
import { createSnapshotCommand } from './commands/snapshot.js';
import { createResumeCommand, createSourceChangesCommand } from './commands/source-changes.js';
import { createStatusCommand } from './commands/status.js';
import { createSchemaVersionsCommand, createStreamsCommand } from './commands/streams.js';
import { createRepairCommand, createVerifyCommand } from './commands/verify.js';
import { describeStack, explainFailure } from './failures.js';

const introduction =
  'Keeps PostgreSQL tables in sync with MariaDB tables through MaxScale’s CDC stream, and remembers every change.';

const exitCodeText = `
Exit codes:
  0  done
  1  error: the last line says what and what to do
  2  wrong command line or configuration
  3  the check found a difference or a fault, or a stream is degraded or stands`;

function readVersion(): string {
  const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
    version: string;
  };
  return version;
}

function createProgram(): Command {
  const program = new Command('afterimage')
    .description(introduction)
    .version(readVersion())
    .showHelpAfterError('(see --help)')
    .addHelpText('after', exitCodeText);
  const commands = [
    createDemoCommand(),
    createInitCommand(),
    createConfigCommand(),
    createMigrateCommand(),
    createDoctorCommand(),
    createReaderCommand(),
    createWriterCommand(),
    createWatcherCommand(),
    createSnapshotCommand(),
    createStatusCommand(),
    createStreamsCommand(),
    createSchemaVersionsCommand(),
    createSourceChangesCommand(),
    createResumeCommand(),
    createHistoryCommand(),
    createAsOfCommand(),
    createRebuildCommand(),
    createVerifyCommand(),
    createRepairCommand(),
    createDeadLetterCommand(),
  ];
  for (const command of commands) program.addCommand(command);
  program.addCommand(createDemoSourceCommand(), { hidden: true });
  for (const command of [program, ...commands.flatMap((parent) => [parent, ...parent.commands])])
    command.exitOverride();
  return program;
}

/** Runs one command line (`process.argv`) and returns its exit code; what went wrong is on standard error. */
export async function runProgram(argv: readonly string[]): Promise<number> {
  try {
    await createProgram().parseAsync([...argv]);
    return Number(process.exitCode ?? 0);
  } catch (error) {
    const { message, exitCode } = explainFailure(error);
    if (message !== '') process.stderr.write(`afterimage: ${message}\n`);
    if (argv.includes('--debug') && error instanceof Error) process.stderr.write(`${describeStack(error)}\n`);
    return exitCode;
  }
}
