import { type FakeMaxScale, type ScriptedTable, deleted, inserted, updated } from '@afterimage/cdc-protocol/testing';

type Cell = string | number | null;
type Row = Record<string, Cell>;

/** A seeded generator (mulberry32): a failing run can be repeated. */
export function createRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

interface RecordedEvent {
  readonly sequence: number;
  readonly eventNumber: number;
  readonly operation: string;
  readonly row: Row;
}

interface ModelTable {
  readonly scripted: ScriptedTable;
  readonly keyed: boolean;
  columns: { name: string; realType: string }[];
  rows: Row[];
  readonly events: RecordedEvent[];
}

/**
 * A source with a life of its own: it commits random transactions to a fake MaxScale and remembers what its tables
 * hold and every event it sent, without any code of the reader or writer.
 */
export class SourceModel {
  readonly tables = new Map<string, ModelTable>();
  readonly #random: () => number;
  readonly #server: FakeMaxScale;
  #nextId = 1;
  #sequence = 1;

  constructor(server: FakeMaxScale, random: () => number) {
    this.#server = server;
    this.#random = random;
    this.#create('orders', true);
    this.#create('items', true);
    this.#create('notes', false);
  }

  get events(): number {
    return [...this.tables.values()].reduce((sum, table) => sum + table.events.length, 0);
  }

  #create(name: string, keyed: boolean): void {
    const columns = [
      { name: 'id', realType: 'bigint' },
      { name: 'state', realType: 'varchar' },
      { name: 'amount', realType: 'int' },
    ];
    const scripted = this.#server.table('shop', name);
    scripted.create(columns, { gtid: `0-1-${this.#sequence++}` });
    this.tables.set(name, { scripted, keyed, columns, rows: [], events: [] });
  }

  /** ALTER TABLE … ADD COLUMN: seen by the stream with the next row. */
  alter(name: string): void {
    const table = this.#table(name);
    const added = { name: `extra_${table.columns.length}`, realType: 'varchar' };
    table.columns = [...table.columns, added];
    for (const row of table.rows) row[added.name] = null;
    table.scripted.alter(table.columns, { gtid: `0-1-${this.#sequence++}` });
  }

  #table(name: string): ModelTable {
    const table = this.tables.get(name);
    if (table === undefined) throw new Error(`no table ${name}`);
    return table;
  }

  #pick<T>(list: readonly T[]): T | undefined {
    return list[Math.floor(this.#random() * list.length)];
  }

  /** One transaction of one to twelve row changes over one or several tables. */
  commit(): void {
    const sequence = this.#sequence++;
    let eventNumber = 0;
    const changes: Parameters<FakeMaxScale['commit']>[0][number][] = [];
    const size = 1 + Math.floor(this.#random() * 12);
    for (let i = 0; i < size; i += 1) {
      const table = this.#pick([...this.tables.values()]);
      if (table === undefined) continue;
      for (const change of this.#change(table)) {
        eventNumber += 1;
        changes.push({ ...change, table: table.scripted });
        table.events.push({ sequence, eventNumber, operation: change.operation, row: { ...(change.values as Row) } });
      }
    }
    this.#server.commit(changes, { gtid: `0-1-${sequence}` });
  }

  #change(table: ModelTable) {
    const choice = this.#random();
    const row = this.#pick(table.rows);
    if (row === undefined || choice < 0.5) {
      const fresh = this.#row(table, table.keyed ? this.#nextId++ : Math.floor(this.#random() * 5));
      table.rows.push(fresh);
      return inserted({ ...fresh });
    }
    if (choice < 0.85) {
      const id = table.keyed && this.#random() < 0.1 ? this.#nextId++ : (row['id'] ?? 0);
      const after = this.#row(table, Number(id));
      table.rows[table.rows.indexOf(row)] = after;
      return updated({ ...row }, { ...after });
    }
    table.rows.splice(table.rows.indexOf(row), 1);
    return deleted({ ...row });
  }

  #row(table: ModelTable, id: number): Row {
    const cells = table.columns.map(({ name, realType }): [string, Cell] => {
      if (name === 'id') return [name, id];
      if (this.#random() < 0.1) return [name, null];
      return realType === 'int'
        ? [name, Math.floor(this.#random() * 4)]
        : [name, `v${Math.floor(this.#random() * 3)} "ü\u2028"`];
    });
    return Object.fromEntries(cells);
  }

  /** What the mirror must hold: rows in the columns' order, sorted as text. */
  expectedRows(name: string): string[] {
    const { rows, columns } = this.#table(name);
    return rows.map((row) => cellsOf(row, columns)).toSorted();
  }

  /** What history must hold, in stream order. */
  expectedHistory(name: string): string[] {
    const { events, columns } = this.#table(name);
    return events.map(
      (event) => `${event.sequence}:${event.eventNumber} ${event.operation} ${cellsOf(event.row, columns)}`,
    );
  }

  columnNames(name: string): string[] {
    return this.#table(name).columns.map((column) => column.name);
  }
}

function cellsOf(row: Row, columns: readonly { name: string }[]): string {
  return JSON.stringify(columns.map(({ name }) => ((row[name] ?? null) === null ? null : String(row[name]))));
}
