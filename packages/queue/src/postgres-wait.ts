import type { PostgresConnection } from 'bullmq';

/** How BullMQ's SQL announces that a queue has work: on this channel, with the queue's name. */
export const jobsChannel = 'bullmq_jobs';

/** While another writer has the job in work, what is announced meanwhile is looked at together, after this. */
const lookAgainMs = 10;

/**
 * Whether something can be taken, whether a job is in work, and when the next delayed one is due. One query, of three
 * index look-ups.
 */
const lookStatement = `SELECT EXISTS (SELECT FROM job WHERE queue = $1 AND state = 'waiting') AS waiting,
    EXISTS (SELECT FROM job WHERE queue = $1 AND state = 'active') AS taken,
    (SELECT min(process_at_ms) FROM job WHERE queue = $1 AND state = 'delayed') AS due`;

interface Look {
  readonly waiting: boolean;
  readonly taken: boolean;
  /** Milliseconds since 1970; a bigint, so pg gives text. */
  readonly due: string | null;
}

export type Listener = Awaited<ReturnType<PostgresConnection['getListenClient']>>;

export interface WaitOptions {
  readonly pool: PostgresConnection['pool'];
  /** Listens to `jobsChannel`. */
  readonly listener: Listener;
  readonly queue: string;
  readonly timeoutMs: number;
  /** Ends the wait at once. */
  readonly signal: AbortSignal;
}

/**
 * Waits until `queue` has a job to take and no other consumer has one in work, a delayed job is due, or the time is
 * over. True = there is work.
 *
 * BullMQ's own wait ends whenever a job waits, also while another writer may not be joined because of the limit of one
 * job at a time: writers without work then ask again and again, all the time. Whoever finishes a job takes the next
 * one with it, so nobody else needs to hurry; when it takes none, it announces that (see `moveToCompleted`).
 */
export async function waitForWork({ pool, listener, queue, timeoutMs, signal }: WaitOptions): Promise<boolean> {
  const endsAt = Date.now() + timeoutMs;
  let taken = true;
  let looking = false;
  let again: NodeJS.Timeout | undefined;
  let ended = false;
  return new Promise((resolve) => {
    const finish = (found: boolean): void => {
      ended = true;
      clearTimeout(again);
      clearTimeout(end);
      listener.removeListener('notification', onNotification);
      signal.removeEventListener('abort', onAbort);
      resolve(found);
    };
    let end = setTimeout(finish, timeoutMs, false);
    const look = async (): Promise<void> => {
      again = undefined;
      looking = true;
      const found = await pool.query<Look>(lookStatement, [queue]).catch(() => undefined);
      looking = false;
      const state = found?.rows[0];
      // Without an answer the wait goes on to its end.
      if (state === undefined || ended) return;
      taken = state.taken;
      if (state.waiting && !taken) return finish(true);
      if (state.due === null) return;
      clearTimeout(end);
      end = setTimeout(finish, Math.max(0, Math.min(Number(state.due), endsAt) - Date.now()), false);
    };
    const onNotification = ({ channel, payload }: { channel: string; payload?: string | undefined }): void => {
      if (channel !== jobsChannel || payload !== queue) return;
      // An answer that is under way may be older than what is announced.
      if (taken || looking) again ??= setTimeout(() => void look(), lookAgainMs);
      else finish(true);
    };
    const onAbort = (): void => finish(false);
    listener.on('notification', onNotification);
    signal.addEventListener('abort', onAbort);
    if (signal.aborted) finish(false);
    else void look();
  });
}
