import { availableParallelism, cpus, loadavg, totalmem } from 'node:os';
import { parseArgs } from 'node:util';
import { measureCatchUp } from './catch-up.js';
import { measureDecode } from './decode.js';
import { measureDirect } from './direct.js';
import { type EndToEndOptions, measureEndToEnd } from './end-to-end.js';
import { measureFreshness } from './freshness.js';
import { type Measured, bestOf } from './measured.js';
import { mixes } from './mixes.js';
import type { Backend } from './pipeline.js';
import { waitForQuiet } from './quiet.js';
import { type Servers, startServers } from './servers.js';
import { measureSnapshot } from './snapshot.js';
import { round } from './usage.js';
import { measureVerify } from './verify.js';
import { type Workload, standardWork } from './workload.js';

const usage = `npm run bench -- decode|direct|end-to-end|scale|freshness|catch-up|mixes|memory|cost|snapshot|verify|all [options]

  --backend redis,postgres   queue backends to measure
  --tables 1,20              numbers of tables (end-to-end)
  --writers 1,2              numbers of writer processes (end-to-end)
  --partitions 1,4           partitions of each table (end-to-end, scale, mixes)
  --delay n                  milliseconds by which each round trip of writers to PostgreSQL takes longer (scale)
  --events n                 events in all (decode, direct, end-to-end, memory, cost), rows (snapshot, verify)
  --batch n                  events of a batch at most
  --rate 100,1000,10000      events per second (freshness); the first is taken by catch-up
  --seconds n                how long a freshness run takes, or the stop of catch-up lasts
  --mix a,b                  names of mixes
  --quiet n                  seconds to wait before each run for a machine on which nothing else runs, at most
  --repeat n                 runs of each figure, of which the fastest counts
  --reader a=1,b=2           settings of the configuration's section reader
  --profile folder           CPU profiles of reader and writers
`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    backend: { type: 'string', default: 'redis,postgres' },
    tables: { type: 'string', default: '1,20' },
    writers: { type: 'string', default: '1,2' },
    partitions: { type: 'string' },
    delay: { type: 'string', default: '5' },
    events: { type: 'string' },
    batch: { type: 'string', default: '2000' },
    rate: { type: 'string' },
    seconds: { type: 'string' },
    mix: { type: 'string', default: Object.keys(mixes).join(',') },
    quiet: { type: 'string', default: '0' },
    repeat: { type: 'string', default: '1' },
    reader: { type: 'string', default: '' },
    profile: { type: 'string' },
  },
});

const numbersOf = (list: string): number[] => list.split(',').map(Number);
const settingsOf = (list: string): Record<string, number> =>
  Object.fromEntries(
    list
      .split(',')
      .filter((pair) => pair !== '')
      .map((pair) => pair.split('='))
      .map(([name = '', value]) => [name, Number(value)]),
  );
const eventsOr = (fallback: number): number => Number(values.events ?? fallback);
const batchEvents = Number(values.batch);
const repeat = Number(values.repeat);
const common = {
  reader: { maxBatchEvents: batchEvents, ...settingsOf(values.reader) },
  ...(values.profile === undefined ? {} : { profileDir: values.profile }),
};

