import { setTimeout as delay } from 'node:timers/promises';
import {
  configuredSettings,
  readPresence,
  readSnapshots,
  readSourceWaits,
  readStatus,
  type StreamStatus,
} from '@afterimage/replica';
import { exitCodes, toPrintable } from '@afterimage/service';
import { Command, InvalidArgumentError } from 'commander';
import type { Pool } from 'pg';
import { withDatabase } from '../database.js';
import { formatCount, formatSeconds, printJson, renderTable } from '../output.js';
import { type CommonOptions, readConfig, withCommonOptions } from '../options.js';
import { connectQueue, readQueueDepths } from '../queues.js';
import {
  describeReport,
  describeSourceWaits,
  hasTrouble,
  makeReport,
  type Sample,
  type StatusReport,
} from '../stream-report.js';

interface StatusOptions extends CommonOptions {
  readonly sample: number;
  readonly watch?: boolean;
}

/** `afterimage status` */
export function createStatusCommand(): Command {
  const command = new Command('status')
    .description('every stream: states, offset, lag, rate, queue depth, schema version, dead letters')
    .option('-s, --sample <seconds>', 'time between the two readings that give the rates', parseSeconds, 1)
    .option('-w, --watch', 'go on until Ctrl-C')
    .option('--json', 'JSON for scripts');
  const texts = {
    example: 'afterimage status\nafterimage status --json | jq ".streams[].lagSeconds"',
    codes: ', 3 a stream is degraded or stands',
  };
  return withCommonOptions(command, texts).action(async (options: StatusOptions) => {
    const config = readConfig(options);
    const sources = Object.keys(config.sources);
    const settingsOf = configuredSettings(config);
    const isConfigured = (stream: StreamStatus): boolean => settingsOf(stream) !== undefined;
    const connection = await connectQueue(config);
    try {
      await withDatabase(config, async (pool) => {
        let first = await sampleStatus(pool);
        do {
          await delay(options.sample * 1000);
          const second = await sampleStatus(pool);
          const presence = await readPresence(pool, sources);
          const queue = await readQueueDepths(connection, second.streams);
          const snapshots = await readSnapshots(pool);
          const sourceWaits = await readSourceWaits(pool);
          const readings = { first, second, presence, queue, snapshots, sourceWaits, sources, isConfigured };
          const report = makeReport(readings);
          show(report, options);
          first = second;
        } while (options.watch === true);
      });
    } finally {
      await connection.close();
    }
  });
}

function parseSeconds(text: string): number {
  const seconds = Number(text);
  if (!(seconds > 0 && seconds <= 3600)) throw new InvalidArgumentError('Write a number of seconds.');
  return seconds;
}

async function sampleStatus(pool: Pool): Promise<Sample> {
  return { streams: await readStatus(pool), takenAt: Date.now() };
}

function show(report: StatusReport, { json = false, watch = false }: StatusOptions): void {
  if (json) printJson(report);
  else {
    if (watch && process.stdout.isTTY) process.stdout.write('\u001B[2J\u001B[H');
    printReport(report);
  }
  if (hasTrouble(report)) process.exitCode = exitCodes.difference;
}

function printReport(report: StatusReport): void {
  const { streams, sourceWaits } = report;
  const isEmpty = streams.length === 0;
  if (isEmpty) console.log('no streams yet: the reader registers them when it starts (`afterimage reader`)');
  else printStreams(streams);
  const remarks = isEmpty ? describeSourceWaits(sourceWaits) : describeReport(report);
  if (remarks.length > 0) console.log(`\n${remarks.map(toPrintable).join('\n')}`);
}

function printStreams(streams: StatusReport['streams']): void {
  const severalSources = new Set(streams.map(({ source }) => source)).size > 1;
  const columns = [
    'STREAM',
    'WRITER',
    'READER',
    { title: 'EVENTS', align: 'right' },
    { title: 'PER SECOND', align: 'right' },
    { title: 'LAG', align: 'right' },
    { title: 'QUEUED', align: 'right' },
    { title: 'SCHEMA', align: 'right' },
    { title: 'DEAD', align: 'right' },
    'OFFSET',
  ] as const;
  const rows = streams.map((s) => [
    severalSources ? `${s.source}/${s.database}.${s.table}` : `${s.database}.${s.table}`,
    s.state,
    s.readerState,
    formatCount(s.ordinal),
    formatCount(s.eventsPerSecond),
    s.lagSeconds === null ? '–' : formatSeconds(s.lagSeconds),
    s.queuedBatches === null ? '?' : formatCount(s.queuedBatches),
    s.schemaVersion === 0 ? '–' : String(s.schemaVersion),
    formatCount(s.deadLetters),
    s.position === '' ? 'start' : s.position,
  ]);
  console.log(renderTable(columns, rows));
}
