import { once } from 'node:events';
import { type FilledTable, quoteName, quoteTable, withConnection } from '@afterimage/replica';
import type { Pool, PoolClient } from 'pg';
import { type CopyStreamQuery, from as copyFrom } from 'pg-copy-streams';

/** Tables that take the same rows, each through a COPY of its own. */
export interface CopyTarget {
  /** Takes lines of COPY's text format. Resolves when there is room for more, rejects when it is lost. */
  write(block: Buffer): Promise<void>;
  /** Aborts, with the error, as soon as one of the COPYs fails. */
  readonly failed: AbortSignal;
}

/**
 * Begins a COPY into each table, on as many connections, gives them to `work`, and ends them when it resolves. Where it
 * rejects, or a COPY fails, the tables are of no use any more: some may be filled and others not. What PostgreSQL said first
 * is thrown then, before all that followed from it.
 */
export async function fillTables(
  { pool, tables, signal }: { pool: Pool; tables: readonly FilledTable[]; signal: AbortSignal },
  work: (target: CopyTarget) => Promise<void>,
): Promise<void> {
  await withConnections(pool, tables.length, async (clients) => {
    await Promise.all(clients.map(allowTime));
    const failure = new AbortController();
    // All at once, so that none has begun when another cannot.
    const copies = tables.flatMap((filled, i) => clients.slice(i, i + 1).map((client) => beginCopy(client, filled)));
    const finished = copies.map((copy) => settle(copy, failure));
    const abort = (): void => copies.forEach((copy) => copy.destroy(signal.reason as Error));
    signal.addEventListener('abort', abort, { once: true });
    try {
      signal.throwIfAborted();
      await work(createTarget(copies, failure.signal));
      for (const copy of copies) copy.end();
      await Promise.all(finished);
    } catch (error) {
      const first: unknown = failure.signal.aborted ? failure.signal.reason : error;
      for (const copy of copies) copy.destroy(first as Error);
      throw await findCause(finished, first);
    } finally {
      signal.removeEventListener('abort', abort);
    }
  });
}

async function withConnections(
  pool: Pool,
  count: number,
  work: (clients: readonly PoolClient[]) => Promise<void>,
  taken: readonly PoolClient[] = [],
): Promise<void> {
  if (taken.length === count) return work(taken);
  await withConnection(pool, (client) => withConnections(pool, count, work, [...taken, client]));
}

async function allowTime(client: PoolClient): Promise<void> {
  await client.query(
    `SELECT set_config('statement_timeout', '0', false), set_config('idle_in_transaction_session_timeout', '0', false)`,
  );
}

function beginCopy(client: PoolClient, { table, columns }: FilledTable): CopyStreamQuery {
  return client.query(copyFrom(`COPY ${quoteTable(table)} (${columns.map(quoteName).join(', ')}) FROM STDIN`));
}

function settle(copy: CopyStreamQuery, failure: AbortController): Promise<void> {
  const finished = new Promise<void>((resolve, reject) => {
    copy.once('finish', resolve);
    // It stays: a second error, as when it is closed after the first, must not end the process.
    copy.on('error', (error) => {
      failure.abort(error);
      reject(error);
    });
  });
  finished.catch(() => undefined);
  return finished;
}

function createTarget(copies: readonly CopyStreamQuery[], failed: AbortSignal): CopyTarget {
  return {
    failed,
    write: async (block) => {
      const full = copies.filter((copy) => !copy.write(block));
      await Promise.all(full.map((copy) => once(copy, 'drain', { signal: failed })));
    },
  };
}

/** What PostgreSQL says first is the cause; that the client ended its COPY (57014) is not. */
async function findCause(finished: readonly Promise<void>[], error: unknown): Promise<unknown> {
  const results = await Promise.allSettled(finished);
  const said = results.flatMap((result) => (result.status === 'rejected' ? [result.reason as unknown] : []));
  return said.find((cause) => isServerError(cause) && cause.code !== '57014') ?? error;
}

function isServerError(error: unknown): error is { readonly code: unknown } {
  return (error as { severity?: unknown } | null)?.severity !== undefined;
}
