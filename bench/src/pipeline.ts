import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Pool } from 'pg';
import { migrate } from '@afterimage/replica';
import { startDelayed } from './delay.js';
import { type App, type Source, hasEnded, startApp, startSource, stopProcess } from './processes.js';
import { type SourcePlan, database } from './source-messages.js';
import { type Servers, openPool } from './servers.js';
import {
  type Parts,
  type PerPart,
  cpuOf,
  mapParts,
  peaksOf,
  postgresCpu,
  postgresCpuByRole,
  round,
  watchOthers,
} from './usage.js';

export type Backend = 'redis' | 'postgres';

export interface PipelineOptions {
  readonly servers: Servers;
  readonly backend: Backend;
  readonly writers: number;
  readonly plan: SourcePlan;
  /** Of each table; 1 when absent. */
  readonly partitions?: number;
  /** How much longer than it takes anyway each round trip between writers and PostgreSQL is to take. */
  readonly writerDelayMs?: number;
  /** Settings of the configuration's section `reader`. */
  readonly reader?: Readonly<Record<string, number>>;
  /** Folder for a CPU profile of reader and writers each. */
  readonly profileDir?: string;
}

/** Source, reader and writers as processes, connected and idle; the source sends nothing before `go`. */
export interface Pipeline {
  readonly source: Source;
  readonly pool: Pool;
  /** Starts one more writer and waits until it consumes every table. */
  addWriter(): Promise<void>;
  stopWriters(): Promise<void>;
  /** Throws when a process has ended by itself. */
  checkAlive(): void;
  /** Begins to count CPU time. */
  startMeter(): () => Promise<Usage>;
  stop(): Promise<void>;
}

export interface Usage {
  readonly cpuSeconds: PerPart;
  readonly postgresCpuSeconds: PerPart;
  readonly peakMegabytes: PerPart;
  /** Cores that were busy with something else meanwhile. */
  readonly otherCores: number;
}

export async function startPipeline(options: PipelineOptions): Promise<Pipeline> {
  const { servers, plan, profileDir } = options;
  const url = await servers.fresh();
  await migrate(url);
  const folder = await mkdtemp(join(tmpdir(), 'afterimage-bench-'));
  const configPath = join(folder, 'afterimage.yaml');
  const pool = openPool(url, 2);
  const source = startSource(plan);
  let reader: App | undefined;
  let writers: App[] = [];
  const delayed = await startDelayed(url, options.writerDelayMs ?? 0);
  const queuePrefix = `bench_${process.pid}_${Date.now()}`;
  const writerConfigPath = join(folder, 'writer.yaml');
  const addWriter = async () => {
    const writer = startApp('writer', writerConfigPath, profileDir);
    writers.push(writer);
    await writer.logged('consuming', plan.tables.length * (options.partitions ?? 1));
  };
  const stopWriters = async () => {
    const stopping = writers;
    writers = [];
    await Promise.all(stopping.map(({ child }) => stopProcess(child)));
  };
  const stop = async () => {
    await pool.end();
    if (reader !== undefined) await stopProcess(reader.child);
    await stopWriters();
    await stopProcess(source.child);
    await delayed.close();
    await rm(folder, { recursive: true, force: true });
  };
  try {
    const { address } = await source.hear('listening');
    await writeFile(configPath, JSON.stringify(makeConfig(options, { url, queuePrefix }, address)));
    const writerUrl = options.writerDelayMs === undefined ? url : delayed.url;
    await writeFile(writerConfigPath, JSON.stringify(makeConfig(options, { url: writerUrl, queuePrefix }, address)));
    reader = startApp('reader', configPath, profileDir);
    await source.hear('connected');
    await Promise.all(Array.from({ length: options.writers }, () => addWriter()));
  } catch (error) {
    await stop();
    throw error;
  }
  const partsOf = (): Parts => ({
    source: [source.child.pid],
    reader: [reader?.child.pid],
    writers: writers.map(({ child }) => child.pid),
    ...(options.backend === 'redis' ? { redis: [servers.pids.redis] } : {}),
  });
  return {
    source,
    pool,
    addWriter,
    stopWriters,
    checkAlive: () => checkAlive([source, ...(reader === undefined ? [] : [reader]), ...writers]),
    startMeter: () => startMeter(pool, servers.pids.postgres, partsOf()),
    stop,
  };
}

function checkAlive(processes: readonly (Source | App)[]): void {
  for (const { exitCode, signalCode, spawnargs } of processes.map(({ child }) => child).filter(hasEnded)) {
    throw new Error(`${spawnargs.join(' ').slice(0, 200)} ended by itself: ${exitCode ?? signalCode}`);
  }
}

function makeConfig(
  { servers, backend, plan, reader, partitions = 1 }: PipelineOptions,
  { url, queuePrefix }: { url: string; queuePrefix: string },
  address: object,
): object {
  if (backend === 'redis' && servers.redisUrl === null) throw new Error('no redis-server on the PATH');
  return {
    postgres: { url },
    queue: {
      backend,
      ...(backend === 'redis' ? { url: servers.redisUrl } : {}),
      prefix: queuePrefix,
    },
    sources: {
      bench: {
        ...address,
        tables: Object.fromEntries(plan.tables.map((table) => [`${database}.${table}`, { key: ['id'], partitions }])),
      },
    },
    ...(reader === undefined ? {} : { reader }),
    service: { logLevel: 'info' },
  };
}

function startMeter(pool: Pool, postmaster: number, parts: Parts): () => Promise<Usage> {
  const read = (): PerPart => ({ ...cpuOf(parts), postgres: postgresCpu(postmaster) });
  const before = read();
  const readOthers = watchOthers();
  return async () => {
    const after = read();
    const cpuSeconds = mapParts(after, (seconds, name) => round(seconds - (before[name] ?? 0), 2));
    const otherCores = readOthers(Object.values(cpuSeconds).reduce((sum, seconds) => sum + seconds, 0));
    return {
      cpuSeconds,
      otherCores,
      postgresCpuSeconds: await postgresCpuByRole(pool, postmaster),
      peakMegabytes: { ...peaksOf(parts), postgres: peaksOf({ all: await backendPids(pool) })['all'] ?? 0 },
    };
  };
}

async function backendPids(pool: Pool): Promise<number[]> {
  const { rows } = await pool.query<{ pid: number }>('SELECT pid FROM pg_stat_activity WHERE pid IS NOT NULL');
  return rows.map(({ pid }) => pid);
}
