import { CommandError } from '../failures.js';

/** What shells expect of a program that Ctrl-C ended. */
const interruptedExitCode = 130;

/** Ctrl-C and its kin, as something that work can be guarded with. */
export interface Interruption {
  readonly signal: AbortSignal;
  /** Resolves when it comes. */
  readonly arrived: Promise<void>;
  /** The work's result, or a rejection as soon as the interruption comes. */
  guard<T>(work: Promise<T>): Promise<T>;
  close(): void;
}

/** Listens for the signals that end a program; a second one ends it at once. */
export function createInterruption(): Interruption {
  const controller = new AbortController();
  const { signal } = controller;
  const interrupt = () => {
    if (signal.aborted) process.exit(interruptedExitCode);
    controller.abort(new CommandError('interrupted', interruptedExitCode));
  };
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  for (const each of signals) process.on(each, interrupt);
  const arrived = new Promise<void>((resolve) => {
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
  return {
    signal,
    arrived,
    guard: async (work) => {
      const interrupted = arrived.then(() => Promise.reject<never>(signal.reason as CommandError));
      // What was interrupted may fail later, when what it works with is gone.
      work.catch(() => undefined);
      return Promise.race([work, interrupted]);
    },
    close: () => {
      for (const each of signals) process.off(each, interrupt);
    },
  };
}
