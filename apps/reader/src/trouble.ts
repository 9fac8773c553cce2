import { rootError } from '@afterimage/replica';
import type { Logger } from '@afterimage/service';

/** An error as `afterimage status` shows it: a code to decide on and a text that says what to do. */
export interface Trouble {
  readonly code: string;
  readonly message: string;
}

/** Works for every error that has a `code`, and an `advice` where there is one: those of sources, queues and pg. */
export function describeTrouble(error: unknown): Trouble {
  const { code, message, advice } = (rootError(error) ?? {}) as { code?: unknown; message?: unknown; advice?: unknown };
  const text = typeof message === 'string' && message !== '' ? message : String(error);
  return {
    code: typeof code === 'string' && code !== '' ? code : 'UNEXPECTED',
    message: typeof advice === 'string' ? `${text}. ${advice}` : text,
  };
}

/** Logs an interruption, the louder the longer it lasts. */
export function logTrouble(logger: Logger, error: unknown, attempt: number, pauseMs: number): void {
  const { code, message } = describeTrouble(error);
  const fields = { code, attempt, pauseMs };
  if (attempt <= 2) logger.info(fields, message);
  else if (attempt <= 5) logger.warn(fields, message);
  else logger.error(fields, message);
}

/** A listener for errors that can come many times a second while a server is away: one line per code in 30 s. */
export function createErrorLog(logger: Logger, topic: string): (error: unknown) => void {
  const quietUntil = new Map<string, number>();
  return (error) => {
    const { code, message } = describeTrouble(error);
    const now = Date.now();
    if ((quietUntil.get(code) ?? 0) > now) return;
    quietUntil.set(code, now + 30_000);
    logger.warn({ code }, `${topic}: ${message}`);
  };
}
