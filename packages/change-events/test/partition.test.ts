import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createPartitioner } from '@afterimage/change-events';

const prefix =
  '{"domain": 0, "server_id": 1, "sequence": 1, "event_number": 1, "timestamp": 1, "event_type": "insert", ';
/** A line as MaxScale prints it: `, ` between members, `: ` behind a name. */
const lineOf = (members: readonly (readonly [string, unknown])[]): string =>
  `${prefix}${members.map(([name, value]) => `${JSON.stringify(name)}: ${JSON.stringify(value)}`).join(', ')}}`;
const value = fc.oneof(
  fc.string(),
  fc.integer(),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.constant(null),
);

describe('the partition of an event', () => {
  it('is the same in every version: these must never change', () => {
    const partitionOf = createPartitioner({ number: 1, partitions: 16, key: ['id'] });
    const partitions = [1, 2, 3, 1000, -7, 'a', 'é', '\u{1F600}', '"', '', null].map((id) =>
      partitionOf(lineOf([['id', id]])),
    );
    expect(partitions).toEqual([14, 13, 5, 15, 3, 14, 2, 10, 1, 13, 5]);
    const byTwo = createPartitioner({ number: 1, partitions: 16, key: ['a', 'b'] });
    expect(
      [
        ['x', 'yz'],
        ['xy', 'z'],
      ].map(([a, b]) =>
        byTwo(
          lineOf([
            ['a', a],
            ['b', b],
          ]),
        ),
      ),
    ).toEqual([13, 9]);
  });

  it('depends on the key columns alone, wherever they stand and whatever the others hold', () => {
    const names = ['id', 'no'];
    const partitionOf = createPartitioner({ number: 1, partitions: 7, key: names });
    const others = fc.array(fc.tuple(fc.constantFrom('v', 'iid', '"id', 'id": 1, "x', ', "id', 'no\\'), value), {
      maxLength: 4,
    });
    fc.assert(
      fc.property(value, value, others, others, (id, no, before, after) => {
        const full = lineOf([...before, ['id', id], ...after, ['no', no]]);
        expect(partitionOf(full)).toBe(
          partitionOf(
            lineOf([
              ['id', id],
              ['no', no],
            ]),
          ),
        );
      }),
    );
  });

  it('spreads keys evenly', () => {
    const partitions = 8;
    const partitionOf = createPartitioner({ number: 1, partitions, key: ['id'] });
    for (const key of [(i: number) => i, (i: number) => i * 1024, (i: number) => `user-${i}`]) {
      const counts = Array.from({ length: partitions }, () => 0);
      for (let i = 0; i < 8_000; i += 1) {
        const partition = partitionOf(lineOf([['id', key(i)]]));
        counts[partition] = (counts[partition] ?? 0) + 1;
      }
      for (const count of counts) expect(Math.abs(count - 1_000)).toBeLessThan(150);
    }
  });

  it('is the only one where there is one, and one for all where the key is not on the line', () => {
    expect(createPartitioner({ number: 1, partitions: 1, key: null })(lineOf([['id', 1]]))).toBe(0);
    const partitionOf = createPartitioner({ number: 1, partitions: 4, key: ['gone'] });
    expect(new Set([1, 2, 3, 4, 5].map((id) => partitionOf(lineOf([['id', id]])))).size).toBe(1);
  });
});
