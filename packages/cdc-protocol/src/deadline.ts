import type { CdcError } from './errors.js';

/**
 * Settles as `work` does, or rejects with `error()` when that takes longer than `ms`. The timer never outlives
 * the call. `work` itself is not cancelled: the caller does that when this rejects.
 */
export async function withDeadline<T>(work: Promise<T>, ms: number, error: () => CdcError): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const deadline = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(error()), ms);
  });
  try {
    return await Promise.race([work, deadline]);
  } finally {
    clearTimeout(timer);
  }
}
