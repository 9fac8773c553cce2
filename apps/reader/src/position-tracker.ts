import type { Position } from '@afterimage/change-events';
import type { ChangeEvent, ResumePoint } from './change-source.js';

const twoTo32 = 1n << 32n;

type Place = Pick<ChangeEvent, 'domain' | 'serverId' | 'sequence' | 'eventNumber'>;

/** What an event is to a reader that has read up to some position. `anchor`: the very event it ended with. */
export type Verdict = 'covered' | 'anchor' | 'new';

/** What a position adds to the 32-bit sequences of its domains. */
export function basesOf(position: Position): Map<number, bigint> {
  return new Map(
    [...position.values()].map((event) => [Number(event.domain), event.sequence - (event.sequence % twoTo32)]),
  );
}

/** `sequence` modulo 2^32, as it stands on a line. */
function truncate(sequence: bigint): number {
  return Number(BigInt.asUintN(32, sequence));
}

/**
 * Sequences come modulo 2^32, so of two of one domain it is a matter of distance which is the later (as in serial
 * number arithmetic, RFC 1982). While a stream flows, what lies behind is a repeat of a moment ago, and what lies
 * far ahead is a jump that a person made: only a quarter of the circle counts as behind, lest a jump be dropped.
 * While it looks for its place everything from the beginning of a file may come: a quarter counts as ahead.
 */
const quarter = 2 ** 30;

/** Knows how far a stream has been read and tells what comes again. */
export class PositionTracker {
  readonly #last = new Map<number, Place>();
  readonly #bases: Map<number, bigint>;
  readonly #anchor: Place | undefined;
  /** There is no event to look for, and none after the position has come yet. */
  #isBeforeFirst: boolean;
  /** The domain of the last event, to look up once per run of events instead of per event. */
  #domain = -1;
  #current: Place | undefined;

  constructor(after: ResumePoint | null) {
    const position: Position = after?.position ?? new Map();
    this.#bases = basesOf(position);
    for (const event of position.values()) {
      this.#last.set(Number(event.domain), {
        domain: Number(event.domain),
        serverId: Number(event.serverId),
        sequence: truncate(event.sequence),
        eventNumber: Number(event.eventNumber),
      });
    }
    const domain = after?.gtid?.split('-', 1)[0];
    this.#isBeforeFirst = after !== null && after.gtid === null;
    this.#anchor = domain === undefined ? undefined : this.#last.get(Number(domain));
  }

  /** `searching`: before the anchor has come again. */
  judge(event: Place, searching: boolean): Verdict {
    const last = this.#lastOf(event.domain);
    if (last === undefined) return 'new';
    const ahead = (event.sequence - last.sequence) >>> 0;
    const isNew =
      ahead === 0
        ? event.eventNumber > last.eventNumber
        : ahead < (searching || this.#isBeforeFirst ? quarter : 3 * quarter);
    if (isNew) return 'new';
    return this.#isAnchor(event) ? 'anchor' : 'covered';
  }

  /** Moves on to an event judged new. Returns the domain's base when this event changed it. */
  advance(event: Place): bigint | undefined {
    this.#isBeforeFirst = false;
    const last = this.#lastOf(event.domain);
    this.#last.set(event.domain, event);
    this.#current = event;
    if (last === undefined || event.sequence >= last.sequence) return undefined;
    const base = (this.#bases.get(event.domain) ?? 0n) + twoTo32;
    this.#bases.set(event.domain, base);
    return base;
  }

  #lastOf(domain: number): Place | undefined {
    if (domain !== this.#domain) {
      this.#domain = domain;
      this.#current = this.#last.get(domain);
    }
    return this.#current;
  }

  #isAnchor(event: Place): boolean {
    const anchor = this.#anchor;
    return (
      anchor !== undefined &&
      event.domain === anchor.domain &&
      event.serverId === anchor.serverId &&
      event.sequence === anchor.sequence &&
      event.eventNumber === anchor.eventNumber
    );
  }
}
