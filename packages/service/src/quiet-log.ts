import type { Logger } from './logger.js';

const defaultQuietMs = 30_000;

export interface QuietLogOptions {
  readonly logger: Logger;
  /** The error in one line. */
  readonly describe: (error: unknown) => string;
  readonly quietMs?: number;
  readonly now?: () => number;
}

/**
 * A place to warn about errors that come many times a second while a server is away: each kind, told by topic and
 * words, is logged once in half a minute.
 */
export function createQuietLog(options: QuietLogOptions): (topic: string, error: unknown) => void {
  const { logger, describe, quietMs = defaultQuietMs, now = Date.now } = options;
  const quietUntil = new Map<string, number>();
  return (topic, error) => {
    const text = describe(error);
    const key = `${topic}\n${text}`;
    const time = now();
    if ((quietUntil.get(key) ?? 0) > time) return;
    for (const [old, until] of quietUntil) if (until <= time) quietUntil.delete(old);
    quietUntil.set(key, time + quietMs);
    logger.warn({ error: text }, topic);
  };
}
