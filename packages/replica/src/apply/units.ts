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
