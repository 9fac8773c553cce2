import { ConfigError } from './config.js';
import type { Logger } from './logger.js';

const closeTimeoutMs = 30_000;

/** Exit codes that every program of Afterimage uses. */
export const exitCodes = {
  ok: 0,
  /** Something failed; the last line of the output says what and what to do. */
  error: 1,
  /** Wrong command line or configuration. */
  usage: 2,
  /** The check ran and found a difference, or a stream is degraded. */
  difference: 3,
} as const;

export function exitCodeOf(error: unknown): number {
  return error instanceof ConfigError ? exitCodes.usage : exitCodes.error;
}

export interface ServiceScope {
  /** Registers something to close when the service ends; closed in reverse order, one after the other. */
  onClose(name: string, close: () => Promise<void> | void): void;
}

export interface ServiceOptions {
  readonly name: string;
  readonly logger: Logger;
  /** Does the work until `signal` aborts. Returning earlier ends the service too; throwing ends it with code 1. */
  readonly main: (signal: AbortSignal, scope: ServiceScope) => Promise<void>;
}

/**
 * Runs a service to its end, then ends the process with an exit code: 0 after SIGTERM or SIGINT, 1 after an error,
 * 2 when the configuration is wrong. The first signal aborts `main`, then everything registered is closed in
 * reverse order; a second signal, or 30 seconds without an end, exit at once with 1. An error nobody handled is
 * logged and ends the service the same way.
 */
export async function runService({ name, logger, main }: ServiceOptions): Promise<never> {
  const controller = new AbortController();
  const closers: { name: string; close: () => Promise<void> | void }[] = [];
  let exitCode: number = exitCodes.ok;

  const fail = (error: unknown, message: string) => {
    exitCode = Math.max(exitCode, exitCodeOf(error));
    const { code } = (error ?? {}) as { code?: unknown };
    logger.error({ err: error, code, exitCode }, message);
  };
  const startDeadline = once(() => {
    setTimeout(() => {
      logger.error(
        { code: 'CLOSE_TIMEOUT', exitCode: exitCodes.error },
        `${name} did not end within ${closeTimeoutMs} ms`,
      );
      process.exit(exitCodes.error);
    }, closeTimeoutMs).unref();
  });
  const onSignal = (signal: NodeJS.Signals) => {
    if (controller.signal.aborted) {
      logger.warn({ signal }, 'second signal: ending at once');
      process.exit(exitCodes.error);
    }
    logger.info({ signal }, `${name} is stopping`);
    startDeadline();
    controller.abort();
  };
  const onUnhandled = (error: unknown) => {
    fail(error, 'unhandled error');
    startDeadline();
    controller.abort();
  };
  process.on('SIGTERM', onSignal).on('SIGINT', onSignal);
  process.on('uncaughtException', onUnhandled).on('unhandledRejection', onUnhandled);

  await main(controller.signal, { onClose: (closerName, close) => closers.push({ name: closerName, close }) }).catch(
    (error: unknown) => fail(error, `${name} failed`),
  );
  startDeadline();
  controller.abort();
  for (const closer of closers.reverse()) {
    try {
      await closer.close();
    } catch (error) {
      fail(error, `closing ${closer.name} failed`);
    }
  }
  logger.info({ exitCode }, `${name} has stopped`);
  process.exit(exitCode);
}

function once(action: () => void): () => void {
  let done = false;
  return () => {
    if (!done) action();
    done = true;
  };
}
