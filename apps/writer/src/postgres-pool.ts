import { Pool } from 'pg';
import { describeError, endSilentConnections, serverKeepalive, withServerOptions } from '@afterimage/replica';
import type { Logger } from '@afterimage/service';

/** What an operator may set otherwise, in the URL. A batch that a role's time-out always ends would never be applied. */
const limits = '-c lock_timeout=10s -c statement_timeout=0';
/**
 * So that PostgreSQL, too, notices a writer that is gone or stands still, and frees the offset rows that it has locked.
 * Between two statements of a batch a writer takes milliseconds.
 */
const presence = `-c idle_in_transaction_session_timeout=30s ${serverKeepalive}`;
/** Values enter and leave as text in these, whatever the settings of role, database and URL are. */
const textForms = '-c datestyle=ISO -c timezone=UTC -c intervalstyle=postgres -c extra_float_digits=1';

export interface WriterPoolOptions {
  readonly url: string;
  /** How many batches may be applied at once. */
  readonly connections: number;
  readonly logger: Logger;
}

/** Connections are told who they are, and to be dead soon when the network is. */
export function createWriterPool({ url, connections, logger }: WriterPoolOptions): Pool {
  const pool = new Pool({
    connectionString: withServerOptions(url, { first: `${limits} ${presence}`, last: textForms }),
    max: connections,
    // Queries go out without waiting for the answer to the one before: two round trips to a batch instead of five.
    pipeline: true,
    application_name: 'afterimage-writer',
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
    connectionTimeoutMillis: 10_000,
  });
  pool.on('error', (error) => logger.warn({ error: describeError(error) }, 'idle PostgreSQL connection lost'));
  endSilentConnections(pool, {
    url,
    onEnd: (processId) =>
      logger.warn({ processId }, 'PostgreSQL connection ended: PostgreSQL waits for us, and we for it'),
  });
  return pool;
}
