import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Pool, escapeIdentifier } from 'pg';
import { type FakeMaxScale, startFakeMaxScale } from '@afterimage/cdc-protocol/testing';
import { listStreamRecords, migrate } from '@afterimage/replica';
import { databaseUrl, runAdmin } from './databases.js';
import { Dice } from './dice.js';
import { type Victims, chooseFault } from './faults.js';
import { Network } from './network.js';
import { Pipeline } from './pipeline.js';
import { type RunConfig, portOf, throughNetwork } from './run-config.js';
import type { Point } from './points.js';
import { QueueStore } from './queue-store.js';
import type { RestartablePostgres } from './restartable-postgres.js';
import type { RestartableRedis } from './restartable-redis.js';
import { SourceModel, tableSettings } from './source-model.js';
import { visitPoints } from './visits.js';
import { findDifferences, findTroubledStreams } from './verification.js';

/** How long the pipeline may take to catch up when all faults are over; a failure waits this long, nothing else does. */
const convergenceMs = 150_000;
const lookMs = 50;
/** Longer than any fault: what is not over then never will be, and must not hold up the run. */
const longestFaultMs = 90_000;

export interface SeedOptions {
  readonly seed: number;
  readonly postgres: RestartablePostgres;
  /** Null: the queue is in PostgreSQL. */
  readonly redis: RestartableRedis | null;
  /** A kill at each of these points, instead of several faults at random. */
  readonly points?: readonly Point[];
}

/** What became of a seed: an empty list of differences when all is well. */
export interface SeedReport {
  readonly differences: readonly string[];
  readonly faults: readonly string[];
  /** Names of the faults. */
  readonly kinds: readonly string[];
  readonly events: number;
  /** What took how long: phase and seconds since the start. */
  readonly phases: readonly string[];
}

/** One run: a source of its own under load, several faults, then everything compared with the model. */
export async function runSeed(options: SeedOptions): Promise<SeedReport> {
  const run = new SeedRun(options);
  try {
    await run.prepare();
    return await run.run();
  } finally {
    await run.close();
  }
}

class SeedRun {
  readonly #options: SeedOptions;
  readonly #dice: Dice;
  readonly #name: string;
  readonly #startedAt = Date.now();
  readonly #phases: string[] = [];
  readonly #faults: string[] = [];
  readonly #kinds: string[] = [];
  #closing: (() => Promise<unknown>)[] = [];
  #config: unknown;
  #victims: Victims | undefined;

  constructor(options: SeedOptions) {
    this.#options = options;
    this.#dice = new Dice(options.seed);
    this.#name = `fault_${options.seed}_${randomBytes(4).toString('hex')}`;
  }

  async prepare(): Promise<void> {
    const { postgres, redis } = this.#options;
    const pool = await this.#createDatabase(postgres);
    const chunking = this.#dice.pick(['recorded', 'recorded', { seed: this.#options.seed, maxBytes: 20_000 }] as const);
    const server = await startFakeMaxScale({ chunking });
    this.#closing.push(() => server.close());
    const model = new SourceModel(server, this.#dice.fork());
    const postgresUrl = databaseUrl(postgres.adminUrl, this.#name);
    const network = await Network.start({
      postgres: portOf(postgresUrl),
      redis: redis === null ? null : portOf(redis.url),
      maxscale: server.port,
    });
    this.#closing.push(async () => network.close());
    const config = this.#configure(server, postgresUrl);
    this.#config = config;
    for (let i = 0; i < 15; i += 1) model.commit();
    const pipeline = await Pipeline.start((role) => throughNetwork(config, network, role));
    this.#closing.push(() => pipeline.close());
    const store = new QueueStore({ pool, postgresUrl, redisUrl: redis?.url ?? null, prefix: this.#name });
    const dice = this.#dice.fork();
    this.#victims = {
      model,
      server,
      pipeline,
      network,
      store,
      pool,
      postgres,
      redis,
      dice,
      config,
      database: this.#name,
      remembered: [],
    };
  }

  async #createDatabase(postgres: RestartablePostgres): Promise<Pool> {
    const { adminUrl } = postgres;
    await runAdmin(
      adminUrl,
      `CREATE DATABASE ${escapeIdentifier(this.#name)}${postgres.hasOwnDisk ? ' TABLESPACE small' : ''}`,
    );
    const connectionString = databaseUrl(adminUrl, this.#name);
    await migrate(connectionString);
    const pool = new Pool({ connectionString, max: 3, options: '-c datestyle=ISO -c timezone=UTC' });
    // Faults end idle connections too.
    pool.on('error', () => undefined);
    this.#closing.push(async () => {
      await pool.end();
      await runAdmin(postgres.adminUrl, `DROP DATABASE ${escapeIdentifier(this.#name)} WITH (FORCE)`);
    });
    return pool;
  }

  #configure(server: FakeMaxScale, url: string): RunConfig {
    const { redis } = this.#options;
    return {
      postgres: { url },
      queue: {
        backend: redis === null ? 'postgres' : 'redis',
        prefix: this.#name,
        ...(redis === null ? {} : { url: redis.url }),
      },
      sources: {
        main: {
          ...server.address,
          tables: tableSettings(this.#dice.fork()),
          // Short, so that what is not answered is soon tried another way.
          timeouts: { dialMs: 2_000, handshakeMs: 1_500, writeMs: 2_000, resumeMs: 700, idleCheckMs: 2_500 },
        },
      },
      reader: {
        maxBatchEvents: this.#dice.pick([5, 20, 100, 500]),
        maxBatchBytes: 65_536,
        lingerMs: 1,
        maxQueuedBatches: 6,
      },
    };
  }

  async run(): Promise<SeedReport> {
    if (!(await this.#waitFor(async () => (await this.#applied()) > 0))) return this.#report(['nothing was applied']);
    this.#endPhase('running');
    const { points } = this.#options;
    const missed = points !== undefined ? await this.#visitPoints(points) : await this.#strikeAtRandom();
    this.#endPhase('healed');
    return this.#report([...missed, ...(await this.#compare())]);
  }

  async #strikeAtRandom(): Promise<string[]> {
    const { dice } = this.#running;
    const healing: Promise<void>[] = [];
    for (let round = dice.between(3, 7); round > 0; round -= 1) {
      await this.#work();
      const fault = this.#strike();
      healing.push(fault);
      // Half of the faults overlap with the next.
      if (dice.chance(0.5)) await fault;
    }
    await this.#work();
    await Promise.all(healing);
    return [];
  }

  /** Returns the points that no process came to. */
  async #visitPoints(points: readonly Point[]): Promise<string[]> {
    const { model, dice } = this.#running;
    const visits = await visitPoints(this.#running, points, async () => {
      model.commit();
      if (dice.chance(0.25)) model.alter();
      await sleep(150);
    });
    this.#faults.push(...visits.map(({ point, role, afterMs }) => `${role} at "${point}" after ${String(afterMs)} ms`));
    return visits.filter(({ afterMs }) => afterMs === null).map(({ point }) => `never reached: ${point}`);
  }

