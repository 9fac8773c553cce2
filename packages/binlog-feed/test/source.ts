import { type FakeMaxScale, startFakeMaxScale } from '@afterimage/cdc-protocol/testing';
import { type LocalMariadb, type MariadbOptions, startMariadb } from '@afterimage/local-servers';
import { parseMariadbUrl } from '@afterimage/mariadb';
import { type Connection, createConnection } from 'mariadb';
import { type BinlogFeed, type BinlogFeedOptions, startBinlogFeed } from '../src/index.js';

/** A MariaDB of the test's own, a session on it, and the fake MaxScale that it feeds. */
export interface Source {
  readonly mariadb: LocalMariadb;
  readonly connection: Connection;
  readonly maxscale: FakeMaxScale;
  readonly feed: BinlogFeed;
  close(): Promise<void>;
}

/**
 * GTIDs are set to those of recordings: never on a server that others use. Values that MariaDB refuses by default
 * (zero dates, enum members that are not there) were recorded.
 */
export const privateServer: MariadbOptions = { env: { PATH: process.env['PATH'] }, settings: { sql_mode: '' } };

export async function startSource(options: Partial<BinlogFeedOptions> = {}): Promise<Source> {
  const mariadb = await startMariadb(privateServer);
  const connection = await createConnection(parseMariadbUrl(mariadb.url));
  const maxscale = await startFakeMaxScale();
  const feed = await startBinlogFeed({ maxscale, mariadbUrl: mariadb.url, ...options });
  return {
    mariadb,
    connection,
    maxscale,
    feed,
    close: async () => {
      await feed.stop();
      await connection.end();
      await maxscale.close();
      await mariadb.stop();
    },
  };
}
