/*
 * SQL cut into words as avrorouter's parser of DDL does it: no grammar, a few words that mean something, and every
 * name or literal a "name" whose characters outside [A-Za-z0-9_] have become `_`. SQL is one character per byte.
 */

export interface Token {
  /** `name`; one of `. , ( ) =`; or a word that means something, in upper case. */
  readonly type: string;
  /** A name as it appears in schema lines. */
  readonly value: string;
}

const words = new Set(
  `ADD AFTER ALTER AUTO_INCREMENT CASCADE CHANGE COLUMN_FORMAT COLUMN COMMENT CONSTRAINT CREATE DEFAULT DROP DYNAMIC
  EXISTS FIRST FIXED FOREIGN FULLTEXT IF IGNORE INDEX INVISIBLE KEY KEYS LIKE MODIFY NOT NULL ONLINE OR PERIOD PRIMARY
  REF_SYSTEM_ID REMOVE RENAME REPLACE RESTRICT SPATIAL SYSTEM TABLE TO UNIQUE UNSIGNED VERSIONING WITH WITHOUT
  ZEROFILL`.split(/\s+/),
);

const reservedNames = new Set(['domain', 'server_id', 'sequence', 'event_number', 'timestamp', 'event_type']);

/** A name as avrorouter changes it: `ünï` (5 bytes) → `__n__`, `timestamp` → `timestamp_`. */
function sanitizeName(name: string): string {
  const safe = name.replace(/[^A-Za-z0-9_]/g, '_');
  return reservedNames.has(safe.toLowerCase()) ? `${safe}_` : safe;
}

/**
 * SQL without comments; of an executable comment at its beginning (slash, star, `!50100`) the contents. Like avrorouter
 * it sees backquotes but not quoted text, so a `#` in a literal begins a comment.
 */
function removeComments(sql: string): string {
  const plain = sql.replace(
    /(`[^`]*`)|\/\*(?!M?!).*?\*\/|(?:#.*|--\s.*)(?:\n|\r\n|$)/g,
    (_match, quoted: string | undefined) => quoted ?? '',
  );
  return plain.replace(/^\/\*M?!\d*/, '');
}

const tokenPattern =
  /\s+|[.,()=]|(?<quote>[`'"])(?<quoted>(?:\\[^]|(?!\k<quote>)[^\\])*)(?:\k<quote>|$)|[^\s.,()=`'"]+/g;

export function tokenize(sql: string): Token[] {
  const tokens: Token[] = [];
  for (const match of removeComments(sql).matchAll(tokenPattern)) {
    const [text] = match;
    const quoted = match.groups?.['quoted'];
    if (quoted !== undefined) tokens.push({ type: 'name', value: sanitizeName(quoted) });
    else if (text.trim() !== '') tokens.push(toToken(text));
  }
  return tokens;
}

function toToken(text: string): Token {
  if ('.,()='.includes(text)) return { type: text, value: '' };
  const word = text.toUpperCase();
  return { type: words.has(word) ? word : 'name', value: sanitizeName(text) };
}
