const escapes: Readonly<Record<string, string>> = { '\\0': '\0', '\\n': '\n', '\\r': '\r' };

/**
 * The text of a literal as information_schema writes it: `'it''s'` → `it's`, with `\\`, `\0`, `\n` and `\r`. Null when it
 * is none.
 */
export function unquoteLiteral(literal: string): string | null {
  const [, inner] = /^'((?:[^'\\]|''|\\[^])*)'$/.exec(literal) ?? [];
  return inner === undefined ? null : unescape(inner);
}

/** The labels in `enum('a','it''s')` or `set(…)`. */
export function parseLabels(definition: string): string[] {
  return [...definition.matchAll(/'((?:[^'\\]|''|\\[^])*)'/g)].map(([, label = '']) => unescape(label));
}

function unescape(quoted: string): string {
  return quoted.replace(/''|\\[^]/g, (escape) => escapes[escape] ?? escape.slice(1));
}
