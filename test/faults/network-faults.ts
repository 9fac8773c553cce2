import { setTimeout as sleep } from 'node:timers/promises';
import type { FaultProxy } from '../harness/fault-proxy.js';
import type { Weather } from '../harness/proxy-lane.js';
import type { Dice } from './dice.js';
import type { Fault, Victims } from './faults.js';

/** A connection of one process to one server; reader-2 is seldom there. */
function pickProxy({ network, dice }: Victims): [string, FaultProxy] {
  return dice.pick(network.proxies.filter(([name]) => !name.startsWith('reader-2')));
}

function makeWeather(dice: Dice): Weather {
  switch (dice.below(4)) {
    case 0:
      return { bytesPerSecond: 1 };
    case 1:
      return { latencyMs: dice.pick([5, 50, 300]) };
    case 2:
      return { bytesPerSecond: dice.pick([2_000, 20_000, 200_000]) };
    default:
      return { latencyMs: 20, bytesPerSecond: 100_000 };
  }
}

async function slowNetwork(victims: Victims): Promise<string> {
  const { network, dice } = victims;
  const everywhere = dice.chance(0.3);
  const chosen = everywhere ? network.proxies : [pickProxy(victims)];
  const weather = makeWeather(dice);
  const lastingMs = dice.pick([800, 2_500, 6_000]);
  for (const [, proxy] of chosen) proxy.weather = weather;
  await sleep(lastingMs);
  for (const [, proxy] of chosen) proxy.weather = {};
  const where = everywhere ? 'all connections' : chosen.map(([name]) => name).join();
  return `slow network: ${where} at ${JSON.stringify(weather)} for ${lastingMs} ms`;
}

/** What was open never works again and never ends either: both sides must notice by themselves. */
async function halfOpen(victims: Victims): Promise<string> {
  const [name, proxy] = pickProxy(victims);
  const directions = victims.dice.pick([['up'], ['down'], ['up', 'down']] as const);
  const count = proxy.swallow(...directions);
  return `half-open: ${name}, ${directions.join(' and ')}, ${count} connections`;
}

async function cutMidMessage(victims: Victims): Promise<string> {
  const [name, proxy] = pickProxy(victims);
  const direction = victims.dice.pick(['up', 'down'] as const);
  const bytes = victims.dice.between(0, 700);
  proxy.cutAfter(direction, bytes);
  return `cut: ${name} after ${bytes} bytes more ${direction}`;
}

/** To Redis none goes up: it would answer it, and shift all its answers; no network does that. */
async function sendGarbage(victims: Victims): Promise<string> {
  const { dice } = victims;
  const [name, proxy] = pickProxy(victims);
  const direction = name.endsWith('redis') ? 'down' : dice.pick(['up', 'down'] as const);
  const bytes = Buffer.from(Array.from({ length: dice.between(1, 60) }, () => 128 + dice.below(128)));
  proxy.inject(direction, bytes);
  return `garbage: ${bytes.length} bytes ${direction} on ${name}`;
}

async function refuseConnections(victims: Victims): Promise<string> {
  const [name, proxy] = pickProxy(victims);
  const lastingMs = victims.dice.pick([300, 2_000]);
  proxy.refuse();
  if (victims.dice.chance(0.7)) proxy.cut();
  await sleep(lastingMs);
  await proxy.accept();
  return `refused: ${name} for ${lastingMs} ms`;
}

/** Of the connections between one process and one server. */
export const networkFaults: readonly Fault[] = [slowNetwork, halfOpen, cutMidMessage, sendGarbage, refuseConnections];
