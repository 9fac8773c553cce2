import { constants } from 'node:buffer';
import { randomUUID } from 'node:crypto';
import type { ConnectionOptions as TlsConnectionOptions } from 'node:tls';
import { CdcError } from './errors.js';

/** TLS towards the listener; the values are Node's (`tls.connect`): PEM text or Buffer, not paths. */
export type TlsOptions = Pick<TlsConnectionOptions, 'ca' | 'cert' | 'key' | 'servername' | 'rejectUnauthorized'>;

export interface Timeouts {
  /** TCP connect and, with TLS, its handshake. Milliseconds, default 10,000. */
  dialMs?: number;
  /** Wait for the answer to the authentication, and again for that to REGISTER. Default 30,000. */
  handshakeMs?: number;
  /** Until the socket has taken a command. Default 10,000. */
  writeMs?: number;
  /**
   * Longest silence after a request while the client is reading. None by default: the protocol has no
   * heartbeat, a quiet table is silent for as long as nobody writes to it.
   */
  idleMs?: number;
}

export interface ConnectOptions {
  host: string;
  /** Port of the CDC listener; MaxScale's documentation uses 4001. */
  port: number;
  user: string;
  password: string;
  /** How this client is called in MaxScale's diagnostics; a random UUID by default. */
  uuid?: string;
  /** Present, even empty: use TLS. */
  tls?: TlsOptions;
  timeouts?: Timeouts;
  /** Idle time before TCP keep-alive probes, milliseconds; 0 turns them off. Default 10,000. */
  keepAliveMs?: number;
  /** Longest line accepted, in bytes. Default 64 MiB. */
  maxLineBytes?: number;
  /** Aborts the dialling, or later closes the connection. */
  signal?: AbortSignal;
}

/** ConnectOptions, checked and with every default filled in. */
export interface Settings {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly uuid: string;
  readonly tls: TlsOptions | undefined;
  readonly dialMs: number;
  readonly handshakeMs: number;
  readonly writeMs: number;
  /** 0 = none. */
  readonly idleMs: number;
  readonly keepAliveMs: number;
  readonly maxLineBytes: number;
  readonly signal: AbortSignal | undefined;
}

const maxTimerMs = 2 ** 31 - 1;

/** Throws CdcError INVALID_ARGUMENT naming the first wrong option. */
export function completeOptions(options: ConnectOptions): Settings {
  const { timeouts = {} } = options;
  return {
    host: checkHost(options.host),
    port: checkInteger('port', options.port, 1, 65_535),
    user: options.user,
    password: options.password,
    uuid: options.uuid ?? randomUUID(),
    tls: options.tls,
    dialMs: checkInteger('timeouts.dialMs', timeouts.dialMs ?? 10_000, 1, maxTimerMs),
    handshakeMs: checkInteger('timeouts.handshakeMs', timeouts.handshakeMs ?? 30_000, 1, maxTimerMs),
    writeMs: checkInteger('timeouts.writeMs', timeouts.writeMs ?? 10_000, 1, maxTimerMs),
    idleMs: checkInteger('timeouts.idleMs', timeouts.idleMs ?? 0, 0, maxTimerMs),
    keepAliveMs: checkInteger('keepAliveMs', options.keepAliveMs ?? 10_000, 0, maxTimerMs),
    maxLineBytes: checkInteger(
      'maxLineBytes',
      options.maxLineBytes ?? 64 * 1024 * 1024,
      1,
      constants.MAX_STRING_LENGTH,
    ),
    signal: options.signal,
  };
}

function checkHost(host: string): string {
  if (host === '') throw new CdcError('INVALID_ARGUMENT', 'host must not be empty');
  return host;
}

function checkInteger(name: string, value: number, min: number, max: number): number {
  if (Number.isInteger(value) && value >= min && value <= max) return value;
  throw new CdcError('INVALID_ARGUMENT', `${name} must be an integer from ${min} to ${max}, not ${value}`);
}
