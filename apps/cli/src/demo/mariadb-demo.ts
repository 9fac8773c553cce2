import { exitCodes } from '@afterimage/service';
import { runCommand } from './command-runs.js';
import type { DemoOptions } from './demo-run.js';
import { createInterruption, type Interruption } from './interruption.js';
import { showChanges } from './live-changes.js';
import { printHeading, printHowToStay, printSqlClosing, printWhereToType } from './mariadb-report.js';
import { type MariadbStage, setMariadbStage } from './mariadb-stage.js';
import { followWorkload, readApplied } from './progress.js';
import { createProgressBoard } from './progress-board.js';
import { SqlWorkload } from './sql-workload.js';
import { Closers, crashApps } from './stage.js';

/** Here no change is on its way for longer, so a difference that stands so long is one. */
const quiet = ['--quiet', '2'];

/**
 * The whole chain with a real MariaDB: rows that were there are copied, real SQL changes them, and both sides are compared
 * and repaired with the commands that a user has. Cleans up whatever happens. Resolves with whether all was as it must be.
 */
export async function runMariadbDemo(options: DemoOptions): Promise<boolean> {
  const interruption = createInterruption();
  const closers = new Closers(interruption.signal);
  const startedAt = performance.now();
  try {
    const stage = await interruption.guard(setMariadbStage(options.writers, closers));
    const during = <T>(work: Promise<T>): Promise<T> => stage.crew.whileRunning(interruption.guard(work));
    const copied = await during(copyStock(stage, interruption));
    await runSql(stage, options, interruption);
    const equal = await during(compare(stage, interruption));
    const mended = await during(plantAndRepair(stage, interruption));
    const stillEqual = !options.keep || (await stayUp(stage, interruption));
    if (!options.keep) printHowToStay();
    const asItMust = copied && equal && mended && stillEqual;
    const orderly = await stage.crew.stop();
    const seconds = (performance.now() - startedAt) / 1000;
    await printSqlClosing(stage.pool, { asItMust, orderly, seconds });
    return asItMust && orderly;
  } catch (error) {
    if (interruption.signal.aborted) console.log(' stopping …');
    throw error;
  } finally {
    await closers.closeAll();
    interruption.close();
  }
}

async function copyStock({ configPath }: MariadbStage, { signal }: Interruption): Promise<boolean> {
  printHeading('The rows that were there before the stream are copied:');
  return (await runCommand({ configPath, signal }, ['snapshot'])) === exitCodes.ok;
}

async function runSql(stage: MariadbStage, options: DemoOptions, interruption: Interruption): Promise<void> {
  const { pool, crew, connection } = stage;
  const { seconds, rate } = options;
  const { signal } = interruption;
  printHeading(`SQL changes them, ${rate} transactions per second for ${seconds} s:`);
  const source = new SqlWorkload(connection, options.seed, Object.fromEntries(await readApplied(pool)));
  const board = createProgressBoard(process.stdout.isTTY);
  try {
    const onAltered = (statement: string): void => board.note(` ↳ ${statement}`);
    const working = source.run({ seconds, rate, signal, onAltered });
    const crashing = options.crash ? crashApps(crew, { seconds, board, signal }) : Promise.resolve();
    const following = followWorkload({ pool, source, signal }, board, seconds);
    await crew.whileRunning(Promise.all([following, working, crashing]));
  } finally {
    board.close();
  }
  signal.throwIfAborted();
}

async function compare({ configPath }: MariadbStage, { signal }: Partial<Interruption>): Promise<boolean> {
  printHeading('PostgreSQL against MariaDB, every row and column:');
  const runs = signal === undefined ? { configPath } : { configPath, signal };
  return (await runCommand(runs, ['verify', ...quiet])) === exitCodes.ok;
}

/** Resolves with whether `verify` found what was changed by hand, and `repair` put it right. */
async function plantAndRepair({ configPath, pool }: MariadbStage, { signal }: Interruption): Promise<boolean> {
  printHeading('One row of the mirror is spoilt by hand, found, and mended:');
  const { rows } = await pool.query<{ sku: string }>('SELECT min(sku) AS sku FROM shop.products');
  const statement = `UPDATE shop.products SET price = price + 0.01 WHERE sku = '${rows[0]?.sku ?? ''}'`;
  console.log(` afterimage=# ${statement};\n`);
  await pool.query(statement);
  const found = await runCommand({ configPath, signal }, ['verify', 'shop.products', ...quiet]);
  console.log('');
  const mended = await runCommand({ configPath, signal }, ['repair', 'shop.products', ...quiet]);
  return found === exitCodes.difference && mended === exitCodes.ok;
}

/** Until Ctrl-C; resolves with whether both sides are equal then. */
async function stayUp(stage: MariadbStage, { arrived, signal }: Interruption): Promise<boolean> {
  await printWhereToType(stage);
  await stage.crew.whileRunning(Promise.race([arrived, showChanges(stage.pool, signal)]));
  console.log('\n stopping …');
  return stage.crew.whileRunning(compare(stage, {}));
}
