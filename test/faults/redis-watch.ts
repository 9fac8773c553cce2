import { createHash } from 'node:crypto';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import type { Tap } from '../harness/fault-proxy.js';
import type { OnStep } from './postgres-watch.js';

/** BullMQ's scripts: SHA-1, by which Redis is asked to run them → name. */
const scriptNames: ReadonlyMap<string, string> = loadScriptNames();

function loadScriptNames(): Map<string, string> {
  const fromQueue = createRequire(new URL('../../packages/queue/package.json', import.meta.url));
  const folder = dirname(fromQueue.resolve('bullmq'));
  const scripts = fromQueue(join(folder, 'scripts', 'index.js')) as Record<string, { name: string; content: string }>;
  return new Map(
    Object.values(scripts).map(({ name, content }) => [createHash('sha1').update(content).digest('hex'), name]),
  );
}

const aggregates = new Set(['*', '~', '>', '%', '|']);
const texts = new Set(['$', '=', '!']);

/** Cuts one direction of a Redis connection into whole values (RESP 2 and 3); gives each value's kind and first texts. */
class ValueScan {
  readonly #onValue: (kind: string, texts: readonly string[]) => void;
  #rest: Buffer = Buffer.alloc(0);
  /** Values that are still to come of each aggregate that is open. */
  #open: number[] = [];
  #kind = '';
  #texts: string[] = [];
  /** Bytes of a long text that are still to come, its line end included. */
  #skip = 0;

  constructor(onValue: (kind: string, texts: readonly string[]) => void) {
    this.#onValue = onValue;
  }

  push(chunk: Buffer): void {
    let bytes = chunk;
    if (this.#skip > 0) {
      const skipped = Math.min(this.#skip, bytes.length);
      this.#skip -= skipped;
      bytes = bytes.subarray(skipped);
      if (this.#skip > 0) return;
      this.#close();
    }
    this.#rest = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    for (;;) {
      const end = this.#rest.indexOf('\r\n');
      if (end === -1 || !this.#read(this.#rest.toString('latin1', 0, end), end + 2)) return;
    }
  }

  /** Takes the value whose first line this is. False when more bytes are needed. */
  #read(line: string, from: number): boolean {
    const kind = line[0] ?? '';
    const length = Number(line.slice(1));
    if (this.#open.length === 0) {
      this.#kind = kind;
      this.#texts = [];
    }
    if (texts.has(kind) && length >= 0) return this.#readText(length, from);
    this.#rest = this.#rest.subarray(from);
    const count = aggregates.has(kind) ? length * (kind === '%' || kind === '|' ? 2 : 1) : 0;
    if (count > 0) this.#open.push(count);
    else this.#close();
    return true;
  }

  #readText(length: number, from: number): boolean {
    const whole = from + length + 2;
    if (this.#texts.length >= 2 && this.#rest.length < whole) {
      this.#skip = whole - this.#rest.length;
      this.#rest = Buffer.alloc(0);
      return false;
    }
    if (this.#rest.length < whole) return false;
    if (this.#texts.length < 2) this.#texts.push(this.#rest.toString('utf8', from, from + length));
    this.#rest = this.#rest.subarray(whole);
    this.#close();
    return true;
  }

  /** A value is complete, and with it every aggregate whose last one it was. */
  #close(): void {
    for (;;) {
      const left = this.#open.pop();
      if (left === undefined) return this.#onValue(this.#kind, this.#texts);
      if (left > 1) return void this.#open.push(left - 1);
    }
  }
}

/** Follows the commands of one connection: a script by its name in BullMQ, anything else by the command. */
export function watchRedis(onStep: OnStep): Tap {
  const pending: string[] = [];
  let verdict: 'pass' | 'drop' = 'pass';
  const step = (when: 'before' | 'after', name: string): void => {
    if (verdict === 'pass') verdict = onStep(when, name);
  };
  const up = new ValueScan((_kind, [command = '', script = '']) => {
    const name = nameOf(command.toUpperCase(), script);
    step('before', name);
    pending.push(name);
  });
  const down = new ValueScan((kind) => {
    // Pushed by itself, not an answer.
    if (kind === '>' || kind === '|') return;
    const name = pending.shift() ?? '';
    // An error is no step done: NOSCRIPT, for one.
    if (kind !== '-') step('after', name);
  });
  const through = (scan: ValueScan) => (chunk: Buffer) => {
    if (verdict === 'pass') scan.push(chunk);
    return verdict;
  };
  return { up: through(up), down: through(down) };
}

function nameOf(command: string, script: string): string {
  if (command === 'EVALSHA') return scriptNames.get(script) ?? command;
  if (command === 'EVAL') return scriptNames.get(createHash('sha1').update(script).digest('hex')) ?? command;
  return command;
}
