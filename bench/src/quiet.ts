import { setTimeout as sleep } from 'node:timers/promises';
import { watchOthers } from './usage.js';

const idleCores = 0.3;
const watchMs = 2000;

/** Resolves when the machine has been idle for 2 seconds, or after `longestSeconds`. */
export async function waitForQuiet(longestSeconds: number): Promise<void> {
  const until = performance.now() + longestSeconds * 1000;
  while (performance.now() < until) {
    const readOthers = watchOthers();
    await sleep(watchMs);
    if (readOthers(0) < idleCores) return;
  }
}
