import { setTimeout as sleep } from 'node:timers/promises';
import { type Batch, eventLines, fingerprintOf, type StreamIdentity } from '@afterimage/change-events';
import { DelayedError, type Job, Worker } from 'bullmq';
import type { QueueConnection } from './connection.js';
import { decodeJob, type JobPayload } from './job-codec.js';
import { taggedQueueName } from './queue-name.js';

/** What became of a batch. `retry`: it stays in the queue and comes again, possibly after batches behind it. */
export type BatchOutcome = { readonly kind: 'done' } | { readonly kind: 'retry'; readonly inMs: number };

/** A job whose envelope this version does not understand. `payload` is what the queue held. */
export interface InvalidJob {
  readonly jobId: string;
  readonly payload: unknown;
  readonly error: Error;
}

export interface ConsumeOptions {
  /** Whose queue it is: then a batch that is of another stream or partition, or contradicts itself, is invalid. */
  readonly stream?: StreamIdentity;
  /**
   * Works on one batch. `signal` aborts when the consumer closes and its grace is over; whoever then stops early
   * rejects, and the batch stays in the queue. A rejection never loses the batch: it comes again in a second.
   */
  process(batch: Batch, signal: AbortSignal): Promise<BatchOutcome>;
  /** Decides on a job that holds no valid batch: `retry` keeps it for a newer version or a person, `done` removes it. */
  onInvalid(job: InvalidJob): Promise<BatchOutcome>;
  /** For the log: rejections of `process`, connection trouble, locks that ran out. */
  readonly onError: (error: Error) => void;
}

export interface BatchConsumer {
  /**
   * Takes no more batches and waits for the one in work: at most `graceMs` (default 10 s), then aborts it and waits
   * as long again.
   */
  close(graceMs?: number): Promise<void>;
}

/**
 * How soon the batch of a writer that died, froze or lost its network goes to another: its lock runs out at most
 * `lockDuration` after the last renewal, which is every half of that, and the check after that, every
 * `stalledInterval`, hands it on: 6.5 s at most, and a round trip or two. Shorter, and a writer whose event loop or
 * network stood still for two seconds would lose a batch that it works on. That does no harm beyond the work done twice:
 * positions decide, not locks. Longer is time in which the stream stands. Each consumer's checks cost the store one short
 * script per interval.
 */
const lockDuration = 5_000;
const stalledInterval = 1_500;
/** Idle workers look again after this, should a wake-up have been lost. Seconds. */
const drainDelay = 2;
const errorPauseMs = 1_000;
/** How long a fetch that failed waits. */
const fetchPauseMs = 500;
const defaultGraceMs = 10_000;

/** How long a worker rests that was woken in vain again and again, at first and at most; it doubles. */
const restMs = { first: 20, most: 500 } as const;
/** Two fetches in vain that are further apart have nothing to do with each other. */
const vainMs = 1_000;

/**
 * Upstream a fetch that the store refuses, as a full Redis does, is repeated at once, hundreds of times a second; and each
 * batch that one writer takes wakes another, which finds that there is none for it, as only one at a time may be worked on.
 * While a partition is busy elsewhere a worker rests between such looks. One that has had a batch itself since the last
 * does not: what woke it may have been that one.
 */
class PatientWorker extends Worker<JobPayload> {
  #inVain = 0;
  #lookedAt = -Infinity;
  readonly #closes = new AbortController();

  protected override async moveToActive(token: string, name?: string): Promise<Job<JobPayload>> {
    try {
      const job = await super.moveToActive(token, name);
      // Upstream's type hides that there may be none.
      if ((job as Job<JobPayload> | undefined) === undefined) await this.#rest();
      return job;
    } catch (error) {
      await sleep(fetchPauseMs);
      throw error;
    }
  }

  override close(force?: boolean): Promise<void> {
    this.#closes.abort();
    return super.close(force);
  }

  /** The looks before it count no more. */
  noteBatch(): void {
    this.#lookedAt = -Infinity;
  }

