import { setTimeout as sleep } from 'node:timers/promises';
import type { Victims } from './faults.js';
import { roles } from './pipeline.js';
import type { Point } from './points.js';
import { configureOtherPartitions } from './run-config.js';

/** A step may have to wait until the lock of a job that a killed writer held runs out. */
const longestWayMs = 40_000;

type RunningRole = (typeof roles)[number];

export interface Visit {
  readonly point: string;
  readonly role: RunningRole;
  /** Milliseconds until the process came there and was killed; null when it never did. */
  readonly afterMs: number | null;
}

/**
 * Kills reader and writers at each of the points, each process at its share of them at the same time, while `work` gives
 * the source something to do.
 */
export async function visitPoints(
  victims: Victims,
  points: readonly Point[],
  work: () => Promise<void>,
): Promise<Visit[]> {
  const visits: Visit[] = [];
  let working = true;
  const rounds = roles.map(async (role) => {
    for (const point of shareOf(role, points)) visits.push(await visit(victims, role, point));
  });
  const all = Promise.all(rounds).finally(() => (working = false));
  while (working) await work();
  await all;
  return visits;
}

/** The reader's points; those of writers are dealt out to them in turn. */
function shareOf(role: RunningRole, points: readonly Point[]): Point[] {
  const app = role.startsWith('reader') ? 'reader' : 'writer';
  const peers = roles.filter((other) => other.startsWith(app));
  return points.filter(({ app: owner }) => owner === app).filter((_, i) => i % peers.length === peers.indexOf(role));
}

async function visit(victims: Victims, role: RunningRole, point: Point): Promise<Visit> {
  const startedAt = Date.now();
  const { pipeline, network } = victims;
  await pipeline.kill(role);
  if (point.divides === true) await configureOtherPartitions(victims);
  const ambush = network.ambush(role);
  const struck = ambush.arm(point, () => pipeline.strikeDown(role)).then(() => true);
  pipeline.launch(role);
  const hit = await Promise.race([struck, sleep(longestWayMs, false, { ref: false })]);
  ambush.disarm();
  const afterMs = hit ? Date.now() - startedAt : null;
  await pipeline.kill(role);
  pipeline.launch(role);
  return { point: point.name, role, afterMs };
}
