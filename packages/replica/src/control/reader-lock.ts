import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { serverKeepalive, withServerOptions } from './connection-options.js';

export interface ReaderLockRequest {
  /** PostgreSQL of the control tables. */
  readonly url: string;
  readonly source: string;
  /** Who asks, for people: host and process id. */
  readonly instance: string;
  /** Ends the waiting; the promise then rejects with the signal's reason. */
  readonly signal: AbortSignal;
  /** Called once when another reader has the lock. */
  readonly onStandby?: () => void;
  /** Called when PostgreSQL cannot be reached; the waiting goes on. */
  readonly onError?: (error: unknown) => void;
  /** How often a standby asks and an owner proves its connection alive. Default 500 ms and 5 s. */
  readonly pollMs?: number;
  readonly heartbeatMs?: number;
}

/** The right to read a source, for as long as the connection that holds it lives. */
export interface ReaderLock {
  /** Counts the take-overs of this source, from 1. */
  readonly epoch: bigint;
  /** Aborts when the lock is gone: connection closed, or no answer to a heartbeat. */
  readonly lost: AbortSignal;
  /** Gives the lock back. Safe to call twice, and after a loss. */
  release(): Promise<void>;
}

const defaultPollMs = 500;
const defaultHeartbeatMs = 5_000;
/**
 * So that the server, too, notices a reader whose machine is gone, within about 25 s instead of two hours, and one that
 * stands still while its machine answers: no heartbeat comes then.
 */
const serverLimits = (heartbeatMs: number): string =>
  `${serverKeepalive} -c idle_session_timeout=${Math.max(heartbeatMs * 5, 2_000)}`;

/**
 * Waits until this process is the only active reader of `source`, through outages of PostgreSQL too. The lock is
 * a session-level advisory lock on a connection of its own: it ends with that connection, so a reader that dies
 * frees it at once. One that merely lost its connection may read on for a moment beside its successor; positions
 * make that harmless.
 */
export async function acquireReaderLock(request: ReaderLockRequest): Promise<ReaderLock> {
  const { signal, pollMs = defaultPollMs } = request;
  let told = false;
  const onStandby = (): void => {
    if (!told) request.onStandby?.();
    told = true;
  };
  for (;;) {
    signal.throwIfAborted();
    try {
      return await waitForLock({ ...request, onStandby });
    } catch (error) {
      signal.throwIfAborted();
      request.onError?.(error);
      await sleep(Math.max(pollMs, 100), undefined, { signal }).catch(() => undefined);
    }
  }
}

/** One connection's try: waits for the lock, rejects when the connection breaks. */
async function waitForLock(request: ReaderLockRequest): Promise<ReaderLock> {
  const { signal, pollMs = defaultPollMs, heartbeatMs = defaultHeartbeatMs } = request;
  const client = await connect(request.url, heartbeatMs);
  try {
    while (!(await tryLock(client, request.source))) {
      request.onStandby?.();
      await sleep(pollMs, undefined, { signal });
    }
    return holdLock(client, await startEpoch(client, request), heartbeatMs);
  } catch (error) {
    await client.end().catch(() => undefined);
    throw error;
  }
}

async function connect(url: string, heartbeatMs: number): Promise<pg.Client> {
  const client = new pg.Client({
    connectionString: withServerOptions(url, { last: serverLimits(heartbeatMs) }),
    application_name: 'afterimage reader lock',
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
    connectionTimeoutMillis: 10_000,
    query_timeout: Math.max(heartbeatMs * 2, 1_000),
  });
  client.on('error', () => undefined);
  await client.connect();
  return client;
}

async function tryLock(client: pg.Client, source: string): Promise<boolean> {
  const { rows } = await client.query<{ locked: boolean }>(
    `SELECT pg_try_advisory_lock(hashtextextended('afterimage.reader:' || $1, 0)) AS locked`,
    [source],
  );
  return rows[0]?.locked === true;
}

async function startEpoch(client: pg.Client, { source, instance }: ReaderLockRequest): Promise<bigint> {
  const { rows } = await client.query<{ epoch: string }>(
    `INSERT INTO afterimage.readers AS r (source, epoch, instance) VALUES ($1, 1, $2)
     ON CONFLICT (source) DO UPDATE SET epoch = r.epoch + 1, instance = excluded.instance, acquired_at = now()
     RETURNING epoch`,
    [source, instance],
  );
  return BigInt(rows[0]?.epoch ?? '0');
}

function holdLock(client: pg.Client, epoch: bigint, heartbeatMs: number): ReaderLock {
  const lost = new AbortController();
  let released: Promise<void> | undefined;
  const lose = (cause: unknown): void => {
    clearInterval(heartbeat);
    if (released === undefined) lost.abort(new Error('the reader lock is lost', { cause }));
  };
  const heartbeat = setInterval(() => {
    client.query('SELECT 1').catch((error: unknown) => {
      lose(error);
      // A connection that does not answer must not keep the lock.
      client.end().catch(() => undefined);
    });
  }, heartbeatMs);
  heartbeat.unref();
  client.on('error', lose);
  client.on('end', () => lose(new Error('connection closed')));
  return {
    epoch,
    lost: lost.signal,
    release: () => {
      clearInterval(heartbeat);
      released ??= client.end().catch(() => undefined);
      return released;
    },
  };
}
