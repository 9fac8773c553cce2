import { setTimeout as delay } from 'node:timers/promises';
import { type QueueConnection } from '@afterimage/queue';
import { readStatus, type StreamStatus } from '@afterimage/replica';
import { exitCodes } from '@afterimage/service';
import { Command, InvalidArgumentError } from 'commander';
import type { Pool } from 'pg';
import { withDatabase } from '../database.js';
import { formatCount, formatSeconds, printJson, renderTable, toPrintable } from '../output.js';
import { type CommonOptions, readConfig, withCommonOptions } from '../options.js';
import { connectQueue, readQueueDepths } from '../queues.js';

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
    codes: ', 3 a stream is degraded or halted',
  };
  return withCommonOptions(command, texts).action(async (options: StatusOptions) => {
    const config = readConfig(options);
    const connection = await connectQueue(config);
    try {
      await withDatabase(config, async (pool) => {
        let first = await sampleStatus(pool);
        do {
          await delay(options.sample * 1000);
          const second = await sampleStatus(pool);
          const report = await makeReport(first, second, connection);
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

interface Sample {
  readonly takenAt: number;
  readonly streams: readonly StreamStatus[];
}

async function sampleStatus(pool: Pool): Promise<Sample> {
  return { streams: await readStatus(pool), takenAt: Date.now() };
}

interface StreamReport extends Omit<StreamStatus, 'applyDelay'> {
  readonly queuedBatches: number | null;
  readonly eventsPerSecond: number;
  /** How far the mirror may be behind its source. Null before the first event. */
  readonly lagSeconds: number | null;
}

interface Report {
  readonly streams: readonly StreamReport[];
  readonly queueProblem: string | null;
}

async function makeReport(first: Sample, second: Sample, connection: QueueConnection): Promise<Report> {
  const queue = await readQueueDepths(connection, second.streams);
  const before = new Map(first.streams.map((stream) => [stream.id, stream]));
  const seconds = Math.max(0.001, (second.takenAt - first.takenAt) / 1000);
  const streams = second.streams.map(({ applyDelay, ...stream }) => {
    const applied = Number(BigInt(stream.ordinal) - BigInt(before.get(stream.id)?.ordinal ?? stream.ordinal));
    const queued = queue.depths.get(stream.id);
    const eventsPerSecond = Math.round((applied / seconds) * 10) / 10;
    const lagSeconds = lagOf(stream, { applyDelay, queued, eventsPerSecond, at: second.takenAt });
    return { ...stream, queuedBatches: queued ?? null, eventsPerSecond, lagSeconds };
  });
  return { streams, queueProblem: queue.problem };
}

interface LagCircumstances {
  readonly applyDelay: number | null;
  readonly queued: number | undefined;
  readonly eventsPerSecond: number;
  readonly at: number;
}

/**
 * How far the mirror may be behind. While batches wait, or the reader does not stream, it is at least as old as the
 * newest applied event; while events flow, their own delay; else nothing is known to be missing.
 */
function lagOf(
  stream: Pick<StreamStatus, 'sourceTime' | 'readerState'>,
  circumstances: LagCircumstances,
): number | null {
  const { applyDelay, queued, eventsPerSecond, at } = circumstances;
  if (stream.sourceTime === null || applyDelay === null) return null;
  const isBehind = (queued ?? 0) > 0 || !['streaming', 'waiting'].includes(stream.readerState);
  const age = (at - stream.sourceTime.getTime()) / 1000;
  const lag = isBehind ? age : eventsPerSecond > 0 ? applyDelay : 0;
  return Math.max(0, Math.round(lag * 10) / 10);
}

function show(report: Report, { json = false, watch = false }: StatusOptions): void {
  if (json) printJson(report);
  else {
    if (watch && process.stdout.isTTY) process.stdout.write('\u001B[2J\u001B[H');
    printReport(report);
  }
  if (report.streams.some(({ state, readerState }) => state !== 'active' || readerState === 'halted')) {
    process.exitCode = exitCodes.difference;
  }
}

function printReport({ streams, queueProblem }: Report): void {
  if (streams.length === 0) {
    console.log('no streams yet: the reader registers them when it starts (`afterimage reader`)');
    return;
  }
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
  const remarks = [
    ...streams.flatMap(describeTrouble),
    ...(queueProblem === null ? [] : [`the queue cannot be read: ${queueProblem}`]),
  ];
  if (remarks.length > 0) console.log(`\n${remarks.map(toPrintable).join('\n')}`);
}

function describeTrouble(stream: StreamReport): string[] {
  const name = `${stream.database}.${stream.table}`;
  const lines: string[] = [];
  if (stream.state !== 'active')
    lines.push(`${name}: writer ${stream.state} (${stream.stateCode ?? 'no code'}): ${stream.stateMessage ?? ''}`);
  if (stream.readerCode !== null)
    lines.push(`${name}: reader ${stream.readerState} (${stream.readerCode}): ${stream.readerMessage ?? ''}`);
  for (const { column, reason, values } of stream.unreliable) {
    lines.push(
      `${name}.${column} is unreliable: ${reason}${values > 0 ? ` (${formatCount(values)} values so far)` : ''}`,
    );
  }
  return lines;
}
