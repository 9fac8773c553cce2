import { type Config, exitCodes, loadConfig, resolveConfigPath } from '@afterimage/service';
import { type Command, InvalidArgumentError } from 'commander';
import { CommandError } from './failures.js';

export interface CommonOptions {
  readonly config?: string;
  readonly json?: boolean;
}

/** Adds `--config`, `--debug`, the example and the exit codes that every command's help shows. */
export function withCommonOptions(
  command: Command,
  { example, codes = '' }: { example: string; codes?: string },
): Command {
  return command
    .option('-c, --config <path>', 'configuration file (default: $AFTERIMAGE_CONFIG, else ./afterimage.yaml)')
    .option('--debug', 'show the stack of an error')
    .addHelpText('after', describeUse(example, codes));
}

/** The end of a command's help. */
export function describeUse(example: string, codes = ''): string {
  const lines = example.split('\n').map((line) => `  $ ${line}`);
  return `\nExample:\n${lines.join('\n')}\n\nExit codes: 0 done, 1 error, 2 wrong command line or configuration${codes}`;
}

export function readConfig({ config }: CommonOptions): Config {
  return loadConfig(resolveConfigPath(config));
}

export function parseCount(text: string): number {
  const count = Number(text);
  if (!Number.isInteger(count) || count < 1) throw new InvalidArgumentError('Write a whole number from 1.');
  return count;
}

/** A moment as ISO 8601 or anything that Date reads; without a zone it is UTC. */
export function parseMoment(text: string): Date {
  const zoned = /(?:Z|[+-]\d\d:?\d\d)$/i.test(text.trim());
  const moment = new Date(
    zoned ? text : `${text.trim().replace(' ', 'T')}${/T|\s|:/.test(text.trim()) ? '' : 'T00:00:00'}Z`,
  );
  if (Number.isNaN(moment.getTime())) throw new InvalidArgumentError('Write a moment like 2026-11-22T14:00:00Z.');
  return moment;
}

/** `id=7` → column and value. */
export function parseAssignment(text: string, earlier: Readonly<Record<string, string>> = {}): Record<string, string> {
  const split = text.indexOf('=');
  if (split < 1) throw new InvalidArgumentError('Write column=value.');
  return { ...earlier, [text.slice(0, split)]: text.slice(split + 1) };
}

export function usageError(message: string): CommandError {
  return new CommandError(message, exitCodes.usage);
}
