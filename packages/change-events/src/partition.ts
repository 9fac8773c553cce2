/**
 * How the events of a stream are divided among its partitions. Part of the contract: whoever divides the same line under
 * the same layout must come to the same partition, in every version of this program, or events are lost. A change here
 * needs another layout number for every stream.
 */
export interface Layout {
  /** Counts the divisions a stream has had, from 1. */
  readonly number: number;
  readonly partitions: number;
  /** Source names of the columns that choose the partition; null with one partition. */
  readonly key: readonly string[] | null;
}

const offsetBasis = 0x811c9dc5;
const prime = 0x01000193;
/** Between the values of a key of several columns; no line holds it unescaped. */
const separator = 0x1f;
const quote = 0x22;
const backslash = 0x5c;
const comma = 0x2c;
const brace = 0x7d;

/** The shortest fixed prefix of an event line is longer than this, so no search for a column needs to begin before. */
const prefixLength = 90;

/**
 * Returns what tells the partition of an event line, from 0: a hash of its key columns' text as it stands on the line
 * (FNV-1a over UTF-16 code units, mixed as MurmurHash3 ends). Only these columns are looked at. Lines without a key column
 * (it was dropped or renamed) all go to one partition.
 */
export function createPartitioner({ partitions, key }: Layout): (line: string) => number {
  if (partitions === 1 || key === null) return () => 0;
  // Quotes inside names and values are escaped, so this can only be the beginning of a member.
  const marks = key.map((name) => `, ${JSON.stringify(name)}: `);
  return (line) => {
    let hash = offsetBasis;
    for (const mark of marks) {
      const at = line.indexOf(mark, prefixLength);
      if (at >= 0) hash = hashValue(line, at + mark.length, hash);
      hash = Math.imul(hash ^ separator, prime);
    }
    return (mix(hash) >>> 0) % partitions;
  };
}

/** Takes in one JSON value: a string up to its closing quote, anything else up to what follows it. */
function hashValue(line: string, start: number, seed: number): number {
  let hash = seed;
  const isText = line.charCodeAt(start) === quote;
  for (let i = isText ? start + 1 : start; i < line.length; i += 1) {
    const unit = line.charCodeAt(i);
    if (isText ? unit === quote : unit === comma || unit === brace) break;
    hash = Math.imul(hash ^ unit, prime);
    if (isText && unit === backslash) {
      i += 1;
      hash = Math.imul(hash ^ line.charCodeAt(i), prime);
    }
  }
  return hash;
}

/** So that every bit of the hash decides, not only the last ones. */
function mix(hash: number): number {
  let mixed = hash ^ (hash >>> 16);
  mixed = Math.imul(mixed, 0x85ebca6b);
  mixed ^= mixed >>> 13;
  mixed = Math.imul(mixed, 0xc2b2ae35);
  return mixed ^ (mixed >>> 16);
}
