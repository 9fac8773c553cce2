import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Shadow, tablesToFill } from '@afterimage/replica';
import { quoteSource } from '@afterimage/mariadb';
import type { Pool as SourcePool, PoolConnection } from 'mariadb';
import type { Pool } from 'pg';
import { type CopySelect, formatLine } from './copy-select.js';
import { type CopyTarget, fillTables } from './copy-target.js';
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

/** Copies ranges that one connection reads until there are no more. Memory: one block and what sockets hold. */
export async function copyRanges(connection: PoolConnection, options: CopyOptions): Promise<void> {
  const { pool, shadow, signal, ranges } = options;
  await fillTables({ pool, tables: tablesToFill(shadow), signal }, async (target) => {
    for (let range = await ranges(); range !== null; range = await ranges()) {
      await copyRange(connection, target, range, options);
    }
  });
}

async function copyRange(
  connection: PoolConnection,
  target: CopyTarget,
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
    await target.write(block);
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
    const giveUp = (): void => fail(target.failed.reason);
    target.failed.addEventListener('abort', giveUp, { once: true });
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
      target.failed.removeEventListener('abort', giveUp);
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
