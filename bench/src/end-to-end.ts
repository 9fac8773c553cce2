import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { setTimeout as sleep } from 'node:timers/promises';
import { Pool } from 'pg';
import { migrate } from '@afterimage/replica';
import { type Measured, measured } from './direct.js';
import { type Mix, eventsOf } from './workload.js';

export interface EndToEnd extends Measured {
  /** Highest resident memory of each process while it ran, MB. */
  readonly peakMegabytes: { readonly reader: number; readonly writer: number };
  /** CPU seconds, start of the process included. */
  readonly cpuSeconds: { readonly reader: number; readonly writers: number };
}

export interface EndToEndOptions {
  readonly url: string;
  readonly mix: Mix;
  readonly queue: { readonly backend: 'redis' | 'postgres'; readonly url?: string };
  readonly writers: number;
  /** Folder for a CPU profile of reader and writers each. */
  readonly profileDir?: string;
}

const local = (path: string) => fileURLToPath(new URL(path, import.meta.url));

/** Backlog at a fake MaxScale (a process of its own) to final state in PostgreSQL, through reader, queue and writers. */
export async function benchEndToEnd({ url, mix, queue, writers, profileDir }: EndToEndOptions): Promise<EndToEnd> {
  await migrate(url);
  const folder = await mkdtemp(join(tmpdir(), 'afterimage-bench-'));
  const children: ChildProcess[] = [];
  const start = (args: readonly string[]) => {
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    children.push(child);
    return child;
  };
  const pool = new Pool({ connectionString: url, max: 1 });
  try {
    const source = start([local('source.js'), JSON.stringify(mix)]);
    const [address] = (await once(source.stdout ?? source, 'data')) as [Buffer];
    const config = {
      postgres: { url },
      queue: { ...queue, prefix: `bench_${process.pid}_${Date.now()}` },
      sources: {
        bench: { ...(JSON.parse(address.toString()) as object), tables: { 'bench.orders': { key: ['id'] } } },
      },
      service: { logLevel: 'warn' },
    };
    const configPath = join(folder, 'afterimage.yaml');
    await writeFile(configPath, JSON.stringify(config));
    const profile = profileDir === undefined ? [] : ['--cpu-prof', '--cpu-prof-dir', profileDir];
    const app = (name: string) => start([...profile, local(`../../apps/${name}/dist/main.js`), '--config', configPath]);
    const begun = performance.now();
    const reader = app('reader');
    const writerProcesses = Array.from({ length: writers }, () => app('writer'));
    for (const child of children) child.stdout?.pipe(process.stderr);
    await waitUntilApplied(pool, eventsOf(mix), children);
    const result = measured(eventsOf(mix), (performance.now() - begun) / 1000);
    return {
      ...result,
      peakMegabytes: { reader: peakOf([reader]), writer: peakOf(writerProcesses) },
      cpuSeconds: { reader: cpuOf([reader]), writers: cpuOf(writerProcesses) },
    };
  } finally {
    await pool.end();
    await Promise.all(children.map((child) => stop(child)));
    await rm(folder, { recursive: true, force: true });
  }
}

async function waitUntilApplied(pool: Pool, events: number, children: readonly ChildProcess[]): Promise<void> {
  for (;;) {
    const { rows } = await pool.query<{ n: string | null }>('SELECT sum(ordinal) AS n FROM afterimage.offsets');
    if (Number(rows[0]?.n ?? 0) >= events) return;
    if (children.some((child) => child.exitCode !== null)) throw new Error('a process ended by itself');
    await sleep(20);
  }
}

/** VmHWM of /proc: Linux only, 0 elsewhere. */
function peakOf(children: readonly ChildProcess[]): number {
  const peaks = children.map((child) => {
    try {
      const status = readFileSync(`/proc/${child.pid}/status`, 'utf8');
      return Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024;
    } catch {
      return 0;
    }
  });
  return Math.round(Math.max(...peaks));
}

/** User and system time of /proc, in its ticks of 10 ms: Linux only, 0 elsewhere. */
function cpuOf(children: readonly ChildProcess[]): number {
  const ticks = children.map((child) => {
    try {
      const fields = readFileSync(`/proc/${child.pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
      return Number(fields[11]) + Number(fields[12]);
    } catch {
      return 0;
    }
  });
  return ticks.reduce((sum, n) => sum + n, 0) / 100;
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGTERM');
  await exited;
}
