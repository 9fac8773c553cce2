import { setTimeout as delay } from 'node:timers/promises';
import { describeError, type StreamRecord } from '@afterimage/replica';
import { divideTable, type Chunk } from './chunks.js';
import { type ComparedTable, loadComparedTable, type Sides } from './compared-table.js';
import { findDifferingBuckets, inBuckets, mostBuckets, readDigests } from './digests.js';
import {
  findCandidates,
  isEqualLook,
  isSameLook,
  lookAtRows,
  lookSize,
  type RowKey,
  type RowLook,
} from './keyed-rows.js';
import type { TableVerification } from './result.js';
import { nameErrors } from './source-errors.js';
import { settle, settleDefaults, type SettleOptions, type Subject } from './settle.js';
import { isStreamRunning } from './stream-progress.js';
import { Tally } from './tally.js';
import { type CopiesLook, countCopies, isSameCount } from './whole-rows.js';

export interface VerifyOptions {
  readonly sides: Sides;
  readonly stream: StreamRecord;
  /** Rows of MariaDB that are read at a time. Default 50,000. */
  readonly chunkRows?: number;
  /** Per cent of the time that the servers may be kept busy; the rest is slept after each part. Default 100. */
  readonly load?: number;
  readonly settle?: Partial<Pick<SettleOptions, 'quietMs' | 'timeoutMs' | 'pollMs'>>;
  /** Differences after which the comparison ends. Default 10,000. */
  readonly mostDifferences?: number;
  /** Default: whether PostgreSQL sees a reader and a writer, and the stream is not halted. */
  readonly isRunning?: () => Promise<boolean>;
  readonly signal?: AbortSignal;
  /** Called after each part with the rows compared so far. */
  readonly onProgress?: (rows: number) => void;
  /** Called with differences that are sure, as they are found; the comparison waits for it. */
  readonly onDifferent?: (found: Differences) => Promise<void>;
}

/** Sure differences: rows by key, or copies of rows of a table without one. */
export type Differences =
  | { readonly kind: 'rows'; readonly table: ComparedTable; readonly looks: readonly RowLook[] }
  | { readonly kind: 'copies'; readonly table: ComparedTable; readonly looks: readonly CopiesLook[] };

/**
 * Compares a table of MariaDB with its mirror while both change. Each server counts and sums up the hashes of the rows of a
 * part; where these differ, those of smaller parts, then rows are compared; and a row that differs is looked at again
 * until it is equal, or the changes that were on their way are past.
 *
 * What goes wrong is in the result (`failed`); an abort rejects. Nothing is written.
 */
export async function verifyTable(options: VerifyOptions): Promise<TableVerification> {
  const { stream, signal } = options;
  const sides = { ...options.sides, source: nameErrors(options.sides.source) };
  const startedAt = new Date();
  const about = {
    source: stream.source,
    database: stream.database,
    table: stream.table,
    streamId: stream.id,
    startedAt,
  };
  try {
    const table = await loadComparedTable(sides, stream);
    const run = new Comparison({ ...options, sides }, table);
    await run.compare();
    return { ...about, ...run.result(), finishedAt: new Date() };
  } catch (error) {
    signal?.throwIfAborted();
    return { ...about, ...failed(describeError(error)), finishedAt: new Date() };
  }
}

function failed(
  message: string,
): Omit<TableVerification, 'source' | 'database' | 'table' | 'streamId' | 'startedAt' | 'finishedAt'> {
  const nothing = { rows: 0, missing: 0, extra: 0, different: 0, unsettled: 0, truncated: false };
  return { outcome: 'failed', message, ...nothing, columns: {}, findings: [], samples: [] };
}

const rowsPerBucket = 16;
/** Rows of differing buckets that are read at a time, and candidates that are kept before they are looked at again. */
const mostRowsRead = 50_000;
const mostCandidates = 5000;

const notRunning =
  'the stream does not run, so what differs may be on its way: start reader and writers (see afterimage status), then compare again';

class Comparison {
  readonly #options: VerifyOptions;
  readonly #table: ComparedTable;
  readonly #tally: Tally;
  readonly #settle: SettleOptions;
  #rows = 0;
  #message: string | null = null;
  #truncated = false;
  #candidates: RowKey[] = [];

  constructor(options: VerifyOptions, table: ComparedTable) {
    this.#options = options;
    this.#table = table;
    this.#tally = new Tally(table);
    const { sides, stream, settle: given, signal = new AbortController().signal } = options;
    const { isRunning = () => isStreamRunning(sides.postgres, stream) } = options;
    this.#settle = { ...settleDefaults, ...given, isRunning, signal };
  }

