import type { ComparedTable } from './compared-table.js';
import type { RowLook } from './keyed-rows.js';
import { cutSample, type Sample } from './result.js';
import type { CopiesLook } from './whole-rows.js';

const mostSamples = 20;

/** Counts differences, and keeps the first as samples. */
export class Tally {
  readonly #table: ComparedTable;
  readonly samples: Sample[] = [];
  readonly columns: Record<string, number> = {};
  missing = 0;
  extra = 0;
  different = 0;
  unsettled = 0;

  constructor(table: ComparedTable) {
    this.#table = table;
  }

  get differences(): number {
    return this.missing + this.extra + this.different;
  }

  addRow({ key, source, wanted, mirror }: RowLook): void {
    const { key: texts } = key;
    if (mirror === null) this.#addMissing(1, texts, source);
    else if (source === null) this.#addExtra(1, texts, mirror);
    else {
      this.different += 1;
      for (const [i, { name }] of this.#table.columns.entries()) {
        if (wanted !== null && wanted[i] === mirror[i]) continue;
        this.columns[name] = (this.columns[name] ?? 0) + 1;
        this.#sample({
          kind: 'different',
          key: texts,
          column: name,
          source: cutSample(source[i]),
          mirror: cutSample(mirror[i]),
        });
      }
    }
  }

  /** Of equal rows, how many more one side has. */
  addCopies({ source, inSource, inMirror }: CopiesLook): void {
    if (inSource > inMirror) this.#addMissing(inSource - inMirror, null, source);
    else this.#addExtra(inMirror - inSource, null, source);
  }

  #addMissing(count: number, key: readonly string[] | null, row: readonly (string | null)[] | null): void {
    this.missing += count;
    this.#sample({ kind: 'missing', key, column: null, source: describeRow(row), mirror: null });
  }

  #addExtra(count: number, key: readonly string[] | null, row: readonly (string | null)[] | null): void {
    this.extra += count;
    this.#sample({ kind: 'extra', key, column: null, source: null, mirror: describeRow(row) });
  }

  #sample(sample: Sample): void {
    if (this.samples.length < mostSamples) this.samples.push(sample);
  }
}

function describeRow(row: readonly (string | null)[] | null): string | null {
  return row === null ? null : cutSample(JSON.stringify(row.map((value) => cutSample(value))));
}
