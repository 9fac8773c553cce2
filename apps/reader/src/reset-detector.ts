/** Clocks and long transactions may put an older event's time this far after a newer one's. Seconds. */
const tolerance = 600;

/**
 * Tells a source that was reset, or is another server, from one that repeats itself. Both send events at or below the
 * position. What is repeated was sent before, so it is not younger than everything that was; events of a new history are.
 */
export class ResetDetector {
  #newest: number;

  /** `newest`: Unix seconds of the youngest event applied so far, where it is known. */
  constructor(newest: number | undefined) {
    this.#newest = newest ?? Number.POSITIVE_INFINITY;
  }

  /** Takes an event that goes on where the position ended, or is the one it ended with. */
  accept(timestamp: number): void {
    if (this.#newest === Number.POSITIVE_INFINITY || timestamp > this.#newest) this.#newest = timestamp;
  }

  /** Whether an event at or below the position cannot be a repetition. */
  isFromAnotherHistory(timestamp: number): boolean {
    return timestamp > this.#newest + tolerance;
  }
}
