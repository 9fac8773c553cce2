import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, readdirSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { heapArguments } from '@afterimage/service';
import type { SourceOrder, SourcePlan, SourceReport } from './source-messages.js';

const local = (path: string) => fileURLToPath(new URL(path, import.meta.url));

export interface Source {
  readonly child: ChildProcess;
  tell(order: SourceOrder): void;
  /** The next report of a kind, or the one that came already. */
  hear<K extends SourceReport['kind']>(kind: K): Promise<Extract<SourceReport, { kind: K }>>;
}

/** Starts the fake MaxScale as a process. */
export function startSource(plan: SourcePlan): Source {
  const child = spawn(process.execPath, [local('source.js'), JSON.stringify(plan)], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  const reports = new Map<string, SourceReport>();
  child.once('exit', () => child.emit('report'));
  child.on('message', (message) => {
    const report = message as SourceReport;
    reports.set(report.kind, report);
    child.emit('report');
  });
  return {
    child,
    tell: (order) => void child.send(order),
    hear: async <K extends SourceReport['kind']>(kind: K) => {
      for (;;) {
        const report = reports.get(kind);
        if (report !== undefined) return report as Extract<SourceReport, { kind: K }>;
        if (child.exitCode !== null) throw new Error('the source ended by itself');
        await once(child, 'report');
      }
    },
  };
}

export interface App {
  readonly child: ChildProcess;
  /** Resolves when it has logged a message so often. */
  logged(message: string, times: number): Promise<void>;
}

/** Starts reader or writer. What it logs at `warn` and above goes to this process's standard error. */
export function startApp(name: 'reader' | 'writer', configPath: string, profileDir?: string): App {
  const profile = profileDir === undefined ? [] : ['--cpu-prof', '--cpu-prof-dir', profileDir];
  const args = [...heapArguments(), ...profile, local(`../../apps/${name}/dist/main.js`), '--config', configPath];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const counts = new Map<string, number>();
  child.once('exit', () => child.emit('logged'));
  createInterface({ input: child.stdout }).on('line', (line) => {
    const { level, msg } = JSON.parse(line) as { level: string; msg: string };
    if (level === 'warn' || level === 'error' || level === 'fatal') process.stderr.write(`${line}\n`);
    counts.set(msg, (counts.get(msg) ?? 0) + 1);
    child.emit('logged');
  });
  return {
    child,
    logged: async (message, times) => {
      while ((counts.get(message) ?? 0) < times) {
        if (hasEnded(child)) throw new Error(`a ${name} ended by itself`);
        await once(child, 'logged');
      }
    },
  };
}

export const hasEnded = (child: ChildProcess): boolean => child.exitCode !== null || child.signalCode !== null;

export async function stopProcess(child: ChildProcess): Promise<void> {
  if (hasEnded(child)) return;
  const exited = once(child, 'exit');
  child.kill('SIGTERM');
  await exited;
}

/** User and system time of a process in seconds; `withEnded` adds that of its children that have ended. Linux only. */
export function readCpuSeconds(pid: number | undefined, withEnded = false): number {
  const fields = readProc(pid, 'stat').split(') ')[1]?.split(' ') ?? [];
  const ticks = fields.slice(11, withEnded ? 15 : 13).reduce((sum, field) => sum + Number(field), 0);
  return ticks / 100;
}

/** CPU time of all processes of the machine since it started, in seconds. Linux only. */
export function readBusySeconds(): number {
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0] = (
    /^cpu +(.*)/.exec(readFile('/proc/stat'))?.[1] ?? ''
  )
    .split(' ')
    .map(Number);
  return (user + nice + system + irq + softirq) / 100;
}

/** Highest resident memory so far, MB. Linux only. */
export function readPeakMegabytes(pid: number | undefined): number {
  return Math.round(Number(/VmHWM:\s+(\d+)/.exec(readProc(pid, 'status'))?.[1] ?? 0) / 1024);
}

export function readParent(pid: number): number {
  return Number(/PPid:\s+(\d+)/.exec(readProc(pid, 'status'))?.[1] ?? 0);
}

export function listChildren(parent: number): number[] {
  const pids = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
  return pids.filter((pid) => readParent(pid) === parent);
}

const readProc = (pid: number | undefined, file: string): string => readFile(`/proc/${pid}/${file}`);

/** '' for a process that is gone, and on systems without /proc. */
function readFile(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
