import {
  describeLeftOutKey,
  type Presence,
  type SnapshotRecord,
  type SourceWait,
  type StreamStatus,
} from '@afterimage/replica';
import { formatCount } from './output.js';
import type { QueueDepths } from './queues.js';

export interface Sample {
  readonly takenAt: number;
  readonly streams: readonly StreamStatus[];
}

export interface StreamReport extends Omit<StreamStatus, 'applyDelay'> {
  /** As the reader left it; `stopped` when none runs, `removed` when the table is not configured any more. */
  readonly readerState: string;
  readonly queuedBatches: number | null;
  readonly eventsPerSecond: number;
  /** How far the mirror may be behind its source. Null before the first event. */
  readonly lagSeconds: number | null;
  /** Its latest copy from MariaDB, where there was one. */
  readonly snapshot: Omit<SnapshotRecord, 'streamId'> | null;
}

export interface StatusReport {
  readonly streams: readonly StreamReport[];
  /** Configured sources that no reader reads. */
  readonly unreadSources: readonly string[];
  readonly hasWriters: boolean;
  readonly queueProblem: string | null;
  /** What waits for the MariaDB of its source, which does not answer or refuses. */
  readonly sourceWaits: readonly SourceWait[];
}

export interface StatusReadings {
  readonly first: Sample;
  readonly second: Sample;
  readonly presence: Presence;
  readonly queue: QueueDepths;
  readonly snapshots: readonly SnapshotRecord[];
  readonly sourceWaits: readonly SourceWait[];
  readonly sources: readonly string[];
  readonly isConfigured: (stream: StreamStatus) => boolean;
}

/** Puts together what two readings of the control tables, the queue and the running processes say. */
export function makeReport(readings: StatusReadings): StatusReport {
  const { first, second, presence, queue, snapshots, sourceWaits, sources, isConfigured } = readings;
  const before = new Map(first.streams.map((stream) => [stream.id, stream]));
  const seconds = Math.max(0.001, (second.takenAt - first.takenAt) / 1000);
  const streams = second.streams.map((status): StreamReport => {
    const { applyDelay, ...stream } = status;
    const applied = Number(BigInt(stream.ordinal) - BigInt(before.get(stream.id)?.ordinal ?? stream.ordinal));
    const queued = queue.depths.get(stream.id);
    const eventsPerSecond = Math.round((applied / seconds) * 10) / 10;
    const reader = readerOf(status, isConfigured(status), presence);
    const circumstances = { applyDelay, queued, eventsPerSecond, at: second.takenAt };
    const lagSeconds = lagOf({ ...stream, ...reader }, circumstances);
    return {
      ...stream,
      ...reader,
      queuedBatches: queued ?? null,
      eventsPerSecond,
      lagSeconds,
      snapshot: findSnapshot(snapshots, stream.id),
    };
  });
  return {
    streams,
    unreadSources: sources.filter((source) => !presence.readSources.has(source)),
    hasWriters: presence.hasWriters,
    queueProblem: queue.problem,
    sourceWaits,
  };
}

function findSnapshot(snapshots: readonly SnapshotRecord[], id: string): StreamReport['snapshot'] {
  const found = snapshots.find(({ streamId }) => streamId === id);
  if (found === undefined) return null;
  const { streamId: _, ...snapshot } = found;
  return snapshot;
}

/** What a reader wrote of a stream is true only while one runs. */
function readerOf(
  { source, readerState, readerCode, readerMessage }: StreamStatus,
  isConfigured: boolean,
  { readSources }: Presence,
): Pick<StreamReport, 'readerState' | 'readerCode' | 'readerMessage'> {
  if (!isConfigured) return { readerState: 'removed', readerCode: null, readerMessage: null };
  if (!readSources.has(source)) return { readerState: 'stopped', readerCode: null, readerMessage: null };
  return { readerState, readerCode, readerMessage };
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
  stream: Pick<StreamReport, 'sourceTime' | 'readerState'>,
  { applyDelay, queued, eventsPerSecond, at }: LagCircumstances,
): number | null {
  if (stream.sourceTime === null || applyDelay === null) return null;
  const isBehind = (queued ?? 0) > 0 || !['streaming', 'waiting'].includes(stream.readerState);
  const age = (at - stream.sourceTime.getTime()) / 1000;
  const lag = isBehind ? age : eventsPerSecond > 0 ? applyDelay : 0;
  return Math.max(0, Math.round(lag * 10) / 10);
}

/** How long trying again may take before a stream counts as standing: MaxScale and MariaDB take up to a minute to restart. */
const patienceMs = 120_000;

