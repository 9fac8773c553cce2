import { writeFile } from 'node:fs/promises';
import { defaultConfigPath, renderConfigTemplate } from '@afterimage/service';
import { Command } from 'commander';
import { describeUse, usageError } from '../options.js';

/** `afterimage init [path]` */
export function createInitCommand(): Command {
  return new Command('init')
    .description('write a commented configuration file')
    .argument('[path]', 'where to', defaultConfigPath)
    .option('-f, --force', 'overwrite an existing file')
    .option('--debug', 'show the stack of an error')
    .addHelpText('after', describeUse('afterimage init && ${EDITOR:-vi} afterimage.yaml'))
    .action(async (path: string, { force = false }: { force?: boolean }) => {
      await writeTemplate(path, force);
      console.log(
        `wrote ${path}: fill in postgres, queue and one source, then\n  afterimage config --check\n  afterimage migrate`,
      );
    });
}

async function writeTemplate(path: string, force: boolean): Promise<void> {
  try {
    // It is made to hold passwords.
    await writeFile(path, renderConfigTemplate(), { flag: force ? 'w' : 'wx', mode: 0o600 });
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST')
      throw usageError(`${path} is there already: name another path, or overwrite it with --force`);
    throw usageError(`cannot write ${path}: ${message}`);
  }
}
