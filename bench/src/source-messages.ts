import type { Shape } from './shapes.js';
import type { Workload } from './workload.js';

export const database = 'bench';

/** Names of n tables of the database `bench`. */
export const tableNames = (count: number): string[] => Array.from({ length: count }, (_, i) => `orders_${i + 1}`);

/** What the source process serves: the first argument, as JSON. */
export interface SourcePlan {
  readonly tables: readonly string[];
  readonly feed: Backlog | LiveFeed;
}

/** The same workload in every table, all there from the beginning. */
export interface Backlog {
  readonly kind: 'backlog';
  readonly work: Workload;
  /** Made while it is sent, where it would not fit into memory. */
  readonly lazy: boolean;
  /** How often the workload's bytes are sent (the same events again: only for who does not apply them). Default 1. */
  readonly passes?: number;
}

/** Inserts at an even rate into the one table, one transaction each, until told to stop. */
export interface LiveFeed {
  readonly kind: 'live';
  readonly shape: Shape;
  /** Events per second. */
  readonly rate: number;
}

/** To the source process. `skip` makes so many seconds of a live feed happen at once. */
export type SourceOrder =
  | { readonly kind: 'go' }
  | { readonly kind: 'skip'; readonly seconds: number }
  | { readonly kind: 'stop' };

/** From the source process. Times are Unix milliseconds, with fractions. */
export type SourceReport =
  | { readonly kind: 'listening'; readonly address: { host: string; port: number; user: string; password: string } }
  /** A client has asked for every table. */
  | { readonly kind: 'connected' }
  /** The first row leaves. */
  | { readonly kind: 'first'; readonly at: number }
  /** What left when, until it was told to stop: [last id, time] of every write. */
  | { readonly kind: 'left'; readonly writes: readonly (readonly [number, number])[] };

/** Now, in Unix milliseconds with fractions: comparable between the processes of one machine. */
export const preciseNow = (): number => performance.timeOrigin + performance.now();
