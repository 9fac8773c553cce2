import type { Field, Position } from '@afterimage/change-events';

/** The columns of the rows that follow. */
export interface StreamSchema {
  readonly fingerprint: string;
  readonly fields: readonly Field[];
  /** The source's number for it and the GTID of the DDL; the same columns can come under several of both. */
  readonly version: number;
  readonly gtid: string;
}

/** One row image, as text. Numbers are those on the line: unsigned, 32 bits. */
export interface ChangeEvent {
  readonly domain: number;
  readonly serverId: number;
  readonly sequence: number;
  readonly eventNumber: number;
  /** Unix seconds. */
  readonly timestamp: number;
  readonly operation: 'insert' | 'update_before' | 'update_after' | 'delete';
  readonly raw: string;
}

export type Change =
  /** Holds for the events after it. */
  | { readonly kind: 'schema'; readonly schema: StreamSchema }
  /** From here on `base` is to be added to the sequences of `domain`; before the first one it follows from the position. */
  | { readonly kind: 'base'; readonly domain: number; readonly base: bigint }
  | { readonly kind: 'event'; readonly event: ChangeEvent };

/** Where a stream goes on: after `position`, whose newest event is in transaction `gtid` of file `fileVersion`. */
export interface ResumePoint {
  readonly position: Position;
  /** Null: the position is that of a snapshot, at which no event of the stream stands. */
  readonly gtid: string | null;
  readonly fileVersion: number;
  /** Source time of the youngest event up to here, where it is known: Unix seconds. */
  readonly sourceTime?: number;
}

/**
 * `searching`: the source has sent what it has, but not yet the event to go on after. `waiting`: it has nothing of
 * this table yet. `streaming`: the place was found, or there was none to find.
 */
export type FeedState = 'connecting' | 'searching' | 'waiting' | 'streaming';

export interface FeedRequest {
  readonly database: string;
  readonly table: string;
  /** Null: from the beginning. */
  readonly after: ResumePoint | null;
  /** Ends the feed, which then returns without an error. */
  readonly signal: AbortSignal;
  readonly onState: (state: FeedState) => void;
}

/** Where changes come from. MaxScale's CDC listener is the first implementation. */
export interface ChangeSource {
  /**
   * The changes of one table after a point, each exactly once and in order, as they become available; not iterating
   * stops the source. Ends after an abort, or when the connection was idle so long that it is better opened anew.
   * Throws FeedError, after which a new feed from the last point goes on.
   */
  open(request: FeedRequest): AsyncIterable<readonly Change[]>;
}
