import type { Change, Column, FakeMaxScale, ScriptedTable } from '@afterimage/cdc-protocol/testing';
import { type Cell, type KindName, columnKinds, convertCell, kindNames, makeCell } from './column-kinds.js';
import { Dice } from './dice.js';

export interface ModelColumn {
  /** Stays through renames and changes of type; a dropped column that comes again is another one. */
  readonly origin: number;
  readonly name: string;
  readonly kind: KindName;
}

/** A row's values by the origin of their columns. */
export type ModelRow = ReadonlyMap<number, Cell>;

export interface ModelEvent {
  readonly domain: number;
  readonly serverId: number;
  readonly sequence: number;
  readonly eventNumber: number;
  readonly timestamp: number;
  readonly operation: Change['operation'];
  readonly row: ModelRow;
}

/** What the table's file was given for one transaction, to be given again. */
interface Passage {
  readonly gtid: { readonly domain: number; readonly serverId: number; readonly sequence: number };
  readonly timestamp: number;
  readonly changes: (Change & { readonly eventNumber: number })[];
}

export interface ModelTable {
  readonly name: string;
  readonly key: readonly string[] | null;
  readonly scripted: ScriptedTable;
  columns: readonly ModelColumn[];
  rows: ModelRow[];
  /** In stream order. */
  readonly events: ModelEvent[];
  passages: Passage[];
}

const database = 'shop';
/** Few names per kind, so that a column that was dropped often comes again. */
const namesPerKind = 4;
/** Of a table with a key. */
export const mostPartitions = 4;

const tablePlans: readonly { name: string; key: readonly string[] | null; columns: readonly [string, KindName][] }[] = [
  { name: 'accounts', key: ['id'], columns: [['id', 'big']] },
  {
    name: 'places',
    key: ['region', 'number'],
    columns: [
      ['region', 'varchar'],
      ['number', 'uint'],
    ],
  },
  { name: 'notes', key: null, columns: [['rank', 'tiny']] },
  {
    name: 'Order',
    key: ['select'],
    columns: [
      ['select', 'int'],
      ['body', 'longtext'],
    ],
  },
];

/** The configuration of every table that the model has, those with a key divided among one to four partitions, labels in any form. */
export function tableSettings(dice: Dice): Record<string, unknown> {
  const columns = Object.fromEntries(
    kindNames.flatMap((kind) => {
      const { configured: type, charset } = columnKinds[kind];
      const settings = { ...(type && { type }), ...(charset && { charset }) };
      if (Object.keys(settings).length === 0) return [];
      return Array.from({ length: namesPerKind }, (_, n) => [columnName(kind, n), settings] as const);
    }),
  );
  return Object.fromEntries(
    tablePlans.map(({ name, key }) => [
      `${database}.${name}`,
      {
        ...(key === null ? {} : { key: [...key], partitions: dice.between(1, mostPartitions) }),
        columns,
        labels: dice.pick(['check', 'enum', 'none']),
      },
    ]),
  );
}

function columnName(kind: KindName, n: number): string {
  return `${kind}_${n + 1}`;
}

/**
 * A source with a life of its own: random transactions and schema changes go to a fake MaxScale, and it remembers what
 * its tables hold and every event it sent. It shares no code with reader or writer.
 */
export class SourceModel {
  readonly tables: readonly ModelTable[];
  readonly #server: FakeMaxScale;
  readonly #dice: Dice;
  /** Domain → server and last sequence. */
  readonly #domains: Map<number, { serverId: number; sequence: number }>;
  #origin = 0;
  #nextKey = 1;
  #timestamp = 1_760_000_000;

