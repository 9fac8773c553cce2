/**
 * Positions in a change stream.
 *
 * Within one replication domain events are ordered by (sequence, event number); between domains there is no
 * order (MariaDB manual, "Global Transaction ID"). A position is therefore a vector: domain → the last event
 * seen in it. Its text form is canonical, so equal positions are equal strings:
 *
 *     ""                      before the first event
 *     "0-1-14:2"              domain 0, server 1, sequence 14, event number 2
 *     "0-1-14:2,7-1-3:1"      two domains, ascending by domain
 *
 * All parts are bigints: sequences are unsigned 64-bit and never pass through a JS number.
 */
export interface EventId {
  readonly domain: bigint;
  readonly serverId: bigint;
  readonly sequence: bigint;
  /** Counts the rows of one transaction, over all its tables, from 1. */
  readonly eventNumber: bigint;
}

/** domain → the last event of that domain at or before this position. */
export type Position = ReadonlyMap<bigint, EventId>;

export const startPosition: Position = new Map();

const eventPattern = /^(\d{1,10})-(\d{1,10})-(\d{1,20}):(\d{1,10})$/;

function parseEventId(text: string): EventId {
  const match = eventPattern.exec(text);
  if (match === null) throw new TypeError(`not an event id (domain-server-sequence:event): ${JSON.stringify(text)}`);
  const [, domain = '', serverId = '', sequence = '', eventNumber = ''] = match;
  return {
    domain: BigInt(domain),
    serverId: BigInt(serverId),
    sequence: BigInt(sequence),
    eventNumber: BigInt(eventNumber),
  };
}

function formatEventId(event: EventId): string {
  return `${event.domain}-${event.serverId}-${event.sequence}:${event.eventNumber}`;
}

/** The GTID of an event's transaction, `domain-server-sequence`. */
export function formatGtid(event: EventId): string {
  return `${event.domain}-${event.serverId}-${event.sequence}`;
}

/** Parses the canonical text form. Throws TypeError on anything else, a repeated domain included. */
export function parsePosition(text: string): Position {
  const position = new Map<bigint, EventId>();
  if (text === '') return position;
  for (const part of text.split(',')) {
    const event = parseEventId(part);
    if (position.has(event.domain)) throw new TypeError(`domain ${event.domain} twice in position "${text}"`);
    position.set(event.domain, event);
  }
  return position;
}

/** The canonical text form; `parsePosition(formatPosition(p))` equals `p`. */
export function formatPosition(position: Position): string {
  return [...position.values()]
    .sort((a, b) => (a.domain < b.domain ? -1 : 1))
    .map(formatEventId)
    .join(',');
}

/** Stands for all events of a transaction, whatever their number: event numbers have 32 bits. */
const wholeTransaction = 4_294_967_295n;

/**
 * The position after everything up to a GTID position as MariaDB writes it: `0-1-14,7-1-3`. A snapshot is at such a place; no
 * event stands there. Throws TypeError on another form.
 */
export function positionAfterGtids(gtids: string): Position {
  const list = gtids.split(',').map((gtid) => gtid.trim());
  return parsePosition(
    list
      .filter((gtid) => gtid !== '')
      .map((gtid) => `${gtid}:${wholeTransaction}`)
      .join(','),
  );
}

/** Whether `event` stands for its whole transaction instead of for one event of the stream. */
export function isWholeTransaction({ eventNumber }: EventId): boolean {
  return eventNumber === wholeTransaction;
}

/** The least position that covers both. */
export function joinPositions(a: Position, b: Position): Position {
  return [...b.values()].reduce(advance, a);
}

/** Whether `event` is at or before `position`: what a side that has finished `position` has already seen. */
export function covers(position: Position, event: EventId): boolean {
  const last = position.get(event.domain);
  if (last === undefined) return false;
  if (event.sequence !== last.sequence) return event.sequence < last.sequence;
  return event.eventNumber <= last.eventNumber;
}

/** Whether every event at or before `b` is also at or before `a` (the partial order of the vector). */
export function coversAll(a: Position, b: Position): boolean {
  for (const event of b.values()) if (!covers(a, event)) return false;
  return true;
}

/** The position after `event`: `position` with its domain moved forward. An older event changes nothing. */
export function advance(position: Position, event: EventId): Position {
  return covers(position, event) ? position : new Map(position).set(event.domain, event);
}
