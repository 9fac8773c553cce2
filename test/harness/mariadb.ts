import { hasMariadb } from '@afterimage/local-servers';

/**
 * Whether this machine lacks a MariaDB, for `describe.skipIf(await mariadbMissing())`: the run then shows what it did
 * not test, and one line says why.
 */
export async function mariadbMissing(): Promise<boolean> {
  if (await hasMariadb()) return false;
  process.stderr.write('SKIPPED: the tests on MariaDB (no MARIADB_URL, and no mariadbd on the PATH)\n');
  return true;
}
