/** A MariaDB column type taken apart: `decimal(20,4) unsigned`, `enum('a','b')`. */
export interface MariaType {
  /** Its first word, lower-case: `decimal`, `national`. */
  readonly word: string;
  /** Numbers in parentheses: `[20, 4]`. */
  readonly args: readonly number[];
  /** Labels of ENUM and SET, unescaped; empty for other types. */
  readonly labels: readonly string[];
  /** True for UNSIGNED, and for ZEROFILL, which implies it. */
  readonly unsigned: boolean;
  /** Character set, lower-case, where it is named. */
  readonly charset: string | null;
  /** The words, arguments and sign as one would write them. */
  readonly text: string;
}

/** The text is no MariaDB column type. Write it as SHOW CREATE TABLE or information_schema.columns.column_type does. */
export class MariaTypeError extends Error {
  readonly code = 'MARIA_TYPE_INVALID';
  readonly text: string;

  constructor(text: string, reason: string) {
    super(`${JSON.stringify(text)} is not a MariaDB column type: ${reason}`);
    this.name = 'MariaTypeError';
    this.text = text;
  }
}

type Token =
  | { readonly kind: 'word'; readonly text: string }
  | { readonly kind: 'number'; readonly value: number }
  | { readonly kind: 'label'; readonly value: string }
  | { readonly kind: 'mark'; readonly text: string };

const TOKEN =
  /\s*(?:(?<word>[A-Za-z_][\w$]*)|(?<number>\d+)|(?<single>'(?:[^'\\]|''|\\[^])*')|(?<double>"(?:[^"\\]|""|\\[^])*")|(?<mark>[(),]))/y;

/** MariaDB's escapes; `\%` and `\_` keep their backslash. */
const ESCAPES: Readonly<Record<string, string>> = {
  '0': '\0',
  b: '\b',
  n: '\n',
  r: '\r',
  t: '\t',
  Z: '\x1a',
  '%': '\\%',
  _: '\\_',
};

const CONTINUATIONS: ReadonlySet<string> = new Set([
  'precision',
  'varying',
  'char',
  'character',
  'varchar',
  'varbinary',
]);

/**
 * Takes a column type apart. Words after it (NOT NULL, DEFAULT …, COMMENT …) are read over.
 *
 * @throws MariaTypeError naming the text when it is not one.
 */
export function parseMariaType(text: string): MariaType {
  const tokens = tokenize(text);
  const open = tokens.findIndex((token) => token.kind !== 'word');
  const words = wordsOf(open === -1 ? tokens : tokens.slice(0, open));
  const word = words[0];
  if (word === undefined) {
    throw new MariaTypeError(text, 'it must begin with a type word');
  }
  const { items, rest } = takeArguments(text, open === -1 ? [] : tokens.slice(open));
  const labels = items.flatMap((item) => (item.kind === 'label' ? [item.value.replace(/ +$/, '')] : []));
  const args = items.flatMap((item) => (item.kind === 'number' ? [item.value] : []));
  checkArguments(text, word, { labels, args });
  const attributes = [...words.slice(1), ...wordsOf(rest)];
  const unsigned = attributes.includes('unsigned') || attributes.includes('zerofill');
  const list = labels.length > 0 ? labels.map(writeLabel) : args;
  return {
    word,
    args,
    labels,
    unsigned,
    charset: findCharset(attributes),
    text: `${typeWords(words).join(' ')}${list.length > 0 ? `(${list.join(',')})` : ''}${unsigned ? ' unsigned' : ''}`,
  };
}

function tokenize(text: string): Token[] {
  const tokens: Token[] = [];
  const pattern = new RegExp(TOKEN);
  const end = text.trimEnd().length;
  while (pattern.lastIndex < end) {
    const at = pattern.lastIndex;
    const groups = pattern.exec(text)?.groups;
    if (groups === undefined) {
      throw new MariaTypeError(text, `cannot read on from ${JSON.stringify(text.slice(at).trimStart())}`);
    }
    tokens.push(readToken(groups));
  }
  return tokens;
}

function readToken(groups: Readonly<Record<string, string | undefined>>): Token {
  const { word, number, mark } = groups;
  if (word !== undefined) {
    return { kind: 'word', text: word.toLowerCase() };
  }
  if (number !== undefined) {
    return { kind: 'number', value: Number(number) };
  }
  if (mark !== undefined) {
    return { kind: 'mark', text: mark };
  }
  const quoted = groups['single'] ?? groups['double'] ?? '';
  return { kind: 'label', value: unescapeLabel(quoted) };
}

function unescapeLabel(quoted: string): string {
  const quote = quoted.charAt(0);
  return quoted.slice(1, -1).replace(/\\([^])|''|""/g, (pair: string, escaped: string | undefined) => {
    if (escaped !== undefined) {
      return ESCAPES[escaped] ?? escaped;
    }
    return pair.charAt(0) === quote ? quote : pair;
  });
}

/** The list in parentheses, if the tokens begin with one, and what comes after it. */
function takeArguments(text: string, tokens: readonly Token[]): { items: Token[]; rest: Token[] } {
  if (!isMark(tokens[0], '(')) {
    return { items: [], rest: [...tokens] };
  }
  const close = tokens.findIndex((token) => isMark(token, ')'));
  if (close === -1) {
    throw new MariaTypeError(text, 'a parenthesis is not closed');
  }
  const inside = tokens.slice(1, close);
  const items = inside.filter((_, i) => i % 2 === 0);
  const separated = inside.every((token, i) =>
    i % 2 === 1 ? isMark(token, ',') : token.kind === 'number' || token.kind === 'label',
  );
  if (items.length === 0 || inside.length % 2 === 0 || !separated) {
    throw new MariaTypeError(text, 'the parentheses must hold numbers, or labels in quotes, with commas between');
  }
  return { items, rest: tokens.slice(close + 1) };
}

function checkArguments(text: string, word: string, list: { labels: string[]; args: number[] }): void {
  const labelled = word === 'enum' || word === 'set';
  if (labelled && (list.labels.length === 0 || list.args.length > 0)) {
    throw new MariaTypeError(text, `${word} needs its labels: ${word}('a','b')`);
  }
  if (!labelled && (list.labels.length > 0 || list.args.length > 2)) {
    throw new MariaTypeError(text, 'only enum and set have labels, and a type has two numbers at most');
  }
  if (word === 'set' && list.labels.length > 64) {
    throw new MariaTypeError(text, 'a set has 64 labels at most');
  }
}

/** The first word and those that belong to it, as in `national character varying`, `double precision`. */
function typeWords(words: readonly string[]): readonly string[] {
  const end = words.findIndex((word, i) => i > 0 && (!CONTINUATIONS.has(word) || words[i + 1] === 'set'));
  return end === -1 ? words : words.slice(0, end);
}

function findCharset(words: readonly string[]): string | null {
  const direct = words.indexOf('charset');
  const spelled = words.findIndex((word, i) => word === 'character' && words[i + 1] === 'set');
  return (direct === -1 ? undefined : words[direct + 1]) ?? (spelled === -1 ? undefined : words[spelled + 2]) ?? null;
}

function wordsOf(tokens: readonly Token[]): string[] {
  return tokens.flatMap((token) => (token.kind === 'word' ? [token.text] : []));
}

function isMark(token: Token | undefined, text: string): boolean {
  return token?.kind === 'mark' && token.text === text;
}

function writeLabel(label: string): string {
  const escaped = label.replaceAll('\\', '\\\\').replaceAll("'", "''");
  return `'${escaped.replaceAll('\0', '\\0').replaceAll('\n', '\\n').replaceAll('\r', '\\r')}'`;
}
