/**
 * The pieces that a batch may be split into when PostgreSQL refuses it: one event, or the two halves of an update,
 * which succeed or fail together (half an update would look like a delete).
 */
export interface Unit {
  readonly lines: readonly string[];
  /** Of each line. */
  readonly ordinals: readonly bigint[];
}

const beforeMark = '"event_type": "update_before"';
const afterMark = '"event_type": "update_after"';

/** Whether a raw line has this operation. The mark stands in its fixed prefix, before any value. */
function hasMark(line: string, mark: string): boolean {
  const at = line.indexOf('"event_type": ');
  return line.startsWith(mark, at);
}

/** The halves of an update are next to each other in the stream; where they are in different partitions each stands alone. */
export function splitUnits(lines: readonly string[], ordinals: readonly bigint[]): Unit[] {
  const units: Unit[] = [];
  for (let index = 0; index < lines.length;) {
    const [line = '', next] = lines.slice(index, index + 2);
    const isPair =
      next !== undefined &&
      hasMark(line, beforeMark) &&
      hasMark(next, afterMark) &&
      (ordinals[index] ?? 0n) + 1n === ordinals[index + 1];
    const size = isPair ? 2 : 1;
    units.push({ lines: lines.slice(index, index + size), ordinals: ordinals.slice(index, index + size) });
    index += size;
  }
  return units;
}
