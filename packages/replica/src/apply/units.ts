import type { EventId } from '@afterimage/change-events';

/**
 * The pieces that a batch may be split into when PostgreSQL refuses it: one event, or the two halves of an update,
 * which succeed or fail together (half an update would look like a delete).
 */
export interface Unit {
  readonly lines: readonly string[];
  /** Index in the batch of its first line. */
  readonly index: number;
}

const beforeMark = '"event_type": "update_before"';

/** Whether a raw line is the first half of an update. The mark stands in its fixed prefix, before any value. */
function isUpdateBefore(line: string): boolean {
  const at = line.indexOf('"event_type": ');
  return line.startsWith(beforeMark, at);
}

export function splitUnits(lines: readonly string[]): Unit[] {
  const units: Unit[] = [];
  for (let index = 0; index < lines.length;) {
    const line = lines[index] ?? '';
    const size = isUpdateBefore(line) && index + 1 < lines.length ? 2 : 1;
    units.push({ lines: lines.slice(index, index + size), index });
    index += size;
  }
  return units;
}

const idPattern = /^\{"domain": (-?\d+), "server_id": (-?\d+), "sequence": (-?\d+), "event_number": (-?\d+),/;

/** The event id on a raw line, with MaxScale's 32-bit wraps put right; null for a line that is no event. */
export function parseEventId(line: string, sequenceBases: Readonly<Record<string, string>>): EventId | null {
  const match = idPattern.exec(line);
  if (match === null) return null;
  const [, domain, serverId, sequence, eventNumber] = match.map((part, i) =>
    i === 0 ? 0n : BigInt.asUintN(32, BigInt(part)),
  );
  if (domain === undefined || serverId === undefined || sequence === undefined || eventNumber === undefined)
    return null;
  return { domain, serverId, sequence: sequence + BigInt(sequenceBases[domain.toString()] ?? '0'), eventNumber };
}
