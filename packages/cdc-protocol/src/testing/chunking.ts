/**
 * How bytes are cut on their way out: as MaxScale writes them (a message, or rows in blocks of up to 16 KiB),
 * in pieces of n bytes, or in pieces of random size that a seed determines.
 */
export type Chunking = 'recorded' | number | { readonly seed: number; readonly maxBytes?: number };

/** A function that cuts bytes into the pieces to write; pieces of one buffer are views, not copies. */
export function createCutter(chunking: Chunking): (bytes: Buffer) => Iterable<Buffer> {
  if (chunking === 'recorded') return (bytes) => [bytes];
  if (typeof chunking === 'number') return (bytes) => cut(bytes, () => chunking);
  const { seed, maxBytes = 2000 } = chunking;
  const random = createRandom(seed);
  return (bytes) => cut(bytes, () => 1 + Math.floor(random() * maxBytes));
}

function* cut(bytes: Buffer, nextSize: () => number): Generator<Buffer> {
  for (let start = 0; start < bytes.length;) {
    const end = Math.min(bytes.length, start + nextSize());
    yield bytes.subarray(start, end);
    start = end;
  }
}

/** Numbers from 0 to 1 that depend on the seed only (mulberry32). */
function createRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
