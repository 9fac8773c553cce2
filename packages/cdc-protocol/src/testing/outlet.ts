import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { createCutter, type Chunking } from './chunking.js';
import type { Fault, FaultPlan, FaultPoint } from './faults.js';

const newline = 0x0a;
const defaultGarbage = Buffer.from([0xff, 0xfe, 0x00, newline]);

/**
 * What one connection is sent: cut as asked, with the faults that are due, never faster than the client takes
 * it. Sends are queued, so a reply never lands inside another message.
 */
export class Outlet {
  readonly #socket: Socket;
  readonly #faults: FaultPlan;
  readonly #cut: (bytes: Buffer) => Iterable<Buffer>;
  readonly #flushEachPiece: boolean;
  readonly #closed: Promise<void>;
  readonly #reached = new Map<string, number>();
  #open = true;
  #sent = 0;
  #queue: Promise<unknown> = Promise.resolve();

  constructor(socket: Socket, faults: FaultPlan, chunking: Chunking) {
    this.#socket = socket;
    this.#faults = faults;
    this.#cut = createCutter(chunking);
    this.#flushEachPiece = chunking !== 'recorded';
    this.#closed = new Promise((resolve) => {
      socket.once('close', () => {
        this.#open = false;
        resolve();
      });
    });
  }

  /** Sends a message. False when the connection is over: nothing more will be sent. */
  send(message: Buffer | string): Promise<boolean> {
    return this.#enqueue(() => this.#sendNow(typeof message === 'string' ? Buffer.from(message) : message));
  }

  /** Sends whole row lines. */
  sendRows(lines: Buffer): Promise<boolean> {
    return this.#enqueue(() => (this.#faults.watchesRows ? this.#sendOneByOne(lines) : this.#sendNow(lines)));
  }

  /** The connection has come to a named point: whatever fault is due there strikes. */
  reach(point: Exclude<FaultPoint, object>): Promise<boolean> {
    return this.#enqueue(() => this.#strikeAt(point));
  }

  /** Closes in good order after what was sent. */
  end(): Promise<boolean> {
    return this.#enqueue(() => {
      this.#open = false;
      this.#socket.end();
      return Promise.resolve(false);
    });
  }

  #enqueue(step: () => Promise<boolean>): Promise<boolean> {
    const result = this.#queue.then(() => (this.#open ? step() : false));
    this.#queue = result;
    return result;
  }

  async #sendOneByOne(lines: Buffer): Promise<boolean> {
    for (let start = 0; start < lines.length && this.#open;) {
      const end = lines.indexOf(newline, start) + 1;
      const middle = Math.floor((start + end) / 2);
      await this.#sendNow(lines.subarray(start, middle));
      await this.#strikeAt('mid-row');
      await this.#sendNow(lines.subarray(middle, end));
      await this.#strikeAt('after-row');
      start = end;
    }
    return this.#open;
  }

  async #sendNow(bytes: Buffer): Promise<boolean> {
    if (!this.#open) return false;
    const fault = this.#faults.takeWithin(this.#sent, bytes.length);
    if (fault === undefined || typeof fault.at !== 'object') return this.#write(bytes);
    const before = fault.at.bytes - this.#sent;
    await this.#write(bytes.subarray(0, before));
    await this.#strike(fault);
    return this.#sendNow(bytes.subarray(before));
  }

  async #write(bytes: Buffer): Promise<boolean> {
    this.#sent += bytes.length;
    for (const piece of this.#cut(bytes)) {
      if (!this.#open) return false;
      if (this.#flushEachPiece) await this.#flush(piece);
      else if (!this.#socket.write(piece)) await this.#drained();
    }
    return this.#open;
  }

  /** Writes a piece and lets the event loop turn, so that a reader in this process gets it by itself. */
  #flush(piece: Buffer): Promise<void> {
    return new Promise((resolve) => {
      this.#socket.write(piece, () => setImmediate(resolve));
    });
  }

  #drained(): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        this.#socket.off('drain', done);
        this.#socket.off('close', done);
        resolve();
      };
      this.#socket.on('drain', done);
      this.#socket.on('close', done);
    });
  }

  async #strikeAt(point: Exclude<FaultPoint, object>): Promise<boolean> {
    const nth = (this.#reached.get(point) ?? 0) + 1;
    this.#reached.set(point, nth);
    const fault = this.#open ? this.#faults.take(point, nth) : undefined;
    if (fault !== undefined) await this.#strike(fault);
    return this.#open;
  }

  async #strike({ action, released }: Fault): Promise<void> {
    switch (action.kind) {
      case 'drop':
        this.#open = false;
        this.#socket.end();
        return;
      case 'reset':
        this.#open = false;
        this.#socket.resetAndDestroy();
        return;
      case 'stall':
        await Promise.race([released, this.#closed]);
        return;
      case 'delay':
        await Promise.race([sleep(action.ms, undefined, { ref: false }), this.#closed]);
        return;
      case 'garbage':
        await this.#write(action.bytes ?? defaultGarbage);
    }
  }
}
