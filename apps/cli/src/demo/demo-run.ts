import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { startPostgres } from '@afterimage/local-servers';
import { configuredSettings, migrate } from '@afterimage/replica';
import { loadConfig } from '@afterimage/service';
import type pg from 'pg';
import { formatCount, formatSeconds } from '../output.js';
import { checkTable, type TableCheck } from './checker.js';
import { writeDemoConfig } from './demo-config.js';
import { printChecks, printClosing, printStory, printWhereToLook } from './demo-report.js';
import { createInterruption, type Interruption } from './interruption.js';
import { Crew, startSource } from './processes.js';
import { followWorkload, waitUntilApplied } from './progress.js';
import { createProgressBoard } from './progress-board.js';
import { SourceLink } from './source-link.js';
import type { TableExpectation } from './source-model.js';
import { Closers, crashApps, createFolder, createPool, startCrew, step } from './stage.js';

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
  const interruption = createInterruption();
  const closers = new Closers(interruption.signal);
  const startedAt = performance.now();
  try {
    const stage = await interruption.guard(setStage(options, closers));
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
    await closers.closeAll();
    interruption.close();
  }
}

async function setStage(options: DemoOptions, closers: Closers): Promise<Stage> {
  const { folder, logFolder } = await createFolder(closers);
  const postgres = await step(
    'PostgreSQL 17 from npm, on a port of its own',
    closers.take(startPostgres({ database: 'afterimage' }), (each) => each.stop()),
  );
  await step('control tables migrated', migrate(postgres.url));
  const pool = await closers.take(Promise.resolve(createPool(postgres.url)), (each) => each.end());
  const expectationsFile = join(folder, 'expectations.jsonl');
  const sourceProcess = await closers.take(
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
  closers.add(() => crew.stop());
  await startCrew(crew, options.writers);
  crew.watch(sourceProcess);
  return { folder, configPath, postgresUrl: postgres.url, pool, source, crew };
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
    const crashing = options.crash ? crashApps(stage.crew, { ...options, board, signal }) : Promise.resolve();
    const following = followWorkload({ ...stage, signal }, board, options.seconds);
    await stage.crew.whileRunning(Promise.all([following, crashing]));
  } finally {
    board.close();
  }
  signal.throwIfAborted();
}

async function checkAll({ pool, configPath, source }: Stage): Promise<TableCheck[]> {
  const settingsOf = configuredSettings(loadConfig(configPath, {}));
  const lines = (await readFile(source.expectationsFile, 'utf8')).split('\n');
  const checks: TableCheck[] = [];
  for (const line of lines) checks.push(await checkTable(pool, JSON.parse(line) as TableExpectation, settingsOf));
  return checks;
}
