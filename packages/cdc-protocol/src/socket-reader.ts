import type { Socket } from 'node:net';
import { CdcError } from './errors.js';

/** Bytes held for a consumer that is not waiting, before the socket is paused. */
const highWaterBytes = 256 * 1024;

interface Waiter {
  resolve: (chunk: Buffer | undefined) => void;
  reject: (error: CdcError) => void;
}

/**
 * The one reader of a socket, for its whole life. Pulling is what makes the socket read: when nobody pulls, it
 * is paused after `highWaterBytes`, the kernel's buffers fill and the server stops sending.
 */
export class SocketReader {
  readonly #socket: Socket;
  readonly #chunks: Buffer[] = [];
  #queuedBytes = 0;
  #waiter: Waiter | undefined;
  #end: { error: CdcError | undefined } | undefined;
  #idleMs = 0;

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (chunk: Buffer) => this.#receive(chunk));
    socket.on('end', () => this.#finish(new CdcError('CLOSED_BY_SERVER', 'the server closed the connection')));
    socket.on('error', (error: Error & { code?: string }) => this.#finish(lost(error)));
    socket.on('close', () => this.#finish(new CdcError('CONNECTION_LOST', 'the connection is gone')));
    socket.on('timeout', () => this.#expire());
  }

  /**
   * The next bytes; undefined once `stop` was called without an error. Rejects with the error that ended the
   * connection after everything that came before it, and with CONCURRENT_READ when a read is under way.
   */
  read(): Promise<Buffer | undefined> {
    if (this.#waiter !== undefined) {
      return Promise.reject(new CdcError('CONCURRENT_READ', 'another iteration is waiting for this connection'));
    }
    const chunk = this.#chunks.shift();
    if (chunk !== undefined) {
      this.#queuedBytes -= chunk.length;
      if (this.#chunks.length === 0) this.#resume();
      return Promise.resolve(chunk);
    }
    if (this.#end !== undefined) {
      return this.#end.error === undefined ? Promise.resolve(undefined) : Promise.reject(this.#end.error);
    }
    return new Promise((resolve, reject) => {
      this.#waiter = { resolve, reject };
    });
  }

  /** Ends reading now, dropping what is queued. Without an error a read gives undefined. */
  stop(error?: CdcError): void {
    this.#chunks.length = 0;
    this.#queuedBytes = 0;
    this.#end = { error };
    this.#wake(this.#end);
  }

  /** From now on, fails with IDLE_TIMEOUT when not a byte comes for `ms` while the socket is being read. */
  watchIdle(ms: number): void {
    this.#idleMs = ms;
    if (!this.#socket.isPaused()) this.#socket.setTimeout(ms);
  }

  #receive(chunk: Buffer): void {
    if (this.#end !== undefined) return;
    const waiter = this.#waiter;
    if (waiter !== undefined) {
      this.#waiter = undefined;
      waiter.resolve(chunk);
      return;
    }
    this.#chunks.push(chunk);
    this.#queuedBytes += chunk.length;
    if (this.#queuedBytes >= highWaterBytes) this.#pause();
  }

  #pause(): void {
    this.#socket.pause();
    this.#socket.setTimeout(0);
  }

  #resume(): void {
    if (!this.#socket.isPaused()) return;
    this.#socket.setTimeout(this.#idleMs);
    this.#socket.resume();
  }

  #expire(): void {
    this.#finish(new CdcError('IDLE_TIMEOUT', `not a byte from the server for ${this.#idleMs} ms`));
    this.#socket.destroy();
  }

  #finish(error: CdcError): void {
    if (this.#end !== undefined) return;
    this.#end = { error };
    this.#wake(this.#end);
  }

  #wake(end: { error: CdcError | undefined }): void {
    const waiter = this.#waiter;
    this.#waiter = undefined;
    if (end.error === undefined) waiter?.resolve(undefined);
    else waiter?.reject(end.error);
  }
}

function lost(error: Error & { code?: string }): CdcError {
  if (error instanceof CdcError) return error;
  // With TLS 1.3 a server refuses the client's certificate after the client holds the handshake for done.
  if (error.code?.startsWith('ERR_SSL_') === true) {
    return new CdcError('TLS_FAILED', `the server ended TLS: ${error.code}`, { cause: error });
  }
  return new CdcError('CONNECTION_LOST', `the connection broke: ${error.code ?? error.message}`, { cause: error });
}
