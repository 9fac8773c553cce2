import { schemaLine } from './wire-messages.js';
import type { Column } from './value-text.js';

/** Rows that are made while they are sent: a fresh pass per connection; each chunk holds whole lines. */
export type RowSource = () => Iterable<Buffer> | AsyncIterable<Buffer>;

export interface FileContent {
  readonly database: string;
  readonly table: string;
  readonly version: number;
  /** GTID of the DDL. */
  readonly gtid: string;
  readonly columns: readonly Column[];
  /** Exact bytes of the schema line, where it was recorded. */
  readonly schemaLine?: Buffer;
}

const blockBytes = 16 * 1024;

/** One version of a table, as an Avro file of MaxScale: a schema and the rows under it. */
export class TableFile {
  readonly version: number;
  readonly gtid: string;
  readonly columns: readonly Column[];
  readonly schemaLine: Buffer;
  readonly #content: FileContent;
  source: RowSource | undefined;
  readonly #blocks: Buffer[] = [];
  #failure: string | undefined;

  constructor(content: FileContent) {
    this.#content = content;
    this.version = content.version;
    this.gtid = content.gtid;
    this.columns = content.columns;
    this.schemaLine = content.schemaLine ?? Buffer.from(schemaLine(content));
  }

  /** The same rows, as the file of another version. */
  numbered(version: number): TableFile {
    const { schemaLine: _recorded, ...content } = this.#content;
    const file = new TableFile({ ...content, version });
    file.source = this.source;
    file.#blocks.push(...this.#blocks);
    file.#failure = this.#failure;
    return file;
  }

  get blockCount(): number {
    return this.#blocks.length;
  }

  /** The reason with which every stream of this file ends, after its rows. */
  get failure(): string | undefined {
    return this.#failure;
  }

  /** Rows after a failure never come, as in MaxScale. */
  append(lines: Buffer): void {
    if (this.#failure === undefined) this.#blocks.push(lines);
  }

  fail(reason: string): void {
    this.#failure = reason;
  }

  /** The lines from block `from` on, as many as MaxScale sends at once, and the index of the block after them. */
  read(from: number): { lines: Buffer; next: number } {
    const taken: Buffer[] = [];
    let bytes = 0;
    let next = from;
    for (let block = this.#blocks[next]; block !== undefined; block = this.#blocks[next]) {
      if (next > from && bytes + block.length > blockBytes) break;
      taken.push(block);
      bytes += block.length;
      next++;
    }
    const [only] = taken;
    return { lines: taken.length === 1 && only !== undefined ? only : Buffer.concat(taken, bytes), next };
  }
}
