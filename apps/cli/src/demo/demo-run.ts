import { chmod, mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startPostgres } from '@afterimage/local-servers';
import { configuredSettings, migrate } from '@afterimage/replica';
import { loadConfig, sleep } from '@afterimage/service';
import pg from 'pg';
import { formatCount, formatSeconds } from '../output.js';
import { checkTable, type TableCheck } from './checker.js';
import { writeDemoConfig } from './demo-config.js';
import { printChecks, printClosing, printStory, printWhereToLook } from './demo-report.js';
import { createInterruption, type Interruption } from './interruption.js';
import { Crew, startSource } from './processes.js';
import { followWorkload, waitUntilApplied } from './progress.js';
import { createProgressBoard, type ProgressBoard } from './progress-board.js';
import { SourceLink } from './source-link.js';
import type { TableExpectation } from './source-model.js';

export interface DemoOptions {
  readonly seconds: number;
  /** Transactions per second at the source; each is some four events. */
  readonly rate: number;
  readonly writers: number;
  readonly keep: boolean;
  /** Kill a writer and the reader in the middle, and start them again. */
  readonly crash: boolean;
  readonly seed: number;
}

interface Stage {
  readonly folder: string;
  readonly configPath: string;
  readonly postgresUrl: string;
  readonly pool: pg.Pool;
  readonly source: SourceLink;
  readonly crew: Crew;
}

/**
 * The whole pipeline on this machine, with nothing but Node: starts everything, runs a workload, checks PostgreSQL
 * against the source's own model, and cleans up whatever happens. Resolves with whether all is equal.
 */
export async function runDemo(options: DemoOptions): Promise<boolean> {
  const closers: (() => Promise<unknown>)[] = [];
  const interruption = createInterruption();
  const startedAt = performance.now();
  try {
    const stage = await interruption.guard(setStage(options, closers, interruption));
    await interruption.guard(applyStock(stage, interruption));
    await runWorkload(stage, options, interruption);
    const checks = await interruption.guard(checkAll(stage));
    printChecks(checks);
    const equal = checks.every(({ problems }) => problems.length === 0);
    if (equal) await printStory(stage.pool);
    printWhereToLook({ ...stage, kept: options.keep });
    if (options.keep) {
      await interruption.arrived;
      console.log('\n stopping …');
    }
    const orderly = await stage.crew.stop();
    printClosing({ checks, equal, orderly, seconds: (performance.now() - startedAt) / 1000 });
    return equal && orderly;
  } catch (error) {
    if (interruption.signal.aborted) console.log(' stopping …');
    throw error;
  } finally {
    for (const close of closers.reverse()) await close();
    interruption.close();
  }
}

async function step<T>(text: string, work: Promise<T>): Promise<T> {
  const startedAt = performance.now();
  const result = await work;
  console.log(` ✓ ${text.padEnd(62)} ${formatSeconds((performance.now() - startedAt) / 1000)}`);
  return result;
}

async function setStage(
  options: DemoOptions,
  closers: (() => Promise<unknown>)[],
  { signal }: Interruption,
): Promise<Stage> {
  const folder = await mkdtemp(join(tmpdir(), 'afterimage-demo-'));
  closers.push(() => rm(folder, { recursive: true, force: true }));
  const logFolder = join(folder, 'logs');
  await mkdir(logFolder);
  await chmod(folder, 0o755);
  const ready = async <T>(started: Promise<T>, close: (started: T) => Promise<unknown>): Promise<T> => {
    const result = await started;
    closers.push(() => close(result));
    signal.throwIfAborted();
    return result;
  };
  const postgres = await step(
    'PostgreSQL 17 from npm, on a port of its own',
    ready(startPostgres({ database: 'afterimage' }), (each) => each.stop()),
  );
  await step('control tables migrated', migrate(postgres.url));
  const pool = await ready(Promise.resolve(createPool(postgres.url)), (each) => each.end());
  const expectationsFile = join(folder, 'expectations.jsonl');
  const sourceProcess = await ready(
    startSource({ expectationsFile, seed: options.seed, logFolder, temporaryDirectory: folder }),
    (each) => each.stop(),
  );
  const source = await step(
    'MaxScale stand-in: recorded tables replayed, a shop with stock',
    SourceLink.open(sourceProcess, expectationsFile),
  );
  const configPath = join(folder, 'afterimage.yaml');
  await writeDemoConfig(configPath, { postgresUrl: postgres.url, port: source.port });
  const crew = new Crew({ configPath, logFolder });
  closers.push(() => crew.stop());
  const writers = Array.from({ length: options.writers }, (_, index) => `writer-${index + 1}`);
  const starting = [crew.start('reader', 'reader'), ...writers.map((name) => crew.start('writer', name))];
  await step(`reader and ${options.writers} writers, each a process`, Promise.all(starting));
  crew.watch(sourceProcess);
  return { folder, configPath, postgresUrl: postgres.url, pool, source, crew };
}

function createPool(url: string): pg.Pool {
  const options = '-c timezone=UTC -c datestyle=ISO -c extra_float_digits=1';
  const pool = new pg.Pool({ connectionString: url, max: 4, options, application_name: 'afterimage demo' });
  pool.on('error', () => undefined);
  return pool;
}

async function applyStock(stage: Stage, { signal }: Interruption): Promise<void> {
  const count = Object.values(stage.source.sent).reduce((sum, sent) => sum + sent, 0);
  await step(
    `${formatCount(count)} events of stock applied`,
    stage.crew.whileRunning(waitUntilApplied({ ...stage, signal })),
  );
}

async function runWorkload(stage: Stage, options: DemoOptions, { signal }: Interruption): Promise<void> {
  console.log(`\n ${formatCount(options.rate)} transactions per second for ${formatSeconds(options.seconds)}:\n`);
  const board = createProgressBoard(process.stdout.isTTY);
  try {
    stage.source.start(options, (statement) => board.note(` ↳ ${statement}`));
    const crashing = options.crash ? crashApps(stage, options, { board, signal }) : Promise.resolve();
    const following = followWorkload({ ...stage, signal }, board, options.seconds);
    await stage.crew.whileRunning(Promise.all([following, crashing]));
  } finally {
    board.close();
  }
  signal.throwIfAborted();
}

/** kill -9 of a writer after a third of the time and of the reader after two thirds; each is started again. */
async function crashApps(
  { crew }: Stage,
  { seconds }: DemoOptions,
  { board, signal }: { board: ProgressBoard; signal: AbortSignal },
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

async function checkAll({ pool, configPath, source }: Stage): Promise<TableCheck[]> {
  const settingsOf = configuredSettings(loadConfig(configPath, {}));
  const lines = (await readFile(source.expectationsFile, 'utf8')).split('\n');
  const checks: TableCheck[] = [];
  for (const line of lines) checks.push(await checkTable(pool, JSON.parse(line) as TableExpectation, settingsOf));
  return checks;
}
