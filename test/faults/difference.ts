const shownLines = 4;
const shownCharacters = 300;

/** What two lists of lines differ in, for a person; null when they are equal. */
export function describeDifference(
  what: string,
  actual: readonly string[],
  expected: readonly string[],
): string | null {
  const place = expected.findIndex((line, i) => line !== actual[i]);
  const first = place === -1 && actual.length > expected.length ? expected.length : place;
  if (first === -1) return null;
  const around = (lines: readonly string[]) =>
    lines
      .slice(first, first + shownLines)
      .map((line) => `\n      ${line.slice(0, shownCharacters)}`)
      .join('');
  return (
    `${what}: ${actual.length} lines, ${expected.length} expected; from line ${first + 1} on` +
    `\n    is:${around(actual)}\n    should be:${around(expected)}`
  );
}