  /** Waits until all is applied and at rest; returns what differs then. */
  async #compare(): Promise<string[]> {
    const { model, dice, pool } = this.#running;
    const differences: string[] = [];
    if (!(await this.#waitFor(async () => (await this.#applied()) >= model.events))) {
      differences.push(`${await this.#applied().catch(String)} of ${model.events} events applied`);
    } else {
      this.#endPhase('applied');
      differences.push(...(await this.#waitForRest()));
      this.#endPhase('at rest');
    }
    // After a failure to catch up even this may fail; what came before is the cause then.
    const compared = findDifferences({ pool, model, config: this.#config, dice });
    differences.push(...(await compared.catch((error: unknown) => [`cannot compare: ${String(error)}`])));
    this.#endPhase('compared');
    return differences;
  }

  /** Seconds. */
  get #elapsed(): string {
    return ((Date.now() - this.#startedAt) / 1000).toFixed(1);
  }

  #endPhase(name: string): void {
    this.#phases.push(`${name} ${this.#elapsed}`);
  }

  get #running(): Victims {
    if (this.#victims === undefined) throw new Error('prepare the run first');
    return this.#victims;
  }

  /** Some transactions, in slices, so that faults strike while work is on its way. */
  async #work(): Promise<void> {
    const { model } = this.#running;
    const dice = this.#dice;
    for (let slice = dice.between(2, 6); slice > 0; slice -= 1) {
      for (let i = dice.between(1, 8); i > 0; i -= 1) model.commit();
      if (dice.chance(0.3)) model.alter();
      // The moment of a fault, not a wait for anything.
      await sleep(dice.below(80));
    }
  }

  async #strike(): Promise<void> {
    const at = this.#elapsed;
    const place = this.#faults.push(`${at} s: …`) - 1;
    // Faults overlap: dice of its own for each keep what one throws from the others.
    const victims = { ...this.#running, dice: this.#running.dice.fork() };
    const fault = chooseFault(victims);
    this.#kinds.push(fault.name);
    const struck = fault(victims).catch((error: unknown) => `could not strike: ${String(error)}`);
    const late = sleep(longestFaultMs, 'a fault that does not end', { ref: false });
    this.#faults[place] = `${at} s: ${await Promise.race([struck, late])}`;
  }

  async #applied(): Promise<number> {
    const { rows } = await this.#running.pool.query<{ n: number }>(
      'SELECT coalesce(sum(n), 0)::int AS n FROM (SELECT min(ordinal) AS n FROM afterimage.offsets GROUP BY stream_id) AS o',
    );
    return rows[0]?.n ?? 0;
  }

  /** False at the deadline, or when a process ended by itself. */
  async #waitFor(condition: () => Promise<boolean>): Promise<boolean> {
    const deadline = Date.now() + convergenceMs;
    while (Date.now() < deadline && this.#running.pipeline.ended.length === 0) {
      if (await condition().catch(() => false)) return true;
      await sleep(lookMs);
    }
    return false;
  }

  /** Everything is applied: now the queue must run empty and all streams be well. */
  async #waitForRest(): Promise<string[]> {
    const { pool, store } = this.#running;
    const streams = (await listStreamRecords(pool)).map(({ id }) => id);
    const isWell = async () => (await findTroubledStreams(pool)).length === 0;
    const found: string[] = [];
    if (!(await this.#waitFor(isWell))) found.push(...(await findTroubledStreams(pool)));
    const isEmpty = async () => (await store.depth(streams)) === 0;
    if (!(await this.#waitFor(isEmpty))) found.push(`${await store.depth(streams)} jobs stay in the queue`);
    return found;
  }

  #report(differences: readonly string[]): SeedReport {
    const { model, pipeline } = this.#running;
    const all = [...pipeline.ended, ...differences];
    return {
      differences: all.length === 0 ? [] : [...all, pipeline.output],
      faults: this.#faults,
      kinds: this.#kinds,
      events: model.events,
      phases: this.#phases,
    };
  }

  async close(): Promise<void> {
    for (const close of this.#closing.toReversed()) await close();
    this.#closing = [];
  }
}
