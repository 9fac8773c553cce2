/** The same text for the same content, whatever order its members have: what comes from jsonb has another one. */
export function toCanonical(value: unknown): string {
  return JSON.stringify(value, (_, member: unknown) =>
    typeof member === 'object' && member !== null && !Array.isArray(member)
      ? Object.fromEntries(Object.entries(member).sort(([a], [b]) => (a < b ? -1 : 1)))
      : member,
  );
}

/** Whether all members of `part` are in `whole`, in this order. */
export function isSubsequence(part: readonly string[], whole: readonly string[]): boolean {
  let next = 0;
  for (const member of whole) if (member === part[next]) next += 1;
  return next === part.length;
}