/** Whether somebody should look: a stream is degraded or stands. Streams of removed tables do not count. */
export function hasTrouble(
  { streams, unreadSources, hasWriters, queueProblem, sourceWaits }: StatusReport,
  now = Date.now(),
): boolean {
  const configured = streams.filter(({ readerState }) => readerState !== 'removed');
  if (sourceWaits.some(({ since }) => now - since.getTime() > patienceMs)) return true;
  if (configured.length === 0) return false;
  if (unreadSources.length > 0 || !hasWriters || queueProblem !== null) return true;
  return configured.some(({ state, readerState, readerSince }) => {
    const isStuck = readerState === 'retrying' && now - readerSince.getTime() > patienceMs;
    return state !== 'active' || readerState === 'halted' || isStuck;
  });
}

/** What a person should know besides the numbers, one line each; streams in the same trouble share a line. */
export function describeReport(report: StatusReport): string[] {
  const shared = new Map<string, string[]>();
  for (const stream of report.streams) {
    for (const text of describeTrouble(stream)) shared.set(text, [...(shared.get(text) ?? []), nameOf(stream)]);
  }
  return [
    ...report.unreadSources.map((source) => `source ${source}: no reader is running; start one: afterimage reader`),
    ...(report.hasWriters || report.streams.length === 0 ? [] : ['no writer is running; start one: afterimage writer']),
    ...describeSourceWaits(report.sourceWaits),
    ...[...shared].map(([text, names]) => `${listNames(names)}: ${text}`),
    ...report.streams.flatMap(describeSourceChanges),
    ...report.streams.flatMap(describeRelaxed),
    ...report.streams.flatMap(describeSnapshot),
    ...report.streams.flatMap(describeKey),
    ...report.streams.flatMap(describeColumns),
    ...describeUnknown(report.streams),
    ...(report.queueProblem === null ? [] : [`the queue cannot be read: ${report.queueProblem}`]),
  ];
}

function nameOf({ database, table }: StreamReport): string {
  return `${database}.${table}`;
}

function listNames(names: readonly string[]): string {
  return names.length <= 4 ? names.join(', ') : `${names.slice(0, 3).join(', ')} and ${names.length - 3} more`;
}

function describeTrouble(stream: StreamReport): string[] {
  const { state, stateCode, stateMessage, readerState, readerCode, readerMessage } = stream;
  return [
    ...(state === 'active' ? [] : [`writer ${state} (${stateCode ?? 'no code'}): ${stateMessage ?? ''}`]),
    ...(readerCode === null ? [] : [`reader ${readerState} (${readerCode}): ${readerMessage ?? ''}`]),
    ...(readerState === 'removed' ? ['not in the configuration any more: nothing is read or applied'] : []),
  ];
}

/** One line for a source, with what waits longest. */
export function describeSourceWaits(waits: readonly SourceWait[]): string[] {
  return [...new Set(waits.map(({ source }) => source))].flatMap((name) => {
    const [first, ...others] = waits.filter(({ source }) => source === name);
    if (first === undefined) return [];
    const waiters = [first, ...others].map(({ waiter }) => waiter);
    const since = first.since.toISOString();
    return [`source ${name}: since ${since} ${first.message}; what waits for it: ${listNames(waiters)}`];
  });
}

function describeSourceChanges(stream: StreamReport): string[] {
  return stream.sourceChanges.map((change) => `${nameOf(stream)} changed at the source: ${change}`);
}

function describeRelaxed(stream: StreamReport): string[] {
  return stream.relaxed.map((text) => `${nameOf(stream)}: ${text}`);
}

function describeUnknown(streams: readonly StreamReport[]): string[] {
  const unknown = streams.filter(({ isKnown, schemaVersion }) => !isKnown && schemaVersion > 0).map(nameOf);
  if (unknown.length === 0) return [];
  return [
    `${listNames(unknown)}: key, exact types and labels are known only where they are configured; sources.<name>.mariadb lets MariaDB tell them`,
  ];
}

/** A copy that is done is nothing to speak of. */
function describeSnapshot(stream: StreamReport): string[] {
  const { snapshot } = stream;
  if (snapshot === null || snapshot.state === 'done') return [];
  const rows = `${formatCount(snapshot.rows)} of about ${formatCount(snapshot.estimatedRows ?? 0)} rows`;
  const again = `run it again: afterimage snapshot ${nameOf(stream)}`;
  if (snapshot.isRunning) return [`${nameOf(stream)}: being copied, ${rows}`];
  if (snapshot.state === 'failed') return [`${nameOf(stream)}: not copied: ${snapshot.message ?? ''}`];
  return [`${nameOf(stream)}: its copy was interrupted at ${rows}, and nothing of it is kept; ${again}`];
}

function describeKey(stream: StreamReport): string[] {
  if (stream.leftOutKey === null) return [];
  const { text, fix } = describeLeftOutKey(stream.leftOutKey, nameOf(stream));
  return [`${nameOf(stream)}: ${text}; ${fix}`];
}

function describeColumns(stream: StreamReport): string[] {
  return stream.unreliable.map(
    ({ column, reason, values }) =>
      `${nameOf(stream)}.${column} is unreliable: ${reason}${values > 0 ? ` (${formatCount(values)} values so far)` : ''}`,
  );
}
