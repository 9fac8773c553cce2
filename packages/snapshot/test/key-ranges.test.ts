import fc from 'fast-check';
import { expect, it } from 'vitest';
import { divideEvenly } from '../src/key-ranges.js';

it('bounds rise and lie within the keys, so that every key is in exactly one part', () => {
  const key = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 64n });
  fc.assert(
    fc.property(key, key, fc.bigInt({ min: 1n, max: 10_000n }), (a, b, count) => {
      const [low, high] = a < b ? [a, b] : [b, a];
      const bounds = divideEvenly(low, high, count);
      expect(bounds.length).toBeLessThanOrEqual(4_095);
      expect(bounds.every((bound, i) => bound > (bounds[i - 1] ?? low) && bound <= high)).toBe(true);
    }),
  );
});
