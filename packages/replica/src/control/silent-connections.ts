import type { Socket } from 'node:net';
import pg, { type Pool, type PoolClient } from 'pg';

export interface SilenceOptions {
  /** The pool's PostgreSQL. */
  readonly url: string;
  /** A connection lent for this long is looked at. Default 10 s. */
  readonly suspicionMs?: number;
  /** Time between two looks. Default 2.5 s. */
  readonly lookMs?: number;
  /** Told of each connection that was ended. */
  readonly onEnd: (processId: number) => void;
}

interface Loan {
  readonly since: number;
  /** Looks in a row that found PostgreSQL waiting for the client. */
  looks: number;
}

/** So often must PostgreSQL be found waiting on a connection that waits for PostgreSQL. */
const proof = 2;

/**
 * Ends connections of the pool whose network died without a word, so that whoever waits on one gets an error. TCP alone
 * takes up to fifteen minutes to give up bytes that nobody acknowledges, and never notices where something between still
 * does. A time limit for statements would end those that only take long, for ever; so PostgreSQL is asked, on another
 * connection, whether it works on the statement or waits for the client itself.
 *
 * Returns how to stop that. A pool that has ended is not looked at any more.
 */
export function endSilentConnections(pool: Pool, options: SilenceOptions): () => void {
  const { suspicionMs = 10_000, lookMs = 2_500 } = options;
  const loans = new Map<PoolClient, Loan>();
  const forget = (client: PoolClient): void => void loans.delete(client);
  const onAcquire = (client: PoolClient): void => void loans.set(client, { since: Date.now(), looks: 0 });
  const onRelease = (_error: unknown, client: PoolClient): void => forget(client);
  pool.on('acquire', onAcquire).on('release', onRelease).on('remove', forget);
  let looking = false;
  const timer = setInterval(() => {
    const suspects = [...loans].filter(([, { since }]) => Date.now() - since > suspicionMs).map(([client]) => client);
    if (looking || suspects.length === 0) return;
    looking = true;
    // While PostgreSQL cannot be asked nothing is known, and nothing is ended.
    const look = findWaiting(options.url, suspects.map(processIdOf)).catch(() => undefined);
    void look.then((waiting) => {
      looking = false;
      if (waiting !== undefined) judge(suspects, waiting);
    });
  }, lookMs);
  timer.unref();

  const judge = (suspects: readonly PoolClient[], waiting: ReadonlySet<number>): void => {
    for (const client of suspects) {
      const loan = loans.get(client);
      if (loan === undefined) continue;
      loan.looks = waiting.has(processIdOf(client)) ? loan.looks + 1 : 0;
      if (loan.looks < proof) continue;
      forget(client);
      options.onEnd(processIdOf(client));
      // Its own `end` would wait for the answers to what was sent.
      (client as PoolClient & { connection: { stream: Socket } }).connection.stream.destroy();
    }
  };
  return () => {
    clearInterval(timer);
    pool.off('acquire', onAcquire).off('release', onRelease).off('remove', forget);
  };
}

function processIdOf(client: PoolClient): number {
  return (client as PoolClient & { processID: number | null }).processID ?? 0;
}

/**
 * Those of the backends that have been waiting for their client for some seconds, or are gone. Undefined where process ids
 * mean nothing, because a connection pooler stands between.
 */
async function findWaiting(url: string, processIds: readonly number[]): Promise<ReadonlySet<number> | undefined> {
  const client = new pg.Client({
    connectionString: url,
    application_name: 'afterimage watch',
    connectionTimeoutMillis: 5_000,
    query_timeout: 5_000,
  });
  client.on('error', () => undefined);
  try {
    await client.connect();
    const { rows } = await client.query<{ own: number; busy: number[] }>(
      `SELECT pg_backend_pid() AS own, array(
         SELECT pid FROM pg_stat_activity
         WHERE pid = ANY ($1) AND (state NOT LIKE 'idle%' OR state_change > clock_timestamp() - interval '3 s')
       ) AS busy`,
      [processIds],
    );
    const [row] = rows;
    if (row === undefined || row.own !== (client as pg.Client & { processID?: number }).processID) return undefined;
    return new Set(processIds.filter((id) => !row.busy.includes(id)));
  } finally {
    await client.end().catch(() => undefined);
  }
}
