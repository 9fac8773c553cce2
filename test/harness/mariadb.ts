import { hasMariadb } from '@afterimage/local-servers';

/**
 * Whether this machine lacks a MariaDB, for `describe.skipIf(await mariadbMissing())`: the run then shows what it did
 * not test, and one line says why. Tests that change a server's settings or GTIDs need a `private` one.
 */
export async function mariadbMissing(need: 'any' | 'private' = 'any'): Promise<boolean> {
  const { MARIADB_URL: _given, ...withoutUrl } = process.env;
  if (await hasMariadb(need === 'any' ? process.env : withoutUrl)) return false;
  const given = need === 'any' ? 'no MARIADB_URL, and no' : 'no';
  process.stderr.write(`SKIPPED: tests on a MariaDB (${given} mariadbd on the PATH)\n`);
  return true;
}