  async #rest(): Promise<void> {
    const now = performance.now();
    this.#inVain = now - this.#lookedAt < vainMs ? this.#inVain + 1 : 0;
    const { signal } = this.#closes;
    const pauseMs = Math.min(restMs.first * 2 ** (this.#inVain - 1), restMs.most);
    if (this.#inVain > 0) await sleep(pauseMs, undefined, { signal }).catch(() => undefined);
    this.#lookedAt = performance.now();
  }
}

/** Works on the batches of one partition, one at a time, in about the order they were added. */
export function consumeBatches(
  connection: QueueConnection,
  streamId: string,
  partition: number,
  options: ConsumeOptions,
): BatchConsumer {
  const binding = connection.bind();
  const name = taggedQueueName(streamId, partition);
  const stop = new AbortController();
  const work = async (job: Job<JobPayload>, token?: string): Promise<void> => {
    worker.noteBatch();
    const outcome = await settle(job, { ...options, partition }, stop.signal);
    if (outcome.kind === 'done') return;
    await job.moveToDelayed(Date.now() + outcome.inMs, token);
    throw new DelayedError();
  };
  const worker = new PatientWorker(
    name,
    work,
    {
      connection: binding.connection as object,
      prefix: connection.options.prefix,
      concurrency: 1,
      lockDuration,
      stalledInterval,
      maxStalledCount: 1_000_000_000,
      drainDelay,
      runRetryDelay: errorPauseMs,
      // For jobs that lost this setting of theirs.
      removeOnComplete: { count: 0 },
    },
    binding.factory as never,
  );
  worker.on('error', options.onError);
  return {
    close: async (graceMs = defaultGraceMs) => {
      // Whoever finishes a batch takes the next one, but not when it closes; and idle consumers don't hear of that.
      const closed = worker.close().then(() => void binding.wake(name).catch(() => undefined));
      if (await settlesWithin(closed, graceMs)) return;
      stop.abort(new Error('the consumer is closing'));
      if (await settlesWithin(closed, graceMs)) return;
      options.onError(new Error('a batch in work ignored the order to stop; its lock runs out by itself'));
    },
  };
}

interface Lane extends ConsumeOptions {
  readonly partition: number;
}

/**
 * Throws RangeError unless the batch belongs into the queue it came out of, and its parts fit each other. What is in the
 * queue is not trusted blindly: who can write there must not reach other tables, or the columns of later batches.
 */
function checkTrust(batch: Batch, { partition, stream }: Lane): void {
  if (stream === undefined) return;
  const isSame = (['id', 'source', 'database', 'table'] as const).every((part) => batch.stream[part] === stream[part]);
  if (!isSame || batch.partition !== partition) {
    throw new RangeError('the batch is of another stream or partition than its queue');
  }
  eventLines(batch);
  if (batch.ordinals !== undefined && batch.ordinals.length !== batch.count)
    throw new RangeError('not one ordinal for each event');
  const { fields, fingerprint } = batch.schema;
  if (fingerprintOf(fields) !== fingerprint) throw new RangeError('the fingerprint is not that of the fields');
}

async function settle(job: Job<JobPayload>, options: Lane, signal: AbortSignal): Promise<BatchOutcome> {
  if (isHollow(job.data)) {
    options.onError(new Error('a job without its batch, left over when the store lost its jobs, was removed'));
    return { kind: 'done' };
  }
  try {
    let batch: Batch;
    try {
      batch = decodeJob(job.data);
      checkTrust(batch, options);
    } catch (error) {
      return await options.onInvalid({ jobId: job.id ?? '', payload: job.data, error: toError(error) });
    }
    return await options.process(batch, signal);
  } catch (error) {
    if (signal.aborted) return { kind: 'retry', inMs: 0 };
    options.onError(toError(error));
    return { kind: 'retry', inMs: errorPauseMs };
  }
}

/**
 * Whether the job holds nothing at all. A Redis that is emptied while a writer works on a job is given some of that job's
 * fields again by the writer, without what it carried. The reader notices lost batches and sends them again.
 */
function isHollow(payload: unknown): boolean {
  return payload === undefined || payload === null || JSON.stringify(payload) === '{}';
}

function toError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}

async function settlesWithin(promise: Promise<unknown>, ms: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<false>((resolve) => (timer = setTimeout(resolve, ms, false)));
  try {
    return await Promise.race([promise.then(() => true), late]);
  } finally {
    clearTimeout(timer);
  }
}
