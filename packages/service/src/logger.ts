import { Writable } from 'node:stream';
import { type DestinationStream, type Logger, pino } from 'pino';
import { toPrintable, toPrintableJson } from './printable.js';
import { redactSecrets, redactUrl } from './redact.js';

export type { Logger } from 'pino';
export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

export interface LoggerOptions {
  readonly name: string;
  readonly level: LogLevel;
  /** Lines for a person instead of JSON. */
  readonly pretty?: boolean;
  /** Default: standard output. */
  readonly destination?: DestinationStream;
}

/**
 * One JSON object per line: time (ISO 8601), level (as a word), name, msg and the given fields. Passwords, alone
 * or inside URLs, are replaced by `***` wherever they stand, error messages and stacks included. Lines are
 * written at once, so that none is lost when the process ends.
 */
export function createLogger({ name, level, pretty = false, destination }: LoggerOptions): Logger {
  const target = destination ?? pino.destination({ dest: 1, sync: true });
  return pino(
    {
      name,
      level,
      base: { name },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: {
        level: (label) => ({ level: label }),
        log: (fields) => redactSecrets(fields) as Record<string, unknown>,
      },
      serializers: { err: serializeError, error: serializeError },
      hooks: {
        logMethod(args, method) {
          const [first, ...rest] = args as [unknown, ...unknown[]];
          const texts = rest.map((arg) => (typeof arg === 'string' ? redactUrl(arg) : arg));
          const whole =
            first instanceof Error && texts.length === 0
              ? [{ err: first }, redactUrl(first.message)]
              : [typeof first === 'string' ? redactUrl(first) : first, ...texts];
          method.apply(this, whole as typeof args);
        },
      },
    },
    pretty ? createPrettyStream(target) : { write: (line) => target.write(toPrintableJson(line)) },
  );
}

function serializeError(error: unknown): unknown {
  if (!(error instanceof Error)) return redactSecrets(error);
  const { code } = error as { code?: unknown };
  return {
    type: error.name,
    message: redactUrl(error.message),
    ...(code === undefined ? {} : { code }),
    stack: redactUrl(error.stack ?? ''),
    ...(error.cause === undefined ? {} : { cause: serializeError(error.cause) }),
  };
}

function createPrettyStream(target: DestinationStream): Writable {
  return new Writable({
    decodeStrings: false,
    write(line: string, _encoding, done) {
      target.write(formatLine(line));
      done();
    },
  });
}

interface LogLine {
  readonly time: string;
  readonly level: string;
  readonly name: string;
  readonly msg?: string;
  readonly err?: { readonly message?: string; readonly stack?: string };
  readonly [field: string]: unknown;
}

/** `14:03:22.118 info  reader  connected  host=db1`: values that hold spaces or control characters are quoted. */
function formatLine(line: string): string {
  const { time, level, name, msg, err, ...fields } = JSON.parse(line) as LogLine;
  const rest = Object.entries(fields).map(([key, value]) => `${key}=${formatValue(value)}`);
  const { message = '', stack } = err ?? {};
  const parts = [time.slice(11, 23), level.padEnd(5), name, toPrintable(msg ?? message), ...rest];
  return `${parts.join('  ')}\n${level === 'error' && stack !== undefined ? formatStack(stack) : ''}`;
}

/** A message of several lines goes on indented: at the start of a line it could be taken for one of the log's own. */
function formatStack(stack: string): string {
  return stack
    .split('\n')
    .map((line) => `    ${toPrintable(line.trimStart())}\n`)
    .join('');
}

function formatValue(value: unknown): string {
  const isPlain = typeof value === 'string' && /^[\w./:@+-]+$/.test(value);
  return isPlain ? value : toPrintableJson(JSON.stringify(value));
}
