import type { Pool } from 'pg';
import { type Config, configSchema } from '@afterimage/service';
import {
  type StreamRecord,
  configuredSettings,
  listDeadLetters,
  listStreamRecords,
  quoteName,
  readStatus,
  rebuild,
} from '@afterimage/replica';
import { describeDifference } from './difference.js';
import type { Dice } from './dice.js';
import { eventsThrough, eventsUntil, expectedHistory, expectedRows, rowsAfter } from './expected-state.js';
import type { ModelTable, SourceModel } from './source-model.js';

const momentsPerTable = 4;

export interface VerificationOptions {
  readonly pool: Pool;
  readonly model: SourceModel;
  readonly config: unknown;
  readonly dice: Dice;
}

/** Compares PostgreSQL with the model when all is applied and at rest. Returns what differs, for people. */
export async function findDifferences({ pool, model, config, dice }: VerificationOptions): Promise<string[]> {
  const found: (string | null)[] = [];
  for (const table of model.tables) {
    found.push(...(await compareTable(pool, table)), ...(await compareMoments(pool, table, dice)));
  }
  found.push(...(await compareRebuilt(pool, configSchema.parse(config))));
  const letters = await listDeadLetters(pool, { state: 'all' });
  found.push(...letters.map(({ table, ordinal, message }) => `dead letter: ${table} ${ordinal}: ${message}`));
  return found.filter((difference) => difference !== null);
}

async function compareTable(pool: Pool, table: ModelTable): Promise<(string | null)[]> {
  const { name } = table;
  const mirror = await fetchRows(pool, table, `shop.${quoteName(name)}`);
  const history = await pool.query<{ head: string; cells: unknown }>(
    `SELECT domain || '-' || server_id || '-' || sequence || ':' || event_number || ' ' || extract(epoch FROM timestamp)::bigint || ' ' || event_type AS head,
            ${cellsOf(table)} AS cells
     FROM shop_history.${quoteName(name)} ORDER BY stream_ordinal`,
  );
  const events = history.rows.map(({ head, cells }) => `${head} ${JSON.stringify(cells)}`);
  return [
    describeDifference(`mirror of ${name}`, mirror, expectedRows(table)),
    describeDifference(`history of ${name}`, events, expectedHistory(table)),
    describeDifference(`the model itself, ${name}`, expectedRows(table), rowsAfter(table, table.events.length)),
  ];
}

/** The table as it was at random events: about their time, and by their GTID. */
async function compareMoments(pool: Pool, table: ModelTable, dice: Dice): Promise<(string | null)[]> {
  const found: (string | null)[] = [];
  for (let i = 0; i < momentsPerTable; i += 1) {
    const event = dice.pick(table.events);
    const { domain, serverId, sequence } = event;
    const timestamp = event.timestamp + dice.between(-1, 1);
    const gtid = `${domain}-${serverId}-${sequence}`;
    const byTime = `shop_history.${quoteName(`${table.name}_as_of`)}(to_timestamp($1))`;
    const byGtid = `shop_history.${quoteName(`${table.name}_as_of_gtid`)}($1)`;
    found.push(
      describeDifference(
        `${table.name} as of time ${timestamp}`,
        await fetchRows(pool, table, byTime, [timestamp]),
        rowsAfter(table, eventsUntil(table, timestamp)),
      ),
      describeDifference(
        `${table.name} as of ${gtid}`,
        await fetchRows(pool, table, byGtid, [gtid]),
        rowsAfter(table, eventsThrough(table, event)),
      ),
    );
  }
  return found;
}

async function fetchRows(pool: Pool, table: ModelTable, from: string, values: unknown[] = []): Promise<string[]> {
  const { rows } = await pool.query<{ cells: unknown }>(`SELECT ${cellsOf(table)} AS cells FROM ${from}`, values);
  return rows.map(({ cells }) => JSON.stringify(cells)).toSorted();
}

function cellsOf({ columns }: ModelTable): string {
  return `json_build_array(${columns.map(({ name }) => `${quoteName(name)}::text`).join(', ')})`;
}

async function compareRebuilt(pool: Pool, config: Config): Promise<(string | null)[]> {
  const settingsOf = configuredSettings(config);
  const compare = async (stream: StreamRecord): Promise<string | null> => {
    const { equal, missing, extra } = await rebuild(pool, { stream, settingsOf, apply: false });
    return equal ? null : `rebuild of ${stream.table}: the mirror lacks ${missing} rows and has ${extra} others`;
  };
  const found: (string | null)[] = [];
  for (const stream of await listStreamRecords(pool)) found.push(await compare(stream));
  return found;
}

/** Streams that are not back to normal, with the state that they are in. */
export async function findTroubledStreams(pool: Pool): Promise<string[]> {
  const streams = await readStatus(pool);
  return streams
    .filter(({ state, readerState }) => state !== 'active' || readerState !== 'streaming')
    .map(
      (s) =>
        `${s.table}: writers ${s.state} ${s.stateCode ?? ''} ${s.stateMessage ?? ''}; reader ${s.readerState} ${s.readerCode ?? ''} ${s.readerMessage ?? ''}`,
    );
}
