/**
 * A JSON reader that keeps every number as its text, so that nothing is lost on the way. Written for the oracle: it
 * shares no code with the product.
 */
export type Json =
  | { readonly kind: 'null' }
  | { readonly kind: 'boolean'; readonly value: boolean }
  | { readonly kind: 'number'; readonly text: string }
  | { readonly kind: 'string'; readonly value: string }
  | { readonly kind: 'array'; readonly items: readonly Json[] }
  | { readonly kind: 'object'; readonly members: ReadonlyMap<string, Json> };

const numberPattern = /-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?/y;
const stringPattern = /"(?:[^"\\]|\\.)*"/sy;

class JsonReader {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  readDocument(): Json {
    const value = this.#readValue();
    this.#skipBlanks();
    if (this.#at !== this.#text.length) throw this.#error('something follows the value');
    return value;
  }

  #readValue(): Json {
    this.#skipBlanks();
    switch (this.#text[this.#at]) {
      case '{':
        return { kind: 'object', members: this.#readMembers() };
      case '[':
        return { kind: 'array', items: this.#readItems() };
      case '"':
        return { kind: 'string', value: this.#readString() };
      case 'n':
        return this.#readWord('null', { kind: 'null' });
      case 't':
        return this.#readWord('true', { kind: 'boolean', value: true });
      case 'f':
        return this.#readWord('false', { kind: 'boolean', value: false });
      default:
        return { kind: 'number', text: this.#match(numberPattern) };
    }
  }

  #readMembers(): Map<string, Json> {
    const members = new Map<string, Json>();
    this.#readList('}', () => {
      this.#skipBlanks();
      const name = this.#readString();
      this.#skipBlanks();
      this.#readMark(':');
      members.set(name, this.#readValue());
    });
    return members;
  }

  #readItems(): Json[] {
    const items: Json[] = [];
    this.#readList(']', () => items.push(this.#readValue()));
    return items;
  }

  #readList(end: string, readOne: () => void): void {
    this.#at += 1;
    this.#skipBlanks();
    if (this.#text[this.#at] === end) {
      this.#at += 1;
      return;
    }
    for (;;) {
      readOne();
      this.#skipBlanks();
      if (this.#text[this.#at] === end) break;
      this.#readMark(',');
    }
    this.#at += 1;
  }

  #readString(): string {
    return JSON.parse(this.#match(stringPattern)) as string;
  }

  #readWord(word: string, value: Json): Json {
    if (!this.#text.startsWith(word, this.#at)) throw this.#error(`not ${word}`);
    this.#at += word.length;
    return value;
  }

  #readMark(mark: string): void {
    if (this.#text[this.#at] !== mark) throw this.#error(`no ${mark}`);
    this.#at += 1;
  }

  #match(pattern: RegExp): string {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text)?.[0];
    if (found === undefined) throw this.#error('no value');
    this.#at += found.length;
    return found;
  }

  #skipBlanks(): void {
    while (this.#text[this.#at] === ' ') this.#at += 1;
  }

  #error(problem: string): SyntaxError {
    return new SyntaxError(`${problem} at ${this.#at} of ${this.#text.slice(0, 120)}`);
  }
}

export function readJson(text: string): Json {
  return new JsonReader(text).readDocument();
}

export function readObject(text: string): ReadonlyMap<string, Json> {
  return membersOf(readJson(text));
}

export function membersOf(value: Json | undefined): ReadonlyMap<string, Json> {
  if (value?.kind !== 'object') throw new TypeError('not an object');
  return value.members;
}

export function itemsOf(value: Json | undefined): readonly Json[] {
  if (value?.kind !== 'array') throw new TypeError('not an array');
  return value.items;
}

export function stringOf(value: Json | undefined): string {
  if (value?.kind !== 'string') throw new TypeError('not a string');
  return value.value;
}

export function numberTextOf(value: Json | undefined): string {
  if (value?.kind !== 'number') throw new TypeError('not a number');
  return value.text;
}
