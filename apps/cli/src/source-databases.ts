import { openSourceDatabase } from '@afterimage/mariadb';
import { configuredSettings, findStream, listStreamRecords, type StreamRecord } from '@afterimage/replica';
import { type Config, exitCodes, resolveMariadb } from '@afterimage/service';
import type { Sides } from '@afterimage/verification';
import type { Pool as SourcePool } from 'mariadb';
import type { Pool } from 'pg';
import { CommandError } from './failures.js';

/** The tables of the command line, else all that are configured and whose source has a MariaDB to ask. */
export async function chooseStreams(pool: Pool, config: Config, tables: readonly string[]): Promise<StreamRecord[]> {
  const settingsOf = configuredSettings(config);
  const known = await listStreamRecords(pool);
  const named = await Promise.all(tables.map((table) => findStream(pool, table)));
  const chosen = tables.length > 0 ? named : known.filter((stream) => settingsOf(stream)?.hasSource === true);
  const unknown = chosen.find((stream) => settingsOf(stream)?.hasSource !== true);
  if (unknown === undefined && chosen.length > 0) return chosen;
  const source = unknown?.source ?? Object.keys(config.sources)[0] ?? '<name>';
  const message =
    unknown === undefined && Object.values(config.sources).some(({ mariadb }) => mariadb !== undefined)
      ? 'there is no table to compare yet: a reader registers them when it starts'
      : `nothing is known of the MariaDB behind source ${source}: set sources.${source}.mariadb.url in the configuration`;
  throw new CommandError(message, exitCodes.usage);
}

/** Runs `work` with both sides of any stream at hand; connections to MariaDB are opened when needed, and closed afterwards. */
export async function withSides<T>(
  pool: Pool,
  config: Config,
  work: (sidesOf: (stream: StreamRecord) => Sides) => Promise<T>,
): Promise<T> {
  const settingsOf = configuredSettings(config);
  const pools = new Map<string, SourcePool>();
  try {
    return await work(({ source: name }) => {
      const source = pools.get(name) ?? open(config, name);
      pools.set(name, source);
      return { source, postgres: pool, settingsOf };
    });
  } finally {
    await Promise.all([...pools.values()].map((source) => source.end()));
  }
}

function open({ sources }: Config, name: string): SourcePool {
  const mariadb = sources[name]?.mariadb;
  if (mariadb === undefined) throw new CommandError(`source ${name} has no mariadb.url`, exitCodes.usage);
  return openSourceDatabase({ ...resolveMariadb(mariadb), connections: 3 });
}
