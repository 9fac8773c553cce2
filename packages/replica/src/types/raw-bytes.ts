import { quoteLiteral } from '../names.js';

/** One UTF-8 sequence in lower-case hex (RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF). */
const TAIL = '[89ab][0-9a-f]';
const UTF8_IN_HEX =
  `(?:[0-7][0-9a-f]|(?:c[2-9a-f]|d[0-9a-f])${TAIL}|e0[ab][0-9a-f]${TAIL}|(?:e[1-9a-cef])(?:${TAIL}){2}|ed[89][0-9a-f]${TAIL}` +
  `|f0[9ab][0-9a-f](?:${TAIL}){2}|f[1-3](?:${TAIL}){3}|f48[0-9a-f](?:${TAIL}){2})`;

/**
 * SQL boolean: the text is what MaxScale makes of bytes that are not valid UTF-8, all of them in lower-case hex. Valid
 * ones it sends as text, so hex of valid UTF-8 is text that happens to look so.
 */
export function isHexOfBytes(ref: string): string {
  return `(${ref} ~ '^(?:[0-9a-f][0-9a-f])+$' AND ${ref} !~ '^${UTF8_IN_HEX}*$')`;
}

/** The bytes that MaxScale printed as text; `nul` becomes 00 again. The database must be in UTF-8. */
function encodeText(ref: string, nul: string | null): string {
  if (nul === null) {
    return `convert_to(${ref}, 'UTF8')`;
  }
  const backslash = quoteLiteral('\\');
  const escaped = `replace(replace(${ref}, ${backslash}, ${quoteLiteral('\\\\')}), ${nul}, ${quoteLiteral('\\000')})`;
  return `decode(${escaped}, 'escape')`;
}

/** SQL bytea of what was stored, from either of MaxScale's two forms. */
export function toBytes(ref: string, nul: string | null, isHex: string = isHexOfBytes(ref)): string {
  return `CASE WHEN ${isHex} THEN decode(${ref}, 'hex') ELSE ${encodeText(ref, nul)} END`;
}

/** SQL text of bytes, as MaxScale would print them in a text column: what they say in UTF-8, else their hex. Never fails. */
export function bytesAsText(ref: string): string {
  const hex = `encode(${ref}, 'hex')`;
  return `CASE WHEN ${hex} ~ '^${UTF8_IN_HEX}*$' AND ${hex} !~ '^(?:..)*00' THEN convert_from(${ref}, 'UTF8') ELSE ${hex} END`;
}
