import { MessageDecoder } from './decoding.js';
import { CdcError } from './errors.js';
import type { Channel } from './handshake.js';
import type { CdcMessage } from './messages.js';
import type { Settings } from './options.js';
import { nextRequestState, type RequestState } from './request-state.js';
import { formatDataRequest, type DataRequest } from './requests.js';
import { writeCommand } from './socket-writer.js';

/** What `connect` gives. One connection streams one table. */
export class CdcConnection implements AsyncIterable<CdcMessage> {
  readonly #channel: Channel;
  readonly #settings: Settings;
  readonly #decoder = new MessageDecoder();
  readonly #closed: Promise<void>;
  readonly #onAbort = (): void => this.#abort();
  #state: RequestState = 'registered';
  #open = true;
  /** Messages that an iteration took from a batch and did not get to. */
  #leftover: CdcMessage[] = [];
  #failure: CdcError | undefined;

  /** Use `connect`; the channel must have its handshake behind it. */
  constructor(channel: Channel, settings: Settings) {
    this.#channel = channel;
    this.#settings = settings;
    this.#closed = new Promise((resolve) => channel.socket.once('close', () => resolve()));
    channel.socket.once('close', () => settings.signal?.removeEventListener('abort', this.#onAbort));
    settings.signal?.addEventListener('abort', this.#onAbort, { once: true });
  }

  /** Bytes that have come so far, those of an unfinished line included: tells a slow server from a silent one. */
  get bytesReceived(): number {
    return this.#channel.socket.bytesRead;
  }

  /**
   * Asks for a table's stream; the answer comes as messages: a schema, or an error NO_SUCH_FILE, after which
   * another request may follow. Resolves when the request is sent. Throws CdcError INVALID_ARGUMENT, NOT_OPEN,
   * REQUEST_ACTIVE (an earlier request streams or its answer was not read yet), WRITE_TIMEOUT, CONNECTION_LOST.
   */
  async requestData(request: DataRequest): Promise<void> {
    this.#checkOpen();
    const command = formatDataRequest(request);
    if (this.#state === 'requested' || this.#state === 'streaming') {
      throw new CdcError('REQUEST_ACTIVE', 'this connection has a request already; a connection streams one table');
    }
    this.#state = 'requested';
    this.#channel.reader.watchIdle(this.#settings.idleMs);
    await writeCommand(this.#channel.socket, command, this.#settings.writeMs);
  }

  /**
   * The messages, in batches of what one read of the socket completed. Not iterating stops reading the socket.
   * Ends after `close()` or an abort; throws CdcError (CLOSED_BY_SERVER, CONNECTION_LOST, IDLE_TIMEOUT,
   * PROTOCOL_VIOLATION, LINE_TOO_LONG) after the messages that came before. Leaving a loop early keeps the
   * connection open; the next iteration goes on where it stopped.
   */
  async *messages(): AsyncGenerator<CdcMessage[], void, undefined> {
    for (;;) {
      const batch = await this.#nextBatch();
      if (batch === undefined) return;
      yield batch;
    }
  }

  /** The same, one by one. */
  async *[Symbol.asyncIterator](): AsyncGenerator<CdcMessage, void, undefined> {
    for (;;) {
      const batch = await this.#nextBatch();
      if (batch === undefined) return;
      let taken = 0;
      try {
        for (const message of batch) {
          if (!this.#open) return;
          taken++;
          yield message;
        }
      } finally {
        if (taken < batch.length) this.#leftover = batch.slice(taken);
      }
    }
  }

  /**
   * Says CLOSE and closes the socket; iterations end, with no message after this call. Resolves when the socket
   * is gone. Throws CdcError NOT_OPEN when the connection is closed already.
   */
  async close(): Promise<void> {
    this.#checkOpen();
    this.#open = false;
    const { socket, reader } = this.#channel;
    reader.stop();
    const timer = setTimeout(() => socket.destroy(), this.#settings.writeMs);
    socket.end('CLOSE', () => socket.destroy());
    await this.#closed;
    clearTimeout(timer);
  }

  async #nextBatch(): Promise<CdcMessage[] | undefined> {
    if (this.#open && this.#leftover.length > 0) return this.#leftover.splice(0);
    while (this.#failure === undefined) {
      const batch = await this.#readBatch();
      if (!this.#open) return undefined;
      if (batch.length > 0) return batch;
    }
    if (!this.#open) return undefined;
    throw this.#failure;
  }

  /** Reads once. What it throws is kept in #failure, so that the messages before it are delivered first. */
  async #readBatch(): Promise<CdcMessage[]> {
    const { reader, framer } = this.#channel;
    const batch: CdcMessage[] = [];
    try {
      const chunk = await reader.read();
      if (chunk !== undefined) framer.push(chunk, (lines) => this.#decoder.decode(lines, batch));
    } catch (error) {
      // A second reader's mistake must not end the first one's stream.
      if (error instanceof CdcError && error.code === 'CONCURRENT_READ') throw error;
      this.#failure = this.#explain(error);
      this.#channel.socket.destroy();
    }
    for (const message of batch) this.#state = nextRequestState(this.#state, message);
    return batch;
  }

  #explain(error: unknown): CdcError {
    if (!(error instanceof CdcError)) {
      return new CdcError('PROTOCOL_VIOLATION', 'what the server sent cannot be decoded', { cause: error });
    }
    const { pendingBytes } = this.#channel.framer;
    if (error.code !== 'CLOSED_BY_SERVER' || pendingBytes === 0) return error;
    return new CdcError(error.code, `${error.message} in the middle of a line, ${pendingBytes} bytes after its start`);
  }

  #checkOpen(): void {
    if (!this.#open || this.#failure !== undefined) throw new CdcError('NOT_OPEN', 'this connection is closed');
  }

  #abort(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#channel.reader.stop();
    this.#channel.socket.destroy();
  }
}
