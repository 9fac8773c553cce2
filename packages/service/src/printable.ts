const control = /[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]/gu;
const controlInJson = /[\u007F-\u009F\p{Zl}\p{Zp}\p{Bidi_Control}]/gu;

const escape = (character: string): string => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;

/**
 * Text that does nothing to a terminal or a log, on one line: control characters, line separators and characters that
 * turn the direction of writing, which names and values may hold, are shown as escapes.
 */
export function toPrintable(text: string): string {
  return text.replaceAll(control, (character) => (character === '\n' ? String.raw`\n` : escape(character)));
}

/**
 * The same for text that is JSON already: equal to it for every parser. JSON's own escapes end at U+001F, but terminals
 * obey U+009B (CSI) as well.
 */
export function toPrintableJson(json: string): string {
  return json.replaceAll(controlInJson, escape);
}
