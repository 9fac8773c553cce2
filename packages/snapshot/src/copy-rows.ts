import { once } from 'node:events';
import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { quoteName, quoteTable, type Shadow, withConnection } from '@afterimage/replica';
import { quoteSource } from '@afterimage/mariadb';
import type { Pool as SourcePool, PoolConnection } from 'mariadb';
import type { Pool } from 'pg';
import { type CopyStreamQuery, from as copyFrom } from 'pg-copy-streams';
import { type CopySelect, formatLine } from './copy-select.js';
import { rowTooLong } from './errors.js';
import { type KeyRange, type RangeSource } from './key-ranges.js';

/** What has been copied so far; all readers of a table add to it. */
export interface CopyCount {
  rows: number;
  bytes: number;
}

export interface CopyOptions {
  readonly pool: Pool;
  /** For what must be said beside the connections that read. */
  readonly source: SourcePool;
  readonly shadow: Shadow;
  readonly select: CopySelect;
  /** Quoted, with its database. */
  readonly table: string;
  /** The index that the ranges go by. */
  readonly index: string | null;
  readonly ranges: RangeSource;
  readonly count: CopyCount;
  /** Returns how many milliseconds to wait before going on. */
  readonly pace: (rows: number) => number;
  readonly signal: AbortSignal;
}

/** Characters that go to PostgreSQL at once. */
const blockLength = 64 * 1024;
const shortestPauseMs = 5;

/** Copies ranges through one connection to each server until there are no more. Memory: one block and what sockets hold. */
export async function copyRanges(connection: PoolConnection, options: CopyOptions): Promise<void> {
  const { pool, shadow, signal } = options;
  await withConnection(pool, async (client) => {
    await client.query(
      `SELECT set_config('statement_timeout', '0', false), set_config('idle_in_transaction_session_timeout', '0', false)`,
    );
    const columns = shadow.columns.map(({ mirror }) => quoteName(mirror)).join(', ');
    const target = client.query(copyFrom(`COPY ${quoteTable(shadow.table)} (${columns}) FROM STDIN`));
    const finished = settle(target);
    const abort = (): void => void target.destroy(signal.reason as Error);
    signal.addEventListener('abort', abort, { once: true });
    try {
      signal.throwIfAborted();
      for (let range = await options.ranges(); range !== null; range = await options.ranges()) {
        await copyRange(connection, target, range, options);
      }
      target.end();
      await finished;
    } catch (error) {
      target.destroy(error as Error);
      // What PostgreSQL says first is the cause; what follows from it is not.
      await finished.catch((cause: unknown) => {
        if ((cause as { severity?: unknown }).severity !== undefined && !isCopyFail(cause)) throw cause;
      });
      throw error;
    } finally {
      signal.removeEventListener('abort', abort);
    }
  });
}

/** 57014: PostgreSQL repeats that the client ended the COPY. */
const isCopyFail = (error: unknown): boolean => (error as { code?: unknown }).code === '57014';

function settle(target: CopyStreamQuery): Promise<void> {
  const finished = new Promise<void>((resolve, reject) => {
    target.once('finish', resolve);
    // It stays: a second error, as when it is closed after the first, must not end the process.
    target.on('error', reject);
  });
  finished.catch(() => undefined);
  return finished;
}

async function copyRange(
  connection: PoolConnection,
  target: CopyStreamQuery,
  { where, values }: KeyRange,
  options: CopyOptions,
): Promise<void> {
  const { select, table, index, count, pace, signal, shadow } = options;
  const force = index === null || where === '' ? '' : ` FORCE INDEX (${quoteSource(index)})`;
  const sql = `SELECT ${select.list} FROM ${table}${force}${where === '' ? '' : ` WHERE ${where}`}`;
  const rows: Readable = connection.queryStream({ sql, rowsAsArray: true }, [...values]);
  let lines: string[] = [];
  let length = 0;
  let failure: unknown;
  const flush = async (): Promise<void> => {
    const block = Buffer.from(`${lines.join('\n')}\n`);
    const added = lines.length;
    lines = [];
    length = 0;
    if (!target.write(block)) await once(target, 'drain', { signal });
    count.rows += added;
    count.bytes += block.length;
    const pauseMs = pace(added);
    if (pauseMs >= shortestPauseMs) await sleep(pauseMs, undefined, { signal });
  };
  const reading = new Promise<void>((resolve, reject) => {
    const fail = (error: unknown): void => {
      failure ??= error;
      reject(failure as Error);
    };
    target.once('error', fail);
    rows.on('data', (row: unknown[]) => {
      try {
        const line = formatLine(select.pieces, row);
        lines.push(line);
        length += line.length;
      } catch {
        const name = `${shadow.stream.database}.${shadow.stream.table}`;
        return fail(rowTooLong(name, 'it gave no value'));
      }
      if (length < blockLength) return;
      rows.pause();
      flush().then(() => rows.resume(), fail);
    });
    rows.on('error', fail);
    rows.on('end', () => {
      target.off('error', fail);
      resolve();
    });
  });
  await reading.catch(async (error: unknown) => {
    await stopReading(rows, connection, options.source);
    throw error;
  });
  if (lines.length > 0) await flush();
}

const stopMs = 5_000;

/**
 * Ends a query in the middle: MariaDB is told, and what it has sent until then is read and dropped. The connector's
 * `destroy` does it, too, but leaves a rejection that nobody can take when the connection is gone already.
 */
async function stopReading(rows: Readable, connection: PoolConnection, source: SourcePool): Promise<void> {
  if (rows.readableEnded || rows.closed || connection.threadId === null) return;
  const ended = new Promise<void>((resolve) => {
    for (const event of ['end', 'error', 'close']) rows.once(event, () => resolve());
  });
  rows.removeAllListeners('data');
  rows.on('error', () => undefined);
  rows.resume();
  await source.query(`KILL CONNECTION ${connection.threadId}`).catch(() => undefined);
  await Promise.race([ended, sleep(stopMs, undefined, { ref: false })]);
}