  async compare(): Promise<void> {
    const { sides, chunkRows = mostRowsRead, load = 100 } = this.#options;
    for await (const chunk of divideTable(sides.source, this.#table, chunkRows)) {
      this.#settle.signal.throwIfAborted();
      const started = Date.now();
      await this.#compareChunk(chunk, chunkRows);
      this.#options.onProgress?.(this.#rows);
      if (this.#isFull()) break;
      const pause = (Date.now() - started) * (100 / load - 1);
      if (pause > 0) await delay(pause, undefined, { signal: this.#settle.signal });
    }
    await this.#settleCandidates();
    if (this.#tally.unsettled > 0 && !(await this.#settle.isRunning())) this.#message = notRunning;
  }

  result(): Omit<TableVerification, 'source' | 'database' | 'table' | 'streamId' | 'startedAt' | 'finishedAt'> {
    const { missing, extra, different, unsettled, differences, columns, samples } = this.#tally;
    const { findings } = this.#table;
    const isDifferent = differences > 0 || findings.length > 0;
    return {
      outcome: isDifferent ? 'different' : unsettled > 0 ? 'unsettled' : 'equal',
      message: this.#message,
      rows: this.#rows,
      missing,
      extra,
      different,
      unsettled,
      truncated: this.#truncated,
      columns,
      findings,
      samples,
    };
  }

  /** A part with an order is looked at as one first; one without needs a look at all its rows each time. */
  async #compareChunk(chunk: Chunk, chunkRows: number): Promise<void> {
    const { sides } = this.#options;
    const divided = chunk.isWhole ? mostBuckets : 1;
    const first = await readDigests(sides, this.#table, chunk, divided);
    for (const { rows } of first.source.values()) this.#rows += rows;
    const differing = findDifferingBuckets(first);
    if (differing.length === 0) return;
    if (divided > 1) return this.#compareBuckets(chunk, divided, differing);
    const buckets = Math.min(mostBuckets, 2 ** Math.ceil(Math.log2(Math.max(2, chunkRows / rowsPerBucket))));
    const second = await readDigests(sides, this.#table, chunk, buckets);
    return this.#compareBuckets(chunk, buckets, findDifferingBuckets(second));
  }

  async #compareBuckets(
    chunk: Chunk,
    buckets: number,
    differing: readonly { bucket: number; rows: number }[],
  ): Promise<void> {
    for (const group of groupBuckets(differing)) {
      if (this.#isFull()) return;
      const part = inBuckets(this.#table, chunk, buckets, group);
      if (this.#table.key === null) await this.#settleCopies(part);
      else {
        this.#candidates.push(...(await findCandidates(this.#options.sides, this.#table, part)));
        if (this.#candidates.length >= mostCandidates) await this.#settleCandidates();
      }
    }
  }

  async #settleCandidates(): Promise<void> {
    const candidates = new Map(this.#candidates.splice(0).map((row) => [row.id, row]));
    const { sides } = this.#options;
    const size = lookSize(this.#table);
    const subject: Subject<RowLook> = {
      isEqual: isEqualLook,
      isSame: isSameLook,
      look: async (ids) => {
        const looks = new Map<string, RowLook>();
        const keys = ids.flatMap((id) => candidates.get(id) ?? []);
        for (let i = 0; i < keys.length; i += size) {
          for (const look of await lookAtRows(sides, this.#table, keys.slice(i, i + size)))
            looks.set(look.key.id, look);
        }
        return looks;
      },
    };
    // Few at a time where rows are long: what is watched is kept.
    const ids = [...candidates.keys()];
    const step = size === 500 ? ids.length : size * 8;
    for (let i = 0; i < ids.length && !this.#isFull(); i += step) {
      const settled = await settle({ sides, table: this.#table }, ids.slice(i, i + step), subject, this.#settle);
      this.#tally.unsettled += settled.unsettled.size;
      const looks = [...settled.different.values()];
      for (const look of looks) this.#tally.addRow(look);
      if (looks.length > 0) await this.#options.onDifferent?.({ kind: 'rows', table: this.#table, looks });
    }
  }

  async #settleCopies(part: Chunk): Promise<void> {
    const { sides } = this.#options;
    const count = (): Promise<ReadonlyMap<string, CopiesLook>> => countCopies(sides, this.#table, part);
    const first = await count();
    if (first.size === 0) return;
    const subject: Subject<CopiesLook> = {
      isEqual: (look) => look.inSource === look.inMirror,
      isSame: isSameCount,
      look: count,
    };
    const settled = await settle({ sides, table: this.#table }, [...first.keys()], subject, this.#settle);
    this.#tally.unsettled += settled.unsettled.size;
    const looks = [...settled.different.values()];
    for (const look of looks) this.#tally.addCopies(look);
    if (looks.length > 0) await this.#options.onDifferent?.({ kind: 'copies', table: this.#table, looks });
  }

  #isFull(): boolean {
    const { mostDifferences = 10_000 } = this.#options;
    this.#truncated ||= this.#tally.differences >= mostDifferences;
    return this.#truncated;
  }
}

/** Buckets in groups of some rows in all. */
function groupBuckets(buckets: readonly { bucket: number; rows: number }[]): number[][] {
  const groups: number[][] = [];
  let room = 0;
  for (const { bucket, rows } of buckets) {
    const group = groups.at(-1);
    if (group === undefined || room < rows) {
      groups.push([bucket]);
      room = mostRowsRead - rows;
    } else {
      group.push(bucket);
      room -= rows;
    }
  }
  return groups;
}
