import { type CanonicalValue, expectedValue, kindOf } from './expected-values.js';
import type { OracleEvent, OracleField, OracleSchema, OracleStream } from './recorded-stream.js';

/** A row of the mirror: column name → value. */
export type ExpectedRow = ReadonlyMap<string, CanonicalValue>;

export interface ExpectedMirror {
  readonly fields: readonly OracleField[];
  readonly rows: readonly ExpectedRow[];
  /** How often the table was dropped and created anew with other columns, and so began empty. */
  readonly recreations: number;
}

/**
 * What the mirror must hold after the events, worked out one event at a time. `key` names the columns that identify
 * a row; null = rows are matched whole and may be there more than once.
 */
export function expectMirror(stream: OracleStream, key: readonly string[] | null): ExpectedMirror {
  let rows = new RowBag(key);
  let schema: OracleSchema | null = null;
  let recreations = 0;
  for (const event of stream.events) {
    if (schema !== event.schema) {
      const moves = schema === null ? [] : matchColumns(schema.fields, event.schema.fields);
      const isNewTable = schema !== null && moves.every(({ from }) => from === null);
      rows = isNewTable ? new RowBag(key) : rows.move(moves);
      if (isNewTable) recreations += 1;
      schema = event.schema;
    }
    applyEvent(rows, event);
  }
  return { fields: schema?.fields ?? [], rows: rows.list(), recreations };
}

function applyEvent(rows: RowBag, event: OracleEvent): void {
  switch (event.operation) {
    case 'insert':
    case 'update_after':
      return rows.put(rowOf(event));
    case 'update_before':
    case 'delete':
      return rows.take(rowOf(event));
    default:
      throw new Error(`operation ${event.operation}`);
  }
}

/** Rows by identity: one for each key, or, without a key, as many equal ones as were put. */
class RowBag {
  readonly #key: readonly string[] | null;
  readonly #rows = new Map<string, ExpectedRow[]>();

  constructor(key: readonly string[] | null) {
    this.#key = key;
  }

  put(row: ExpectedRow): void {
    const identity = this.#identify(row);
    const equal = this.#key === null ? (this.#rows.get(identity) ?? []) : [];
    this.#rows.set(identity, [...equal, row]);
  }

  take(row: ExpectedRow): void {
    const identity = this.#identify(row);
    const [, ...others] = this.#rows.get(identity) ?? [];
    this.#rows.set(identity, others);
  }

  move(moves: readonly ColumnMove[]): RowBag {
    const moved = new RowBag(this.#key);
    for (const row of this.list()) {
      moved.put(new Map(moves.map(({ from, to }) => [to, from === null ? null : (row.get(from) ?? null)])));
    }
    return moved;
  }

  list(): ExpectedRow[] {
    return [...this.#rows.values()].flat();
  }

  #identify(row: ExpectedRow): string {
    return JSON.stringify((this.#key ?? [...row.keys()]).map((name) => row.get(name)));
  }
}

interface ColumnMove {
  /** Name before, or null for a column that is new. */
  readonly from: string | null;
  readonly to: string;
}

/**
 * Where the values of each new column come from: the column of the same name; or, where as many columns left as
 * came, the one that left the same place and had the same type (a rename); or nowhere.
 */
function matchColumns(before: readonly OracleField[], after: readonly OracleField[]): ColumnMove[] {
  const left = before.filter((field) => !after.some((other) => other.name === field.name));
  const came = after.filter((field) => !before.some((other) => other.name === field.name));
  const mayRename = left.length === came.length && left.length < before.length;
  return after.map((field, place) => {
    if (!came.includes(field)) return { from: field.name, to: field.name };
    const old = before[place];
    const isRename = mayRename && old !== undefined && left.includes(old) && kindOf(old) === kindOf(field);
    return { from: isRename ? old.name : null, to: field.name };
  });
}

/** The columns of an event in canonical form. */
export function rowOf(event: OracleEvent): ExpectedRow {
  return new Map(event.schema.fields.map((field) => [field.name, expectedValue(field, event.values.get(field.name))]));
}
