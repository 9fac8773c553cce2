export interface PreparedEvents {
  /** The events as one JSON array, to be read with `json_to_recordset`. */
  readonly json: string;
  /** The private-use character that stands for NUL in `json`; null when no value holds a NUL. */
  readonly nul: string | null;
}

/**
 * A whole value of one NUL: MaxScale's form of the empty text or blob. The quote before the escape follows a space or
 * a colon, so it is not itself escaped: it opens a string, and the quote before the colon ends a key. A match can
 * therefore never lie inside a string.
 */
const EMPTY_VALUE = /(": ?)"\\u0000"/g;

/** Any escape; taking them one after the other keeps `\\u0000` (a backslash, then text) apart from `\u0000`. */
const ESCAPE = /\\(?:u0000|[^])/g;

/**
 * Joins raw event lines into one JSON array that PostgreSQL can take apart. Its json type reads `\u0000` but refuses to
 * extract a string with it, so the NULs of text and blobs become a stand-in that this batch uses nowhere else.
 */
export function prepareEvents(lines: readonly string[]): PreparedEvents {
  const json = `[${lines.join(',\n')}]`;
  if (!json.includes('\\u0000')) {
    return { json, nul: null };
  }
  const emptied = json.replace(EMPTY_VALUE, '$1""');
  let nul: string | null = null;
  const replaced = emptied.replace(ESCAPE, (escape) => {
    if (escape !== '\\u0000') {
      return escape;
    }
    nul ??= findUnusedCharacter(emptied);
    return nul;
  });
  return { json: replaced, nul };
}

/** A private-use character that the text holds neither as such nor as an escape. */
function findUnusedCharacter(text: string): string {
  for (let code = 0xe000; code <= 0xf8ff; code++) {
    const character = String.fromCharCode(code);
    if (!text.includes(character) && !text.toLowerCase().includes(`\\u${code.toString(16)}`)) {
      return character;
    }
  }
  for (let code = 0xf0000; code <= 0x10fffd; code++) {
    const character = String.fromCodePoint(code);
    // An escaped pair begins with a surrogate that is in the text as such an escape.
    if (!text.includes(character) && !/\\u[dD][bB][89a-fA-F][0-9a-fA-F]{2}/.test(text)) {
      return character;
    }
  }
  throw new RangeError('the batch uses every private-use character, so none is left to stand for NUL');
}
