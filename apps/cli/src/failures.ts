import { StreamNotFound } from '@afterimage/replica';
import { ConfigError, exitCodes, redactUrl, toPrintable } from '@afterimage/service';
import { CommanderError } from 'commander';

/** A command cannot do its work; the message is one line that says what to do. */
export class CommandError extends Error {
  override readonly name = 'CommandError';
  readonly exitCode: number;

  constructor(message: string, exitCode: number = exitCodes.error, cause?: unknown) {
    super(message, { cause });
    this.exitCode = exitCode;
  }
}

export interface Failure {
  /** Empty when it has been told already. */
  readonly message: string;
  readonly exitCode: number;
}

/** What to tell the user about an error, and the exit code that goes with it. */
export function explainFailure(error: unknown): Failure {
  if (error instanceof CommanderError) return { message: '', exitCode: error.exitCode === 0 ? 0 : exitCodes.usage };
  if (error instanceof CommandError) return { message: printLines(error.message), exitCode: error.exitCode };
  if (error instanceof ConfigError) return { message: printLines(error.message), exitCode: exitCodes.usage };
  if (error instanceof StreamNotFound) return { message: toPrintable(error.message), exitCode: exitCodes.usage };
  const text = error instanceof Error ? error.message || error.name : String(error);
  return { message: toPrintable(redactUrl(text)), exitCode: exitCodes.error };
}

/** Where an error came from, for `--debug`. */
export function describeStack(error: Error): string {
  return printLines(redactUrl(error.stack ?? ''));
}

/** Our own messages may have several lines; what they quote is one line by then. */
function printLines(text: string): string {
  return text.split('\n').map(toPrintable).join('\n');
}

type PostgresAdvice = (place: string) => string;

const advice: Readonly<Record<string, PostgresAdvice>> = {
  ECONNREFUSED: (place) =>
    `no PostgreSQL answers at ${place}: start it, or correct postgres.url (AFTERIMAGE_POSTGRES_URL)`,
  ENOTFOUND: (place) => `the host of ${place} is not known: correct postgres.url (AFTERIMAGE_POSTGRES_URL)`,
  EAI_AGAIN: (place) => `the host of ${place} cannot be looked up now: check the name server, or correct postgres.url`,
  ETIMEDOUT: (place) => `${place} does not answer: check network and firewall, or correct postgres.url`,
  ECONNRESET: (place) =>
    `the connection to PostgreSQL at ${place} broke off: check postgres.url, that a PostgreSQL listens there and has not stopped, and whether it wants TLS (?sslmode=require)`,
  '28P01': (place) => `PostgreSQL at ${place} refused the password: correct postgres.url (AFTERIMAGE_POSTGRES_URL)`,
  '28000': (place) => `PostgreSQL at ${place} refused the user or the connection: see its pg_hba.conf and postgres.url`,
  '3D000': (place) => `there is no such database at ${place}: create it (CREATE DATABASE …), or correct postgres.url`,
  '53300': (place) => `PostgreSQL at ${place} has no connection left: raise max_connections, or stop something`,
  '57P03': (place) => `PostgreSQL at ${place} is starting or stopping: try again in a moment`,
  '42501': (place) => `the user of ${place} lacks a privilege: see docs/operations.md for the ones that are needed`,
};

/** The error of a PostgreSQL call as a line with what to do, or the error itself where there is no better one. */
export function explainPostgres(error: unknown, url: string): unknown {
  const code = codeOf(error) ?? lostCode(error);
  const tell = code === undefined ? undefined : advice[code];
  if (tell === undefined) return error;
  const detail = code === '42501' && error instanceof Error ? ` (${toPrintable(error.message)})` : '';
  return new CommandError(tell(placeOf(url)) + detail, exitCodes.error, error);
}

/** A failed connection to a name with several addresses has one error for each. */
function codeOf(error: unknown): string | undefined {
  if (error instanceof AggregateError) return codeOf(error.errors[0]);
  const { code } = (error ?? {}) as { code?: unknown };
  return typeof code === 'string' ? code : undefined;
}

/** pg gives a connection that ends in the middle neither code nor class; its words are all there is. */
function lostCode(error: unknown): string | undefined {
  return error instanceof Error && /^Connection terminated|timeout exceeded when trying to connect/.test(error.message)
    ? 'ECONNRESET'
    : undefined;
}

function placeOf(url: string): string {
  const { hostname, port, pathname, username } = new URL(url);
  const user = username === '' ? '' : `${username}@`;
  return `${user}${hostname || 'localhost'}:${port || '5432'}${pathname}`;
}
