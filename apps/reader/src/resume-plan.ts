/**
 * How a stream finds its place again in MaxScale's files.
 *
 * A request for a GTID that MaxScale does not have is answered with silence, for ever; one for a GTID of the wrong
 * server too. Files can be numbered anew. So nothing counts as found before the event that was read last (the
 * anchor) has come again: MaxScale's resume is inclusive. The ways, in order, each left when it does not lead there:
 *
 *     checkpoint   the file version of the anchor, from its GTID
 *     file         the same file from its start
 *     scan         from version 1, or the first that exists, upward
 *
 * A new event before the anchor on the last way means that the position is lost.
 *
 * After a snapshot there is no anchor: the files are read from version 1 on, and what the position does not cover is new.
 */
export type Way =
  | { readonly kind: 'checkpoint'; readonly version: number; readonly gtid: string }
  | { readonly kind: 'file'; readonly version: number }
  /** Up to version `to`; `last`: all were tried, and the request for version 1 stays to be woken by the first row. */
  | { readonly kind: 'scan'; readonly version: number; readonly to: number; readonly last: boolean };

export type ResumeState =
  /** The request goes out, on the connection there is or on a fresh one. */
  | { readonly kind: 'requesting'; readonly way: Way; readonly fresh: boolean }
  /** There is no file of this table; the first row will come without schema line. */
  | { readonly kind: 'waiting' }
  | { readonly kind: 'streaming' }
  | { readonly kind: 'lost' };

export type ResumeEvent =
  /** ERR NO-FILE. */
  | 'no-file'
  | 'schema'
  /** An event at or before the position; the last one; one after it. */
  | 'covered'
  | 'anchor'
  | 'new'
  /** A row before any schema line. */
  | 'schemaless'
  /** While there is no file: time to look for one whose first row did not wake the request. */
  | 'glance'
  /** Nothing came for the time that resuming may take. */
  | 'silence';

export interface ResumeTarget {
  /** Null: no event is known to stand at the position. */
  readonly gtid: string | null;
  readonly fileVersion: number;
}

/** File versions that are tried when the first ones are gone; the protocol has no listing. */
const lastProbe = 32;
/**
 * And at a glance. Only a row of version 1 wakes the request; each DROP and CREATE before a table's first row leaves out a
 * version.
 */
const lastGlance = 4;

export function startResume(target: ResumeTarget | null): ResumeState {
  if (target === null || target.gtid === null) return request(scan(1), true);
  return request({ kind: 'checkpoint', version: target.fileVersion, gtid: target.gtid }, true);
}

/** The state after `event`. Total: every state takes every event. */
export function nextResume(state: ResumeState, event: ResumeEvent, target: ResumeTarget | null): ResumeState {
  switch (state.kind) {
    case 'requesting':
      return nextRequesting(state, event, target);
    case 'waiting':
      if (event === 'no-file' || event === 'covered') return state;
      return event === 'glance' ? request(scan(1, lastGlance), false) : startResume(target);
    case 'streaming':
    case 'lost':
      return state;
  }
}

type Requesting = Extract<ResumeState, { kind: 'requesting' }>;

function nextRequesting(state: Requesting, event: ResumeEvent, target: ResumeTarget | null): ResumeState {
  switch (event) {
    case 'anchor':
      return { kind: 'streaming' };
    case 'covered':
    case 'glance':
      return state;
    case 'schema':
      return hasAnchor(target) ? state : { kind: 'streaming' };
    case 'schemaless':
      // There are files now: all ways are open again, from the first.
      return startResume(target);
    case 'no-file':
      return afterNoFile(state.way);
    case 'new':
      if (!hasAnchor(target)) return { kind: 'streaming' };
      return afterMiss(state.way) ?? { kind: 'lost' };
    case 'silence':
      // On the last way silence only means that there is nothing yet.
      return afterMiss(state.way) ?? state;
  }
}

function hasAnchor(target: ResumeTarget | null): boolean {
  return target !== null && target.gtid !== null;
}

function afterNoFile(way: Way): ResumeState {
  switch (way.kind) {
    case 'checkpoint':
    case 'file':
      return request(scan(1), false);
    case 'scan':
      if (way.last) return { kind: 'waiting' };
      return request(way.version < way.to ? scan(way.version + 1, way.to) : { ...scan(1), last: true }, false);
  }
}

/** The next way, on a fresh connection, since the request that missed goes on streaming. */
function afterMiss(way: Way): ResumeState | undefined {
  switch (way.kind) {
    case 'checkpoint':
      return request(way.version === 1 ? scan(1) : { kind: 'file', version: way.version }, true);
    case 'file':
      return request(scan(1), true);
    case 'scan':
      return undefined;
  }
}

function request(way: Way, fresh: boolean): ResumeState {
  return { kind: 'requesting', way, fresh };
}

function scan(version: number, to = lastProbe): Extract<Way, { kind: 'scan' }> {
  return { kind: 'scan', version, to, last: false };
}
