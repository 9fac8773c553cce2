import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type FakeMaxScale, startFakeMaxScale } from '@afterimage/cdc-protocol/testing';
import type { TestDatabase, TestQueueBackend } from '../harness/databases.js';
import { uniqueName } from '../harness/databases.js';
import { type Recording, spreadOverSources } from './recordings.js';
import { ServiceProcess } from './service-process.js';

export interface ReplayOptions {
  readonly database: TestDatabase;
  readonly queue: TestQueueBackend;
  /** Determines where the byte streams are cut. */
  readonly seed: number;
  readonly deadlineMs: number;
  /** Whether connections break on the way, so that streams are resumed. Default false. */
  readonly breaks?: boolean;
}

/** Where a recording ended up. */
export interface ReplayedStream {
  readonly recording: Recording;
  readonly source: string;
  readonly mirrorSchema: string;
}

/**
 * Replays all recordings at once: one fake MaxScale per source sends their bytes, cut at random places, to a reader
 * process; two writer processes apply what it queues. Resolves when every event of every recording is applied.
 * Rejects, naming the streams that are not done, at the deadline or when a process ends by itself.
 */
export async function replayAll(
  recordings: readonly Recording[],
  options: ReplayOptions,
): Promise<readonly ReplayedStream[]> {
  const sources = spreadOverSources(recordings);
  const servers = await startServers(sources, options);
  const folder = await mkdtemp(join(tmpdir(), 'afterimage-replay-'));
  const configPath = join(folder, 'afterimage.yaml');
  // Every JSON document is a YAML document.
  await writeFile(configPath, JSON.stringify(describeConfig(sources, servers, options)));
  const processes = [
    new ServiceProcess('reader', configPath),
    new ServiceProcess('writer', configPath),
    new ServiceProcess('writer', configPath),
  ];
  const streams = [...sources].flatMap(([source, list]) =>
    list.map((recording) => ({ recording, source, mirrorSchema: `${source}_${recording.expected.database}` })),
  );
  try {
    await waitUntilApplied(streams, processes, options);
  } finally {
    await Promise.all(processes.map((process) => process.stop()));
    await Promise.all([...servers.values()].map((server) => server.close()));
    await rm(folder, { recursive: true, force: true });
  }
  return streams;
}

async function startServers(
  sources: ReadonlyMap<string, readonly Recording[]>,
  { seed, breaks = false }: ReplayOptions,
): Promise<Map<string, FakeMaxScale>> {
  const servers = new Map<string, FakeMaxScale>();
  for (const [source, recordings] of sources) {
    const server = await startFakeMaxScale({ chunking: { seed: seed + servers.size } });
    for (const { expected, bytes } of recordings) server.table(expected.database, expected.table).load(bytes);
    if (breaks) injectBreaks(server, recordings);
    servers.set(source, server);
  }
  return servers;
}

/** Breaks half of the connections that get so far after some rows, and half of the longer ones once more. */
function injectBreaks(server: FakeMaxScale, recordings: readonly Recording[]): void {
  const inject = (bytes: number, kind: 'drop' | 'reset') => {
    const long = recordings.filter((recording) => recording.bytes.length > bytes);
    if (long.length > 0) server.inject({ at: { bytes }, action: { kind }, connections: Math.ceil(long.length / 2) });
  };
  inject(1000, 'drop');
  inject(1800, 'reset');
}

function describeConfig(
  sources: ReadonlyMap<string, readonly Recording[]>,
  servers: ReadonlyMap<string, FakeMaxScale>,
  { database, queue }: ReplayOptions,
): object {
  const describeSource = ([source, recordings]: readonly [string, readonly Recording[]]) => {
    const databases = new Set(recordings.map(({ expected }) => expected.database));
    return {
      ...servers.get(source)?.address,
      schemas: Object.fromEntries([...databases].map((name) => [name, `${source}_${name}`])),
      tables: Object.fromEntries(
        recordings.map(({ expected, key }) => [
          `${expected.database}.${expected.table}`,
          key === null ? null : { key },
        ]),
      ),
    };
  };
  return {
    postgres: { url: database.url },
    queue: {
      backend: queue.backend,
      prefix: uniqueName('replay'),
      ...(queue.redisUrl === null ? {} : { url: queue.redisUrl }),
    },
    sources: Object.fromEntries([...sources].map((entry) => [entry[0], describeSource(entry)])),
    // Small batches, so that most recordings take several.
    reader: { maxBatchEvents: 10, maxBatchBytes: 16_384 },
    service: { logLevel: 'warn' },
  };
}

interface Progress {
  readonly source: string;
  readonly table: string;
  readonly applied: string;
  readonly state: string;
}

const selectProgress = `
  SELECT s.source, s.database_name || '.' || s.table_name AS "table", o.ordinal::text AS applied,
         concat_ws(' ', s.state, s.state_code, s.state_message, s.reader_state, s.reader_code, s.reader_message) AS state
  FROM afterimage.streams s JOIN afterimage.offsets o ON o.stream_id = s.id`;

async function waitUntilApplied(
  streams: readonly ReplayedStream[],
  processes: readonly ServiceProcess[],
  { database, deadlineMs }: ReplayOptions,
): Promise<void> {
  const deadline = Date.now() + deadlineMs;
  for (;;) {
    const { rows } = await database.pool.query<Progress>(selectProgress);
    const progress = new Map(rows.map((row) => [`${row.source} ${row.table}`, row]));
    const open = streams.flatMap(({ recording, source }) => {
      const { database: name, table, events } = recording.expected;
      const found = progress.get(`${source} ${name}.${table}`);
      const applied = Number(found?.applied ?? 0);
      if (applied === events.length) return [];
      return [`${recording.name}: ${applied} of ${events.length} events; ${found?.state ?? 'not registered'}`];
    });
    if (open.length === 0) return;
    if (Date.now() > deadline || processes.some((process) => process.ended)) {
      const output = processes.map((process) => process.output).join('\n');
      throw new Error(`${open.length} recordings are not applied:\n${open.join('\n')}\n${output}`);
    }
    await sleep(100);
  }
}
