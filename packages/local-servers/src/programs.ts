import { access, constants } from 'node:fs/promises';
import { delimiter, join } from 'node:path';

/**
 * Path of a program on the PATH, or in the `sbin` beside one of its `bin` folders, where Debian has servers but a
 * normal user's PATH does not look. Null when there is none.
 */
export async function findProgram(name: string, env: NodeJS.ProcessEnv): Promise<string | null> {
  const folders = (env['PATH'] ?? '').split(delimiter).filter((folder) => folder !== '');
  const beside = folders.filter((folder) => folder.endsWith('/bin')).map((folder) => join(folder, '..', 'sbin'));
  for (const folder of [...folders, ...beside]) {
    const file = join(folder, name);
    const runnable = await access(file, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (runnable) return file;
  }
  return null;
}
