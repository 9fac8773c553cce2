import type { Tap } from '../harness/fault-proxy.js';

/** Told of a statement before the server gets it, and after the server has done it, before the client learns of that. */
export type OnStep = (when: 'before' | 'after', statement: string) => 'pass' | 'drop';

/** As much of a message is looked at as tells which statement it is. */
const lookedAt = 1_200;
const headBytes = 5;

/** Cuts one direction of a PostgreSQL connection into messages: their type and the beginning of their content. */
class MessageScan {
  readonly #onMessage: (type: string, start: Buffer) => void;
  /** The client's first message has no type. */
  #typed: boolean;
  #head: Buffer = Buffer.alloc(0);
  #start: Buffer = Buffer.alloc(0);
  #type = '';
  /** Bytes of the content that are still to come; -1 between messages. */
  #left = -1;

  constructor(typed: boolean, onMessage: (type: string, start: Buffer) => void) {
    this.#typed = typed;
    this.#onMessage = onMessage;
  }

  push(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length) at = this.#left < 0 ? this.#readHead(chunk, at) : this.#readContent(chunk, at);
  }

  #readHead(chunk: Buffer, at: number): number {
    const wanted = this.#typed ? headBytes : headBytes - 1;
    const end = Math.min(chunk.length, at + wanted - this.#head.length);
    this.#head = Buffer.concat([this.#head, chunk.subarray(at, end)]);
    if (this.#head.length === wanted) {
      this.#type = this.#typed ? String.fromCharCode(this.#head[0] ?? 0) : 'startup';
      this.#left = this.#head.readInt32BE(wanted - 4) - 4;
      this.#head = Buffer.alloc(0);
      this.#start = Buffer.alloc(0);
      this.#typed = true;
      if (this.#left === 0) this.#finish();
    }
    return end;
  }

  #readContent(chunk: Buffer, at: number): number {
    const piece = chunk.subarray(at, at + this.#left);
    if (this.#start.length < lookedAt) {
      this.#start = Buffer.concat([this.#start, piece.subarray(0, lookedAt - this.#start.length)]);
    }
    this.#left -= piece.length;
    if (this.#left === 0) this.#finish();
    return at + piece.length;
  }

  #finish(): void {
    this.#left = -1;
    this.#onMessage(this.#type, this.#start);
  }
}

/** Follows the statements of one connection (PostgreSQL manual, "Message Formats"). */
export function watchPostgres(onStep: OnStep): Tap {
  const prepared = new Map<string, string>();
  /** Statements on their way, each ended by a ReadyForQuery; the connection's start is the first. */
  const pending: string[] = ['(start)'];
  let bound = '';
  let verdict: 'pass' | 'drop' = 'pass';
  const step = (when: 'before' | 'after', statement: string): void => {
    if (verdict === 'pass') verdict = onStep(when, statement);
  };
  const up = new MessageScan(false, (type, start) => {
    const [first = '', second = ''] = start.toString('utf8').split('\0', 2);
    if (type === 'Q') {
      step('before', first);
      pending.push(first);
    } else if (type === 'P') prepared.set(first, second);
    else if (type === 'B') {
      bound = prepared.get(second) ?? '';
      step('before', bound);
    } else if (type === 'S') pending.push(bound);
  });
  const down = new MessageScan(true, (type) => {
    if (type === 'C') step('after', pending[0] ?? '');
    else if (type === 'Z') pending.shift();
  });
  const through = (scan: MessageScan) => (chunk: Buffer) => {
    if (verdict === 'pass') scan.push(chunk);
    return verdict;
  };
  return { up: through(up), down: through(down) };
}
