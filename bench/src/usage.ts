import type { Pool } from 'pg';
import { listChildren, readBusySeconds, readCpuSeconds, readPeakMegabytes } from './processes.js';

/** Process ids by the part of the system that they are. */
export type Parts = Readonly<Record<string, readonly (number | undefined)[]>>;

export type PerPart = Readonly<Record<string, number>>;

export function cpuOf(parts: Parts): PerPart {
  return mapParts(parts, (pids) => pids.reduce<number>((sum, pid) => sum + readCpuSeconds(pid), 0));
}

/** Of the largest process of each part. For PostgreSQL this includes the shared buffers it touched. */
export function peaksOf(parts: Parts): PerPart {
  return mapParts(parts, (pids) => Math.max(0, ...pids.map((pid) => readPeakMegabytes(pid))));
}

/** The server as a whole: its processes of now and those that have ended. */
export function postgresCpu(postmaster: number): number {
  const alive = listChildren(postmaster).reduce((sum, pid) => sum + readCpuSeconds(pid), 0);
  return readCpuSeconds(postmaster, true) + alive;
}

/**
 * How many cores were busy with what is not part of the measurement, from this call on: a run beside which much else went on
 * tells little. Takes the CPU seconds of the measured processes except this one.
 */
export function watchOthers(): (ownSeconds: number) => number {
  const begun = performance.now();
  const busy = readBusySeconds();
  const self = process.cpuUsage();
  return (ownSeconds) => {
    const { user, system } = process.cpuUsage(self);
    const others = readBusySeconds() - busy - ownSeconds - (user + system) / 1e6;
    return Math.max(0, round((others / (performance.now() - begun)) * 1000, 2));
  };
}

/** CPU seconds since their start of PostgreSQL's processes of now, by what they work for. */
export async function postgresCpuByRole(pool: Pool, postmaster: number): Promise<PerPart> {
  const { rows } = await pool.query<{ pid: number; role: string }>(
    `SELECT pid, CASE WHEN backend_type <> 'client backend' THEN backend_type
                      WHEN application_name = '' THEN 'reader and benchmark' ELSE application_name END AS role
     FROM pg_stat_activity`,
  );
  const roles = new Map(rows.map(({ pid, role }) => [pid, role]));
  const sums: Record<string, number> = {};
  for (const pid of listChildren(postmaster)) {
    const role = roles.get(pid) ?? 'others';
    sums[role] = round((sums[role] ?? 0) + readCpuSeconds(pid), 2);
  }
  return sums;
}

export function mapParts<A>(parts: Readonly<Record<string, A>>, map: (part: A, name: string) => number): PerPart {
  return Object.fromEntries(Object.entries(parts).map(([name, part]) => [name, map(part, name)]));
}

export function round(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}