  constructor(server: FakeMaxScale, dice: Dice) {
    this.#server = server;
    this.#dice = dice;
    const domains = dice.pick([[0], [0], [0, 1], [3, 0, 7]]);
    // Sequences come modulo 2^32 and are signed on the wire.
    const start = dice.pick([0, 0, 0, 2 ** 31 - 40, 2 ** 32 - 60]);
    this.#domains = new Map(domains.map((domain) => [domain, { serverId: 1, sequence: domain === 0 ? start : 0 }]));
    this.tables = tablePlans.map((plan) => this.#create(plan));
  }

  get events(): number {
    return this.tables.reduce((sum, table) => sum + table.events.length, 0);
  }

  #create({ name, key, columns }: (typeof tablePlans)[number]): ModelTable {
    const fixed = columns.map(([column, kind]) => ({ origin: this.#origin++, name: column, kind }));
    const table: ModelTable = {
      name,
      key,
      scripted: this.#server.table(database, name),
      columns: fixed,
      rows: [],
      events: [],
      passages: [],
    };
    for (let i = this.#dice.between(2, 5); i > 0; i -= 1) table.columns = [...table.columns, this.#freshColumn(table)];
    table.scripted.create(streamColumns(table), { gtid: this.#nextGtid().text });
    return table;
  }

  #freshColumn(table: ModelTable, wanted?: KindName): ModelColumn {
    const taken = new Set(table.columns.map((column) => column.name));
    for (;;) {
      const kind = wanted ?? this.#dice.pick(kindNames);
      const free = Array.from({ length: namesPerKind }, (_, n) => columnName(kind, n)).filter((n) => !taken.has(n));
      if (free.length > 0) return { origin: this.#origin++, name: this.#dice.pick(free), kind };
      if (wanted !== undefined) throw new RangeError(`no free name for a ${wanted} column`);
    }
  }

  #nextGtid(): { domain: number; serverId: number; sequence: number; text: string } {
    const [domain, state] = this.#dice.pick([...this.#domains]);
    if (this.#dice.chance(0.01)) state.serverId += 1;
    state.sequence += 1;
    const { serverId, sequence } = state;
    return { domain, serverId, sequence, text: `${domain}-${serverId}-${sequence}` };
  }

  /** One transaction of one to twelve row changes over one or several tables. */
  commit(only?: ModelTable): void {
    const { text, domain, serverId, sequence } = this.#nextGtid();
    if (this.#dice.chance(0.4)) this.#timestamp += this.#dice.between(1, 3);
    const timestamp = this.#timestamp;
    const changes: (Change & { table: ScriptedTable; eventNumber: number })[] = [];
    const touched = new Map<ModelTable, Passage>();
    for (let i = this.#dice.between(1, 12); i > 0; i -= 1) {
      const table = only ?? this.#dice.pick(this.tables);
      for (const { operation, row } of this.#change(table)) {
        const eventNumber = changes.length + 1;
        const change = { operation, values: streamValues(table, row), table: table.scripted, eventNumber };
        changes.push(change);
        table.events.push({ domain, serverId, sequence, eventNumber, timestamp, operation, row });
        const passage = touched.get(table) ?? { gtid: { domain, serverId, sequence }, timestamp, changes: [] };
        passage.changes.push(change);
        touched.set(table, passage);
      }
    }
    for (const [table, passage] of touched) {
      // A MaxScale that was stopped in the middle of a transaction sends its beginning, later all of it.
      if (this.#dice.chance(0.02)) {
        const part = passage.changes.slice(0, this.#dice.below(passage.changes.length));
        table.scripted.appendNumbered(part, passage.gtid, timestamp);
      }
      table.passages = [...table.passages.slice(-20), passage];
    }
    this.#server.commit(changes, { gtid: text, timestamp });
  }

  /** A table's last transactions come again. */
  repeat(): void {
    const { scripted, passages } = this.#dice.pick(this.tables);
    for (const { changes, gtid, timestamp } of passages.slice(-this.#dice.between(1, 10))) {
      scripted.appendNumbered(changes, gtid, timestamp);
    }
  }

  /** Each table gets a new file with the same columns. */
  rotate(): void {
    for (const table of this.tables) table.scripted.rotate();
  }

  /** As another MaxScale of the same source has them, whose files have other numbers. End all connections after it. */
  renumber(): void {
    for (const table of this.tables) table.scripted.renumber(this.#dice.between(1, 5));
  }

  /**
   * A schema change and a transaction after it: of two changes without a row between them the stream shows only the
   * sum, in which a column that was dropped and added anew seems to have stayed.
   */
  alter(): void {
    const table = this.#dice.pick(this.tables);
    this.#alterColumns(table);
    table.passages = [];
    table.scripted.alter(streamColumns(table), { gtid: this.#nextGtid().text });
    this.commit(table);
  }

  #alterColumns(table: ModelTable): void {
    const key = new Set(table.key);
    const free = table.columns.filter((column) => !key.has(column.name));
    const choice = this.#dice.below(10);
    if (free.length < 2 || (choice < 4 && table.columns.length < 12)) return this.#addColumn(table);
    const column = this.#dice.pick(free);
    if (choice < 6) {
      table.columns = table.columns.filter((kept) => kept !== column);
      return;
    }
    if (choice === 6) {
      const name = this.#otherName(table, column);
      table.columns = table.columns.map((kept) => (kept === column ? { ...column, name } : kept));
      return;
    }
    if (choice === 7) return this.#insertColumn(table, column);
    this.#retype(table, column);
  }

  #otherName(table: ModelTable, column: ModelColumn): string {
    const taken = new Set(table.columns.map(({ name }) => name));
    // A column that was retyped has the name of its former kind, and that name's type in the configuration.
    const free = Array.from({ length: namesPerKind }, (_, n) => columnName(column.kind, n));
    return free.find((name) => !taken.has(name)) ?? column.name;
  }

  #addColumn(table: ModelTable): void {
    this.#insertColumn(table, this.#freshColumn(table));
  }

  /** Puts the column at a random place, from wherever it was. */
  #insertColumn(table: ModelTable, column: ModelColumn): void {
    const others = table.columns.filter((kept) => kept !== column);
    const place = this.#dice.between(0, others.length);
    table.columns = [...others.slice(0, place), column, ...others.slice(place)];
  }

  #retype(table: ModelTable, column: ModelColumn): void {
    const kinds = columnKinds[column.kind].becomes ?? [];
    if (kinds.length === 0) return this.#addColumn(table);
    const kind = this.#dice.pick(kinds);
    table.columns = table.columns.map((kept) => (kept === column ? { ...column, kind } : kept));
    table.rows = table.rows.map((row) => {
      const value = row.get(column.origin);
      return value === undefined ? row : new Map(row).set(column.origin, convertCell(value, kind));
    });
  }

  /** A statement's row images. */
  #change(table: ModelTable): { operation: Change['operation']; row: ModelRow }[] {
    const choice = this.#dice.fraction();
    const full = table.rows.length > 60;
    if (table.rows.length === 0 || (choice < 0.45 && !full)) {
      const row = this.#makeRow(table, null);
      table.rows.push(row);
      return [{ operation: 'insert', row }];
    }
    const place = this.#dice.below(table.rows.length);
    const before = table.rows[place] ?? new Map<number, Cell>();
    if (choice < 0.8) {
      const after = this.#makeRow(table, this.#dice.chance(0.15) ? null : before);
      table.rows[place] = after;
      return [
        { operation: 'update_before', row: before },
        { operation: 'update_after', row: after },
      ];
    }
    table.rows.splice(place, 1);
    if (choice < 0.9) return [{ operation: 'delete', row: before }];
    const again = this.#makeRow(table, before);
    table.rows.push(again);
    return [
      { operation: 'delete', row: before },
      { operation: 'insert', row: again },
    ];
  }

  /** A row with the key of `former`, or with one that is not in use. */
  #makeRow(table: ModelTable, former: ModelRow | null): ModelRow {
    const key = table.key === null ? [] : table.key;
    const fresh = former === null ? this.#freshKey(table) : [];
    const cells = table.columns.map(({ origin, name, kind }): [number, Cell] => {
      const place = key.indexOf(name);
      if (place >= 0) {
        const text = fresh[place] ?? former?.get(origin)?.text ?? '';
        return [origin, { wire: text, text }];
      }
      const old = former?.get(origin);
      return [origin, old !== undefined && this.#dice.chance(0.5) ? old : this.#makeValue(table, kind)];
    });
    return new Map(cells);
  }

  /** Tables without a key get few different values, so that rows are there more than once. */
  #makeValue(table: ModelTable, kind: KindName): Cell {
    if (table.key !== null || kind === 'longtext') return makeCell(kind, this.#dice);
    return makeCell(kind, this.#dice.chance(0.5) ? this.#dice : new Dice(7));
  }

  #freshKey({ key }: ModelTable): string[] {
    if (key === null) return [];
    const id = this.#nextKey++;
    if (key.length === 1) return [String(id)];
    return [this.#dice.pick(['eu', 'us', 'ñandú', '']), String(this.#dice.chance(0.5) ? id : 4_294_967_295 - id)];
  }
}

function streamColumns({ columns }: ModelTable): Column[] {
  return columns.map(({ name, kind }) => {
    const { realType, unsigned = false } = columnKinds[kind];
    return { name, realType, unsigned };
  });
}

function streamValues({ columns }: ModelTable, row: ModelRow): Record<string, string | null> {
  return Object.fromEntries(columns.map(({ origin, name }) => [name, row.get(origin)?.wire ?? null]));
}
