import type { EventId } from '@afterimage/change-events';
import { EventMalformed } from '../errors.js';

const pattern =
  /^\{"domain": (-?\d+), "server_id": (-?\d+), "sequence": (-?\d+), "event_number": (-?\d+), "timestamp": (-?\d+), "event_type": "([a-z_]+)"(?:, |(?=\}))/;

type SequenceBases = Readonly<Record<string, string>>;

function matchPrefix(line: string): RegExpExecArray {
  const match = pattern.exec(line);
  if (match === null) throw new EventMalformed('the line does not begin like an event of MaxScale');
  return match;
}

/** MaxScale prints unsigned 32-bit numbers as signed ones. */
function unsigned(text = ''): string {
  return text.startsWith('-') ? String(Number(text) >>> 0) : text;
}

function fullSequence(domain: string, sequence: string, bases: SequenceBases): string {
  const base = bases[domain];
  return base === undefined ? sequence : String(BigInt(sequence) + BigInt(base));
}

/** The event id on a raw line, with 32-bit wraps put right. Throws EventMalformed for a line that does not begin so. */
export function parseEventId(line: string, bases: SequenceBases): EventId {
  const match = matchPrefix(line);
  const domain = unsigned(match[1]);
  return {
    domain: BigInt(domain),
    serverId: BigInt(unsigned(match[2])),
    sequence: BigInt(fullSequence(domain, unsigned(match[3]), bases)),
    eventNumber: BigInt(unsigned(match[4])),
  };
}

/** The time on a raw line, in Unix seconds: when its statement began. Throws EventMalformed as `parseEventId` does. */
export function parseEventTime(line: string): number {
  return Number(unsigned(matchPrefix(line)[5]));
}

/** Event lines taken apart for PostgreSQL. */
export interface SplitEvents {
  /** The columns of each event, as the text of a JSON object. */
  readonly rows: string[];
  /**
   * The fixed prefixes as array literals: domains, server ids, sequences, event numbers, Unix seconds, operations. Digits
   * and lower-case letters only, so nothing in them needs quoting.
   */
  readonly arrays: readonly string[];
}

/**
 * Splits raw lines behind their fixed prefix as MaxScale prints it; the columns after it are PostgreSQL's to read. Throws
 * EventMalformed at a line that does not begin so.
 */
export function splitEvents(lines: readonly string[], bases: SequenceBases): SplitEvents {
  const rows: string[] = [];
  const columns: string[][] = [[], [], [], [], [], []];
  const [domains = [], serverIds = [], sequences = [], eventNumbers = [], timestamps = [], operations = []] = columns;
  for (const line of lines) {
    const match = matchPrefix(line);
    const domain = unsigned(match[1]);
    domains.push(domain);
    serverIds.push(unsigned(match[2]));
    sequences.push(fullSequence(domain, unsigned(match[3]), bases));
    eventNumbers.push(unsigned(match[4]));
    timestamps.push(unsigned(match[5]));
    operations.push(match[6] ?? '');
    rows.push(`{${line.slice(match[0].length)}`);
  }
  return { rows, arrays: columns.map((values) => `{${values.join(',')}}`) };
}
