/** A batch that was queued and is not applied yet. */
export interface Flight {
  /** Null until the queue has it. */
  jobId: string | null;
  /** Of its last event. */
  readonly lastOrdinal: bigint;
  readonly bytes: number;
}

export interface WindowLimits {
  readonly maxBatches: number;
  readonly maxBytes: number;
}

/**
 * What one stream has on its way between queue and PostgreSQL. Whoever wants to send waits for room here; that is
 * the whole back-pressure: a reader that waits does not read its socket.
 */
export class FlightWindow {
  readonly #limits: WindowLimits;
  #flights: Flight[] = [];
  #bytes = 0;
  #wake: (() => void) | undefined;

  constructor(limits: WindowLimits) {
    this.#limits = limits;
  }

  get size(): number {
    return this.#flights.length;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get oldest(): Flight | undefined {
    return this.#flights[0];
  }

  /** Resolves when `bytes` more have room; a batch larger than the whole window goes alone. Rejects on abort. */
  async waitForRoom(bytes: number, signal: AbortSignal): Promise<void> {
    while (!this.#hasRoom(bytes)) {
      signal.throwIfAborted();
      await new Promise<void>((resolve) => {
        const wake = (): void => {
          signal.removeEventListener('abort', wake);
          resolve();
        };
        this.#wake = wake;
        signal.addEventListener('abort', wake, { once: true });
      });
    }
  }

  add(flight: Flight): void {
    this.#flights.push(flight);
    this.#bytes += flight.bytes;
  }

  /** Takes out what ends at or before `ordinal`. Returns how many batches that were. */
  land(ordinal: bigint): number {
    let landed = 0;
    for (const flight of this.#flights) {
      if (flight.lastOrdinal > ordinal) break;
      this.#bytes -= flight.bytes;
      landed += 1;
    }
    if (landed > 0) {
      this.#flights.splice(0, landed);
      this.#wake?.();
    }
    return landed;
  }

  #hasRoom(bytes: number): boolean {
    if (this.#flights.length === 0) return true;
    return this.#flights.length < this.#limits.maxBatches && this.#bytes + bytes <= this.#limits.maxBytes;
  }
}
