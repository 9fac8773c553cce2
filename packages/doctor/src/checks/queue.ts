import type { QueueContent, QueueFacts, RedisFacts } from '@afterimage/queue';
import type { ProgressFacts } from '../facts/progress.js';
import { type Check, failure, notice, ok, type Outcome, unknown, warning } from '../finding.js';
import { countOf, formatBytes, formatDuration, isBefore, listSome, parseVersion } from '../texts.js';

export interface QueueSubject {
  readonly backend: 'redis' | 'postgres';
  readonly prefix: string;
  readonly queue: QueueFacts;
  /** Undefined where PostgreSQL did not answer. */
  readonly progress: ProgressFacts | undefined;
  readonly now: number;
}

export const redisChecks: readonly Check<RedisFacts>[] = [
  {
    name: 'redis-version',
    look: ({ version }) =>
      isBefore(parseVersion(version), [7])
        ? warning(`version ${version}: tested is Redis 7 and Valkey 8`, 'upgrade it')
        : ok(`version ${version}`),
  },
  {
    name: 'redis-policy',
    look: ({ policy }) => {
      const fix = 'CONFIG SET maxmemory-policy noeviction, and the same in redis.conf';
      if (policy === null) return unknown('it does not tell its maxmemory-policy', fix);
      return policy === 'noeviction'
        ? ok('maxmemory-policy is noeviction')
        : failure(`maxmemory-policy is ${policy}: batches are thrown away when its memory is full`, fix);
    },
  },
  {
    name: 'redis-append-only',
    look: ({ appendOnly }) => {
      const fix = 'CONFIG SET appendonly yes, and appendonly yes with appendfsync everysec in redis.conf';
      if (appendOnly === null) return unknown('it does not tell whether it writes an append-only file', fix);
      return appendOnly === 'yes' || appendOnly === '1'
        ? ok('appendonly is on')
        : warning('appendonly is off: a restart loses its batches, and the readers read them again', fix);
    },
  },
  {
    name: 'redis-memory',
    look: ({ usedBytes, maxBytes }) => {
      if (maxBytes === 0) return ok(`${formatBytes(usedBytes)} of memory in use`);
      const text = `${formatBytes(usedBytes)} of ${formatBytes(maxBytes)} memory in use`;
      if (usedBytes < maxBytes * 0.8) return ok(text);
      return warning(`${text}: when it is full no batch can be sent`, 'raise maxmemory, or start more writers');
    },
  },
  {
    name: 'redis-disk',
    look: ({ lastSave }) =>
      lastSave === 'ok'
        ? ok('it can write to its disk')
        : failure('it could not save to its disk, and may refuse to write', 'see its log; make room on its disk'),
  },
  {
    name: 'redis-role',
    look: ({ role }) =>
      role === 'master'
        ? null
        : failure(`it is a ${role}: nothing can be written`, 'name the master, or the sentinels, in the configuration'),
  },
];

export const queueChecks: readonly Check<QueueSubject>[] = [
  {
    name: 'queue-prepared',
    look: ({ queue }) => (queue.isPrepared ? null : failure('the queue has no tables yet', 'afterimage migrate')),
  },
  { name: 'queue-leftovers', look: checkLeftovers },
  {
    name: 'queue-failed',
    look: ({ queue: { queues } }) => {
      const failed = queues.filter((queue) => queue.failed > 0);
      if (failed.length === 0) return ok('no failed jobs');
      const count = failed.reduce((sum, queue) => sum + queue.failed, 0);
      return warning(
        `${countOf(count, 'failed job')} in ${listSome(failed.map(({ name }) => name))}: nobody takes them up`,
        'restart the reader of the stream: what was not applied is sent again',
      );
    },
  },
  {
    name: 'queue-paused',
    look: ({ queue: { queues } }) => {
      const paused = queues.filter(({ isPaused }) => isPaused).map(({ name }) => name);
      return paused.length === 0
        ? null
        : warning(`paused by somebody: ${listSome(paused)}`, 'resume them with the tool that paused them');
    },
  },
  { name: 'queue-layout', look: checkLayouts },
  { name: 'queue-age', look: checkAge },
];

interface Named {
  readonly queue: QueueContent;
  readonly streamId: string;
  readonly partition: number;
}

function parseNames(queues: readonly QueueContent[]): Named[] {
  return queues.flatMap((queue) => {
    const [, streamId, partition] = /^stream-([0-9a-f-]{36})-(\d+)$/.exec(queue.name) ?? [];
    return streamId === undefined ? [] : [{ queue, streamId, partition: Number(partition) }];
  });
}

/** Queues of streams or partitions that are no more: a stream put aside, another database, fewer partitions. */
function checkLeftovers({ backend, prefix, queue: { queues }, progress }: QueueSubject): Outcome | null {
  if (progress === undefined || progress.migrations.pending.length > 0) return null;
  const partitions = new Map(progress.streams.map((stream) => [stream.id, stream.partitions]));
  const left = parseNames(queues).filter(
    ({ streamId, partition, queue }) =>
      partition >= (partitions.get(streamId) ?? 0) && queue.waiting + queue.failed > 0,
  );
  if (left.length === 0) return ok('no queues of streams that are gone');
  const jobs = left.reduce((sum, { queue }) => sum + queue.waiting + queue.failed, 0);
  const [first] = left;
  const fix =
    backend === 'redis'
      ? `redis-cli --scan --pattern '${prefix}:{${first?.queue.name}}:*' | xargs redis-cli DEL (for each of them)`
      : `DELETE FROM ${prefix}.job WHERE queue = '{${first?.queue.name}}' (for each of them)`;
  return notice(
    `${countOf(jobs, 'job')} of streams that this database does not have: ${listSome(left.map(({ queue }) => queue.name))}; nobody takes them up`,
    `if no other installation uses prefix ${prefix}: ${fix}`,
  );
}

function checkLayouts({ queue: { queues }, progress }: QueueSubject): Outcome | null {
  const layouts = new Map(progress?.streams.map((stream) => [stream.id, stream.layout]));
  const old = parseNames(queues).filter(
    ({ queue, streamId }) => queue.oldest !== null && queue.oldest.layout < (layouts.get(streamId) ?? 0),
  );
  if (old.length === 0) return null;
  return notice(
    `batches of a former division into partitions wait in ${listSome(old.map(({ queue }) => queue.name))}`,
    'nothing: the writers drop them when they come to them',
  );
}

const patienceSeconds = 300;

function checkAge({ queue: { queues }, now }: QueueSubject): Outcome {
  const waiting = queues.reduce((sum, queue) => sum + queue.waiting, 0);
  const oldest = Math.min(...queues.flatMap((queue) => (queue.oldest === null ? [] : [queue.oldest.enqueuedAt])));
  if (oldest === Infinity) return ok('no batch waits');
  const seconds = Math.max(0, (now - oldest) / 1000);
  const text = `${countOf(waiting, 'batch', 'batches')} wait, the oldest for ${formatDuration(seconds)}`;
  if (seconds < patienceSeconds) return ok(text);
  return warning(text, 'afterimage status shows which streams; start writers, or see why one stands');
}
