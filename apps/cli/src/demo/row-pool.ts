import type { ModelRow } from './source-model.js';

/** The rows of a table as objects, with picking one at random in constant time. */
export class RowPool {
  readonly #rows: ModelRow[] = [];
  readonly #places = new Map<ModelRow, number>();

  get size(): number {
    return this.#rows.length;
  }

  add(row: ModelRow): void {
    this.#places.set(row, this.#rows.length);
    this.#rows.push(row);
  }

  /** Throws RangeError when there is none. */
  pick(random: () => number): ModelRow {
    const row = this.#rows[Math.floor(random() * this.#rows.length)];
    if (row === undefined) throw new RangeError('there is no row to pick');
    return row;
  }

  replace(before: ModelRow, after: ModelRow): void {
    const place = this.#placeOf(before);
    this.#places.delete(before);
    this.#rows[place] = after;
    this.#places.set(after, place);
  }

  remove(row: ModelRow): void {
    const place = this.#placeOf(row);
    const last = this.#rows.pop();
    this.#places.delete(row);
    if (last === undefined || last === row) return;
    this.#rows[place] = last;
    this.#places.set(last, place);
  }

  #placeOf(row: ModelRow): number {
    const place = this.#places.get(row);
    if (place === undefined) throw new RangeError('the row is not here');
    return place;
  }
}
