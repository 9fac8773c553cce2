/** Holds all readers of a table together to so many rows a second; null = as fast as they can. */
export function createPace(rowsPerSecond: number | null, now: () => number): (rows: number) => number {
  if (rowsPerSecond === null) return () => 0;
  let free = now();
  return (rows) => {
    free = Math.max(free, now()) + (rows / rowsPerSecond) * 1000;
    return free - now();
  };
}
