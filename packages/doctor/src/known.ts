import { redactUrl } from '@afterimage/service';

/** Facts that were read, or why they could not be. */
export type Known<T> =
  | { readonly kind: 'known'; readonly value: T }
  | { readonly kind: 'unknown'; readonly code: string | null; readonly cause: string };

/**
 * What `read` gives within the time; never rejects. The signal tells `read` to stop. Causes are one line without
 * passwords: they are printed as they are.
 */
export async function readWithin<T>(timeoutMs: number, read: (signal: AbortSignal) => Promise<T>): Promise<Known<T>> {
  const controller = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new LateError(timeoutMs)), timeoutMs);
  });
  try {
    return { kind: 'known', value: await Promise.race([read(controller.signal), late]) };
  } catch (error) {
    return { kind: 'unknown', code: codeOf(error), cause: describeCause(error) };
  } finally {
    clearTimeout(timer);
    controller.abort();
  }
}

class LateError extends Error {
  readonly code = 'NO_ANSWER';

  constructor(timeoutMs: number) {
    super(`no answer within ${timeoutMs / 1000} s`);
  }
}

/** A failed connection to a name with several addresses has one error for each. */
function codeOf(error: unknown): string | null {
  if (error instanceof AggregateError) return codeOf(error.errors[0]);
  const { code, cause } = (error ?? {}) as { code?: unknown; cause?: unknown };
  if (typeof code === 'string') return code;
  return cause === undefined ? null : codeOf(cause);
}

/** One line for a terminal. MariaDB's connector adds the statement and its own number: what the server said is enough. */
function describeCause(error: unknown): string {
  if (error instanceof AggregateError) return describeCause(error.errors[0]);
  // fetch says only that it failed.
  if (error instanceof TypeError && error.cause !== undefined) return describeCause(error.cause);
  const { sqlMessage } = (error ?? {}) as { sqlMessage?: unknown };
  const text = typeof sqlMessage === 'string' ? sqlMessage : error instanceof Error ? error.message : String(error);
  return redactUrl(text.split('\n')[0] ?? '').slice(0, 300);
}
