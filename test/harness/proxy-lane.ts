import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

export interface Weather {
  /** Milliseconds that each byte is late, each way. */
  readonly latencyMs?: number;
  /** Each way, each connection. */
  readonly bytesPerSecond?: number;
}

export interface LaneOptions {
  readonly source: Socket;
  readonly sink: Socket;
  readonly tap: ((chunk: Buffer) => 'pass' | 'drop') | undefined;
  /** Breaks the whole connection. */
  readonly onCut: () => void;
}

const slicesPerSecond = 20;
const heldBytes = 256 * 1024;

/** One direction of a proxied connection. */
export class Lane {
  weather: Weather = {};
  readonly #options: LaneOptions;
  readonly #held: { readonly chunk: Buffer; readonly dueAt: number }[] = [];
  #heldBytes = 0;
  #pumping = false;
  #swallowed = false;
  /** The tap dropped something: nothing more goes on, but the end does. */
  #dropped = false;
  #ending = false;
  #left = Number.POSITIVE_INFINITY;

  constructor(options: LaneOptions) {
    this.#options = options;
    const { source } = options;
    source.on('data', (chunk: Buffer) => this.#take(chunk));
    source.on('end', () => this.end());
  }

  get isSwallowed(): boolean {
    return this.#swallowed;
  }

  /** From now on nothing arrives, not even the end. */
  swallow(): void {
    this.#swallowed = true;
    this.#held.length = 0;
    this.#options.source.resume();
  }

  /** Breaks the connection when this many more bytes have gone on. */
  cutAfter(bytes: number): void {
    this.#left = bytes;
  }

  /** Ends the sink after what is held. */
  end(): void {
    if (this.#ending) return;
    this.#ending = true;
    if (!this.#pumping) this.#finish();
  }

  push(chunk: Buffer): void {
    if (this.#swallowed || this.#options.sink.destroyed) return;
    this.#held.push({ chunk, dueAt: Date.now() + (this.weather.latencyMs ?? 0) });
    this.#heldBytes += chunk.length;
    if (this.#heldBytes > heldBytes) this.#options.source.pause();
    if (!this.#pumping) void this.#pump();
  }

  #take(chunk: Buffer): void {
    if (this.#swallowed || this.#dropped) return;
    if (this.#options.tap?.(chunk) === 'drop') this.#dropped = true;
    else this.push(chunk);
  }

  #finish(): void {
    if (!this.#swallowed && !this.#options.sink.destroyed) this.#options.sink.end();
  }

  async #pump(): Promise<void> {
    this.#pumping = true;
    for (let next = this.#held.shift(); next !== undefined; next = this.#held.shift()) {
      this.#heldBytes -= next.chunk.length;
      const lateMs = next.dueAt - Date.now();
      if (lateMs > 0) await sleep(lateMs, undefined, { ref: false });
      await this.#carry(next.chunk);
      if (this.#heldBytes <= heldBytes) this.#options.source.resume();
    }
    this.#pumping = false;
    if (this.#ending) this.#finish();
  }

  async #carry(chunk: Buffer): Promise<void> {
    let rest = chunk;
    while (rest.length > 0 && !this.#swallowed && !this.#options.sink.destroyed) {
      const { bytesPerSecond } = this.weather;
      const size =
        bytesPerSecond === undefined ? rest.length : Math.max(1, Math.ceil(bytesPerSecond / slicesPerSecond));
      const slice = rest.subarray(0, Math.min(size, this.#left));
      rest = rest.subarray(slice.length);
      this.#left -= slice.length;
      await this.#write(slice);
      if (this.#left <= 0) return this.#options.onCut();
      if (bytesPerSecond !== undefined) await sleep((1000 * slice.length) / bytesPerSecond, undefined, { ref: false });
    }
  }

  /** Resolves when the sink takes more. */
  async #write(bytes: Buffer): Promise<void> {
    const { sink } = this.#options;
    if (bytes.length === 0 || sink.destroyed || sink.writableEnded || sink.write(bytes)) return;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        sink.off('drain', done);
        sink.off('close', done);
        resolve();
      };
      sink.on('drain', done);
      sink.on('close', done);
    });
  }
}
