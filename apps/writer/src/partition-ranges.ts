export type PartitionFilter = (partition: number) => boolean;

const range = /^(\d{1,4})(?:-(\d{1,4}))?$/;

/** Reads `--partitions`: numbers and ranges like `0-3,7`. Throws RangeError that says how to write it. */
export function parsePartitionRanges(text: string): PartitionFilter {
  const ranges = text.split(',').map((part): readonly [number, number] => {
    const [, first = '', last = first] = range.exec(part.trim()) ?? [];
    const [from, to] = [Number(first), Number(last)];
    if (first === '' || from > to) {
      throw new RangeError(
        `--partitions: not partitions: ${JSON.stringify(part)}; write numbers and ranges like 0-3,7`,
      );
    }
    return [from, to];
  });
  return (partition) => ranges.some(([from, to]) => from <= partition && partition <= to);
}
