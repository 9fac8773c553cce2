import type { ModelColumn, Value } from './columns.js';

/** Values by column id; an absent one is NULL. Never changed, only replaced. */
export type ModelRow = Readonly<Record<string, Value>>;

export type ModelOperation = 'insert' | 'update_before' | 'update_after' | 'delete';

interface ModelEvent {
  readonly gtid: string;
  readonly eventNumber: number;
  readonly operation: ModelOperation;
  /** Unix seconds. */
  readonly timestamp: number;
  readonly row: ModelRow;
}

/** The table as it was when second `at` was over and transaction `gtid` was the last. */
interface Moment {
  readonly gtid: string;
  readonly at: number;
  readonly rows: readonly ModelRow[];
}

type TextRow = readonly (string | null)[];

/** What PostgreSQL must hold for one table, as texts; handed from the source's process to the checker's. */
export interface TableExpectation {
  readonly database: string;
  readonly table: string;
  readonly key: readonly string[] | null;
  readonly columns: readonly string[];
  readonly rows: readonly TextRow[];
  readonly events: readonly {
    readonly gtid: string;
    readonly eventNumber: number;
    readonly operation: ModelOperation;
    readonly timestamp: number;
    readonly values: TextRow;
  }[];
  readonly moments: readonly { readonly gtid: string; readonly at: number; readonly rows: readonly TextRow[] }[];
}

export interface ModelTableOptions {
  readonly database: string;
  readonly table: string;
  readonly columns: readonly ModelColumn[];
  /** Ids of the key columns; null: rows may be there several times. */
  readonly key: readonly string[] | null;
}

/**
 * The source's own idea of a table: its rows now, every event it ever sent, and its rows at a few moments. It knows
 * nothing of what the pipeline does with them.
 */
export class ModelTable {
  readonly database: string;
  readonly table: string;
  readonly key: readonly string[] | null;
  readonly #rows = new Map<string, { row: ModelRow; count: number }>();
  readonly #events: ModelEvent[] = [];
  readonly #moments: Moment[] = [];
  #columns: readonly ModelColumn[];

  constructor({ database, table, columns, key }: ModelTableOptions) {
    this.database = database;
    this.table = table;
    this.key = key;
    this.#columns = columns;
  }

  get columns(): readonly ModelColumn[] {
    return this.#columns;
  }

  get eventCount(): number {
    return this.#events.length;
  }

  get size(): number {
    return this.#rows.size;
  }

  /** ALTER TABLE: values of columns whose id is gone are lost, new columns are NULL. */
  alter(columns: readonly ModelColumn[]): void {
    const kept = columns.map(({ id }) => id);
    this.#columns = columns;
    const rows = [...this.#rows.values()];
    this.#rows.clear();
    for (const { row, count } of rows) {
      const left: ModelRow = Object.fromEntries(kept.map((id) => [id, row[id] ?? null]));
      const place = this.#placeOf(left);
      this.#rows.set(place, { row: left, count: count + (this.#rows.get(place)?.count ?? 0) });
    }
  }

  apply(event: ModelEvent): void {
    this.#events.push(event);
    const place = this.#placeOf(event.row);
    const present = this.#rows.get(place);
    const isNew = event.operation === 'insert' || event.operation === 'update_after';
    const count = (present?.count ?? 0) + (isNew ? 1 : -1);
    if (count < 0 || (this.key !== null && count > 1)) {
      throw new Error(
        `the workload does not make sense: ${event.operation} of ${place} in ${this.database}.${this.table}`,
      );
    }
    if (count === 0) this.#rows.delete(place);
    else this.#rows.set(place, { row: event.row, count });
  }

  /** Remembers the rows of now. */
  remember(gtid: string, at: number): void {
    this.#moments.push({ gtid, at, rows: this.#allRows() });
  }

  /** Under the newest columns, as PostgreSQL shows them. */
  expectation(): TableExpectation {
    const toTexts = (row: ModelRow): TextRow =>
      this.#columns.map(({ id, type }) => {
        const value = row[id] ?? null;
        return value === null ? null : type.toText(value);
      });
    const nameOf = new Map(this.#columns.map(({ id, name }) => [id, name]));
    return {
      database: this.database,
      table: this.table,
      key: this.key?.map((id) => nameOf.get(id) ?? id) ?? null,
      columns: this.#columns.map(({ name }) => name),
      rows: this.#allRows().map(toTexts),
      events: this.#events.map(({ row, ...event }) => ({ ...event, values: toTexts(row) })),
      moments: this.#moments.map(({ rows, ...moment }) => ({ ...moment, rows: rows.map(toTexts) })),
    };
  }

  #allRows(): ModelRow[] {
    return [...this.#rows.values()].flatMap(({ row, count }) => Array.from({ length: count }, () => row));
  }

  #placeOf(row: ModelRow): string {
    const ids = this.key ?? this.#columns.map(({ id }) => id);
    return JSON.stringify(ids.map((id) => row[id] ?? null));
  }
}
