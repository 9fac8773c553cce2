import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Point, points } from './points.js';
import { RestartablePostgres } from './restartable-postgres.js';
import { RestartableRedis, findRedisProgram } from './restartable-redis.js';
import { type SeedReport, runSeed } from './seed-run.js';

/**
 * The short form runs a few fixed seeds. The long form is asked for with `npm run test:faults -- --seeds 500`, and a
 * seed that failed is run again with `npm run test:faults -- --backend redis --seed 42`: see run.sh.
 */
const settings = {
  first: Number(process.env['AFTERIMAGE_FAULTS_FIRST'] ?? 1),
  count: Number(process.env['AFTERIMAGE_FAULTS_COUNT'] ?? 0),
  minutes: Number(process.env['AFTERIMAGE_FAULTS_MINUTES'] ?? Number.POSITIVE_INFINITY),
  isLong: process.env['AFTERIMAGE_FAULTS_COUNT'] !== undefined,
  backend: process.env['AFTERIMAGE_FAULTS_BACKEND'],
  /** The long form does one or the other. */
  visits: process.env['AFTERIMAGE_FAULTS_POINTS'] !== undefined,
};
/** Partitions changed, a second reader, a failover, queues that lose and reorder jobs. */
const shortSeeds = { redis: [1154], postgres: [1560] };
const pointSeed = 7;
const redisProgram = findRedisProgram();

/** In the short form the backends share one round of all points. */
function pointsOn(backend: 'redis' | 'postgres'): readonly Point[] {
  if (settings.isLong || redisProgram === null) return points;
  const when = backend === 'redis' ? 'after' : 'before';
  return points.filter((point) => point.when === when);
}

function* seedsOf(backend: keyof typeof shortSeeds): Generator<number> {
  if (!settings.isLong) yield* shortSeeds[backend];
  const until = Date.now() + settings.minutes * 60_000;
  for (let i = 0; i < settings.count && Date.now() < until; i += 1) yield settings.first + i;
}

function describeFailure(seed: number, backend: string, { differences, faults }: SeedReport): string {
  return [
    `seed ${seed} on ${backend} failed; again with: npm run test:faults -- --backend ${backend} --seed ${seed}`,
    'faults:',
    ...faults.map((fault) => `  ${fault}`),
    'differences:',
    ...differences.map((difference) => `  ${difference}`),
  ].join('\n');
}

function describeSuccess(seed: number, backend: string, { faults, events, phases }: SeedReport): string {
  return `${backend} seed ${seed}: ${events} events equal; ${phases.join(', ')} s\n${faults.map((fault) => `    ${fault}\n`).join('')}`;
}

function tally(kinds: readonly string[]): string {
  return [...new Set(kinds)]
    .toSorted()
    .map((kind) => `${kind} ${kinds.filter((other) => other === kind).length}`)
    .join(', ');
}

describe.each(['redis', 'postgres'] as const)('with the queue on %s', (backend) => {
  const left = settings.backend !== undefined && settings.backend !== backend;
  const skipped = left || (backend === 'redis' && redisProgram === null);
  let postgres: RestartablePostgres;
  let redis: RestartableRedis | null = null;

  beforeAll(async () => {
    if (skipped) return;
    postgres = await RestartablePostgres.start();
    if (backend === 'redis' && redisProgram !== null) redis = await RestartableRedis.start(redisProgram);
  });
  afterAll(async () => {
    if (skipped) return;
    await redis?.remove();
    await postgres.remove();
  });

  test.skipIf(skipped || settings.visits)(
    'after any faults mirror, history and as-of equal the source, and every stream is well',
    async () => {
      const failures: string[] = [];
      const kinds: string[] = [];
      for (const seed of seedsOf(backend)) {
        const report = await runSeed({ seed, postgres, redis });
        kinds.push(...report.kinds);
        const failure = report.differences.length > 0 ? describeFailure(seed, backend, report) : null;
        if (failure !== null) failures.push(failure);
        if (settings.isLong) process.stdout.write(`${failure ?? describeSuccess(seed, backend, report)}\n`);
      }
      if (settings.isLong) process.stdout.write(`${backend}: ${kinds.length} faults: ${tally(kinds)}\n`);
      expect(failures.join('\n\n')).toBe('');
    },
    settings.isLong ? 2 ** 31 - 1 : 600_000,
  );

  test.skipIf(skipped || (settings.isLong && !settings.visits))(
    'a reader or writer killed before or after any durable step loses nothing and repeats nothing',
    async () => {
      const failures: string[] = [];
      for (const seed of settings.isLong ? seedsOf(backend) : [pointSeed]) {
        const report = await runSeed({ seed, postgres, redis, points: pointsOn(backend) });
        if (report.differences.length > 0) failures.push(describeFailure(seed, backend, report));
        process.stdout.write(`${failures.at(-1) ?? describeSuccess(seed, backend, report)}\n`);
      }
      expect(failures.join('\n\n')).toBe('');
    },
    settings.isLong ? 2 ** 31 - 1 : 600_000,
  );
});
