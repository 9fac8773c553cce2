export interface Backoff {
  /** The delay before the next try, in milliseconds. */
  next(): number;
  /** How many delays were given out since the last success. */
  readonly attempts: number;
  /** To be called after a success: the next delay is a short one again. */
  reset(): void;
}

export interface BackoffOptions {
  readonly minMs: number;
  readonly maxMs: number;
  /** In [0, 1). */
  readonly random?: () => number;
}

/**
 * Delays that double from `minMs` to `maxMs` with jitter: each is between half and the whole of its step, so that
 * many clients of one failed server don't come back at the same moment.
 */
export function createBackoff({ minMs, maxMs, random = Math.random }: BackoffOptions): Backoff {
  let attempts = 0;
  return {
    next: () => {
      const step = Math.min(maxMs, minMs * 2 ** attempts);
      attempts += 1;
      return Math.round(step / 2 + (random() * step) / 2);
    },
    get attempts() {
      return attempts;
    },
    reset: () => {
      attempts = 0;
    },
  };
}

/** Waits `ms` milliseconds, or until `signal` aborts. Resolves with whether the whole time has passed; never rejects. */
export async function sleep(ms: number, signal?: AbortSignal): Promise<boolean> {
  if (signal?.aborted === true) return false;
  return new Promise((resolve) => {
    const finish = (passed: boolean) => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', abort);
      resolve(passed);
    };
    const abort = () => finish(false);
    const timer = setTimeout(() => finish(true), ms);
    signal?.addEventListener('abort', abort, { once: true });
  });
}
