import { hasMariadb, type LocalMariadb, startMariadb } from '@afterimage/local-servers';
import { openSourceDatabase, parseMariadbUrl } from '@afterimage/mariadb';
import { type Connection, createConnection, type Pool } from 'mariadb';

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

/** A private MariaDB with a database shop, for tests that need no stream of it. */
export interface TestSource {
  readonly mariadb: LocalMariadb;
  /** In database shop. May write. */
  readonly connection: Connection;
  /** As the product reads. */
  readonly pool: Pool;
  close(): Promise<void>;
}

export async function startTestSource(): Promise<TestSource> {
  const mariadb = await startMariadb({ env: { PATH: process.env['PATH'] } });
  const connection = await createConnection(parseMariadbUrl(mariadb.url));
  await connection.query('CREATE DATABASE shop');
  await connection.query('USE shop');
  const pool = openSourceDatabase({ url: mariadb.url });
  return {
    mariadb,
    connection,
    pool,
    close: async () => {
      await Promise.all([connection, pool].map((open) => open.end().catch(() => undefined)));
      await mariadb.stop();
    },
  };
}