/** What to run, by name: each gives a part of the result. */
const benches: Readonly<Record<string, (servers: Servers) => Promise<unknown>>> = {
  decode: () =>
    bestOf({ times: repeat, before: quiet }, () =>
      measureDecode(standardWork(500_000), Math.ceil(eventsOr(5_000_000) / 500_000)),
    ),
  direct: (servers) => direct(servers, standardWork(eventsOr(1_000_000))),
  'end-to-end': async (servers) => {
    const events = eventsOr(1_000_000);
    const base = await direct(servers, standardWork(events));
    const results: Record<string, unknown> = { direct: base };
    for (const backend of backendsOf(servers)) {
      for (const tables of numbersOf(values.tables)) {
        for (const writers of numbersOf(values.writers)) {
          const work = standardWork(Math.round(events / tables));
          for (const partitions of numbersOf(values.partitions ?? '1')) {
            const result = await endToEnd({ servers, backend, tables, writers, partitions, work });
            const what = `${backend}, ${tables} tables, ${partitions} partitions, ${writers} writers`;
            results[what] = { ...result, toDirect: ratio(result, base) };
          }
        }
      }
    }
    return results;
  },
  freshness: (servers) =>
    forBackends(servers, async (backend) => {
      const results: unknown[] = [];
      for (const rate of numbersOf(values.rate ?? '100,1000,10000')) {
        const seconds = Number(values.seconds ?? 20);
        await quiet();
        results.push(await measureFreshness({ ...common, servers, backend, writers: 1, rate, seconds }));
        progress(`freshness ${backend} ${rate}/s`);
      }
      return results;
    }),
  scale: async (servers) => {
    const results: Record<string, unknown> = {};
    const work = standardWork(eventsOr(300_000));
    const writerDelayMs = Number(values.delay);
    for (const backend of backendsOf(servers)) {
      const options = { servers, backend, tables: 1, work, writerDelayMs };
      const one = await endToEnd({ ...options, partitions: 1, writers: 1 });
      results[`${backend}, 1 partition, 1 writer`] = one;
      for (const n of numbersOf(values.partitions ?? '2,4')) {
        const result = await endToEnd({ ...options, partitions: n, writers: n });
        results[`${backend}, ${n} partitions, ${n} writers`] = { ...result, toOne: ratio(result, one) };
      }
    }
    return results;
  },
  'catch-up': (servers) =>
    forBackends(servers, async (backend) => {
      const [rate = 1000] = numbersOf(values.rate ?? '1000');
      await quiet();
      return measureCatchUp({ ...common, servers, backend, rate, stopSeconds: Number(values.seconds ?? 3600) });
    }),
  mixes: async (servers) => {
    const results: Record<string, unknown> = {};
    for (const name of values.mix.split(',')) {
      const work = mixes[name];
      if (work === undefined) throw new Error(`no mix "${name}"`);
      const base = await direct(servers, work);
      const ends: Record<string, unknown> = {};
      for (const backend of backendsOf(servers)) {
        for (const partitions of numbersOf(values.partitions ?? '1,2')) {
          const result = await endToEnd({ servers, backend, tables: 1, writers: partitions, partitions, work });
          ends[`${backend}, ${partitions} partitions and writers`] = { ...result, toDirect: ratio(result, base) };
        }
      }
      results[name] = { work, direct: base, ...ends };
    }
    return results;
  },
  memory: (servers) =>
    forBackends(servers, async (backend) => {
      const work = standardWork(eventsOr(10_000_000));
      const { events, seconds, peakMegabytes } = await measureEndToEnd({
        ...common,
        servers,
        backend,
        tables: 1,
        writers: 1,
        work,
        lazy: true,
      });
      return { events, seconds, peakMegabytes };
    }),
  cost: (servers) =>
    forBackends(servers, async (backend) => {
      const work = standardWork(eventsOr(2_000_000));
      const { events, seconds, cpuPerMillion, cpuSeconds, postgresCpuSeconds } = await measureEndToEnd({
        ...common,
        servers,
        backend,
        tables: 1,
        writers: 1,
        work,
      });
      return { events, seconds, cpuPerMillion, cpuSeconds, postgresCpuSeconds };
    }),
  snapshot: (servers) => measureSnapshot(servers, eventsOr(1_000_000), repeat),
  verify: (servers) => measureVerify(servers, eventsOr(1_000_000), repeat),
};

const quiet = () => waitForQuiet(Number(values.quiet));

function progress(what: string): void {
  process.stderr.write(`${new Date().toISOString()} ${what}\n`);
}

function backendsOf({ redisUrl }: Servers): Backend[] {
  const wanted = values.backend.split(',') as Backend[];
  return wanted.filter((backend) => backend !== 'redis' || redisUrl !== null);
}

async function forBackends(servers: Servers, run: (backend: Backend) => Promise<unknown>) {
  const results: Record<string, unknown> = {};
  for (const backend of backendsOf(servers)) results[backend] = await run(backend);
  return results;
}

async function direct(servers: Servers, work: Workload) {
  const best = await bestOf({ times: repeat, before: quiet }, () => measureDirect({ servers, work, batchEvents }));
  progress(`direct ${best.eventsPerSecond} events/s`);
  return best;
}

async function endToEnd(options: EndToEndOptions) {
  const best = await bestOf({ times: repeat, before: quiet }, () => measureEndToEnd({ ...common, ...options }));
  const { backend, tables, partitions = 1, writers } = options;
  const what = `${backend}, ${tables} tables, ${partitions} partitions, ${writers} writers`;
  progress(`${what}: ${best.eventsPerSecond} events/s`);
  return best;
}

const ratio = (a: Measured, b: Measured): number => round(a.eventsPerSecond / b.eventsPerSecond, 2);

const [name = ''] = positionals;
const wanted = name === 'all' ? Object.keys(benches) : [name];
if (wanted.some((one) => !(one in benches))) {
  process.stderr.write(usage);
  process.exit(2);
}
const servers = await startServers();
try {
  const result: Record<string, unknown> = {
    machine: {
      cores: availableParallelism(),
      cpu: cpus()[0]?.model,
      memoryGigabytes: Math.round(totalmem() / 2 ** 30),
    },
    node: process.version,
    loadBefore: loadavg(),
  };
  for (const one of wanted) {
    progress(one);
    result[one] = await benches[one]?.(servers);
  }
  process.stdout.write(`${JSON.stringify({ ...result, loadAfter: loadavg() }, null, 2)}\n`);
} finally {
  await servers.stop();
}
