/** Where a fault strikes one connection. `{ bytes }`: after that many bytes were sent to it, handshake included. */
export type FaultPoint =
  | 'after-accept'
  | 'after-auth'
  | 'after-register'
  | 'after-request'
  | 'after-schema'
  | 'mid-row'
  | 'after-row'
  | { readonly bytes: number };

export type FaultAction =
  /** Close in good order (FIN). */
  | { readonly kind: 'drop' }
  /** Break the connection (RST). */
  | { readonly kind: 'reset' }
  /** Send nothing more and keep the connection, until released. */
  | { readonly kind: 'stall' }
  | { readonly kind: 'delay'; readonly ms: number }
  /** Send these bytes and go on; by default a line that is not UTF-8. */
  | { readonly kind: 'garbage'; readonly bytes?: Buffer };

export interface FaultOptions {
  readonly at: FaultPoint;
  readonly action: FaultAction;
  /**
   * Strike when a connection reaches the point for the nth time, e.g. `mid-row` of its 5th row. Rows sent while no
   * fault waits for a row are not counted. Default 1.
   */
  readonly occurrence?: number;
  /** How many connections it strikes. Default 1. */
  readonly connections?: number;
}

/** A fault that waits to strike. */
export class Fault {
  readonly at: FaultPoint;
  readonly action: FaultAction;
  readonly occurrence: number;
  /** Resolves when it strikes for the first time. */
  readonly struck: Promise<void>;
  /** Resolves when it is released: a stall ends then. */
  readonly released: Promise<void>;
  #left: number;
  #onStruck = (): void => undefined;
  #onReleased = (): void => undefined;

  constructor(options: FaultOptions) {
    this.at = options.at;
    this.action = options.action;
    this.occurrence = options.occurrence ?? 1;
    this.#left = options.connections ?? 1;
    this.struck = new Promise((resolve) => {
      this.#onStruck = resolve;
    });
    this.released = new Promise((resolve) => {
      this.#onReleased = resolve;
    });
  }

  get spent(): boolean {
    return this.#left <= 0;
  }

  /** It strikes no more, and stalls that it caused end. */
  release(): void {
    this.#left = 0;
    this.#onReleased();
  }

  strike(): void {
    this.#left--;
    this.#onStruck();
  }
}

/** The faults that wait, in the order in which they were injected. */
export class FaultPlan {
  #faults: Fault[] = [];

  inject(options: FaultOptions): Fault {
    const fault = new Fault(options);
    this.#faults = [...this.#faults.filter(({ spent }) => !spent), fault];
    return fault;
  }

  releaseAll(): void {
    for (const fault of this.#faults) fault.release();
    this.#faults = [];
  }

  /** The fault due when a connection reaches `point` for the nth time; it counts as struck. */
  take(point: string, nth: number): Fault | undefined {
    const fault = this.#faults.find(({ at, occurrence, spent }) => at === point && occurrence === nth && !spent);
    fault?.strike();
    return fault;
  }

  /** The fault that strikes within the next `length` bytes of a connection that was sent `sent`. */
  takeWithin(sent: number, length: number): Fault | undefined {
    const fault = this.#faults.find(
      ({ at, spent }) => typeof at === 'object' && at.bytes >= sent && at.bytes < sent + length && !spent,
    );
    fault?.strike();
    return fault;
  }

  /** Whether rows must be sent one by one. */
  get watchesRows(): boolean {
    return this.#faults.some(({ at, spent }) => (at === 'mid-row' || at === 'after-row') && !spent);
  }
}
