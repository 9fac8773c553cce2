import { chmod, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sleep } from '@afterimage/service';
import pg from 'pg';
import type { AppName } from '../child-programs.js';
import { formatSeconds } from '../output.js';
import type { Crew } from './processes.js';
import type { ProgressBoard } from './progress-board.js';

/** What has been started, to be closed in reverse order. */
export class Closers {
  readonly #closers: (() => Promise<unknown>)[] = [];
  readonly #signal: AbortSignal;

  constructor(signal: AbortSignal) {
    this.#signal = signal;
  }

  add(close: () => Promise<unknown>): void {
    this.#closers.push(close);
  }

  /** What has been started is closed later, and at once when the interruption came while it started. */
  async take<T>(started: Promise<T>, close: (started: T) => Promise<unknown>): Promise<T> {
    const result = await started;
    if (this.#signal.aborted) await close(result);
    this.#signal.throwIfAborted();
    this.add(() => close(result));
    return result;
  }

  async closeAll(): Promise<void> {
    for (const close of this.#closers.splice(0).reverse()) await close();
  }
}

/** Tells when a part of the preparation is done, and how long that took. */
export async function step<T>(text: string | ((result: T) => string), work: Promise<T>): Promise<T> {
  const startedAt = performance.now();
  const result = await work;
  const told = typeof text === 'string' ? text : text(result);
  console.log(` ✓ ${told.padEnd(62)} ${formatSeconds((performance.now() - startedAt) / 1000)}`);
  return result;
}

export interface DemoFolder {
  readonly folder: string;
  readonly logFolder: string;
}

/** A temporary folder with one for logs in it. */
export async function createFolder(closers: Closers): Promise<DemoFolder> {
  const folder = await mkdtemp(join(tmpdir(), 'afterimage-demo-'));
  closers.add(() => rm(folder, { recursive: true, force: true }));
  const logFolder = join(folder, 'logs');
  await mkdir(logFolder);
  await chmod(folder, 0o755);
  return { folder, logFolder };
}

export function createPool(url: string): pg.Pool {
  const options = '-c timezone=UTC -c datestyle=ISO -c extra_float_digits=1';
  const pool = new pg.Pool({ connectionString: url, max: 4, options, application_name: 'afterimage demo' });
  pool.on('error', () => undefined);
  return pool;
}

/** A reader, writers, and one each of `others`. */
export async function startCrew(crew: Crew, writers: number, others: readonly AppName[] = []): Promise<void> {
  const names = Array.from({ length: writers }, (_, index) => `writer-${index + 1}`);
  const single = (['reader', ...others] as const).map((app) => crew.start(app, app));
  const starting = [...single, ...names.map((name) => crew.start('writer', name))];
  const told = ['reader', ...others, `${writers} writers`].join(', ').replace(/, (?=[^,]*$)/, ' and ');
  await step(`${told}, each a process`, Promise.all(starting));
}

/** kill -9 of a writer after a third of the time and of the reader after two thirds; each is started again. */
export async function crashApps(
  crew: Crew,
  { seconds, board, signal }: { readonly seconds: number; readonly board: ProgressBoard; readonly signal: AbortSignal },
): Promise<void> {
  for (const [app, name] of [
    ['writer', 'writer-1'],
    ['reader', 'reader'],
  ] as const) {
    if (!(await sleep((seconds * 1000) / 3, signal))) return;
    await crew.crash(app, name);
    board.note(` ↯ kill -9 of ${name}, and a new one started`);
  }
}
