import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Field } from '@afterimage/change-events';
import { type ColumnType, followThrough, type TableKnowledge } from '@afterimage/mariadb';
import { chooseKnowledge, type StoredKnowledge } from '../src/apply/source.js';
import type { StoredColumn } from '../src/control/tables.js';
import { findOrigins, originsOf } from '../src/schema/origins.js';
import { field } from './batches.js';
import { integer, tableOf } from './known.js';

const types: readonly ColumnType[] = [
  { kind: 'integer', name: 'int', isUnsigned: false, isZerofill: false },
  { kind: 'bit', length: 8 },
];

interface Column {
  /** Which column it really is. */
  readonly number: number;
  readonly type: number;
  name: string;
  /** A reading had it, and a row. A column that is renamed before both cannot be told from one that never was. */
  isSeen: boolean;
  isTold: boolean;
}

const isKnown = (column: Column | undefined): boolean => column === undefined || (column.isSeen && column.isTold);

/** A table in MariaDB, and what MaxScale takes its columns' names to be. */
class ModelTable {
  columns: Column[] = [];
  maxscale: string[] = [];
  /**
   * MaxScale did not understand a change, since it knows the column by another name, and drops all rows. That it comes to the
   * same number of columns again by a second such change could not be told from a rename.
   */
  #isLost = false;
  #isLooked = true;
  readonly #names = new Set<string>();
  #count = 0;

  constructor() {
    for (const type of [0, 0, 1, 1]) this.add(type, null);
  }

  /** Whether MaxScale would take the name for another column's, and nobody has looked since that was renamed. */
  #isMistaken(name: string): boolean {
    const place = this.maxscale.indexOf(name);
    return !this.#isLooked && place >= 0 && this.columns[place]?.name !== name;
  }

  /** Always under a name that no column had: MaxScale has no stream of two columns of one name. */
  add(type: number, after: number | null): void {
    this.#count += 1;
    const name = `c${this.#count}`;
    if (this.#names.has(name)) return this.add(type, after);
    this.#names.add(name);
    const column = { number: this.#count, type, name, isSeen: false, isTold: false };
    const wanted = after === null ? undefined : this.columns[after % this.columns.length];
    const there = wanted !== undefined && this.#isMistaken(wanted.name) ? undefined : wanted;
    if (there === undefined) {
      this.columns.push(column);
      this.maxscale.push(column.name);
      return;
    }
    this.columns.splice(this.columns.indexOf(there) + 1, 0, column);
    const place = this.maxscale.indexOf(there.name);
    if (place >= 0) this.maxscale.splice(place + 1, 0, column.name);
    else this.#isLost = true;
  }

  drop(place: number): void {
    const dropped = this.columns[place % this.columns.length];
    if (dropped === undefined || this.columns.length < 2 || this.#isMistaken(dropped.name)) return;
    this.columns.splice(this.columns.indexOf(dropped), 1);
    const there = this.maxscale.indexOf(dropped.name);
    if (there >= 0) this.maxscale.splice(there, 1);
    else this.#isLost = true;
  }

  /** RENAME COLUMN: a swap where another has the name, a chain where it was just dropped. MaxScale does not see it. */
  rename(from: number, to: string | number): void {
    const one = this.columns[from % this.columns.length];
    const other = typeof to === 'number' ? this.columns[to % this.columns.length] : undefined;
    const name = typeof to === 'string' ? to : other?.name;
    if (one === undefined || name === undefined || !isKnown(one)) return;
    const holder = this.columns.find((column) => column.name === name);
    if (!isKnown(holder)) return;
    if (holder !== undefined) holder.name = one.name;
    one.name = name;
    this.#isLooked = false;
    this.#names.add(name);
  }

  /** MaxScale begins anew, with SHOW CREATE TABLE. */
  restart(): void {
    this.maxscale = this.columns.map(({ name }) => name);
    this.#isLost = false;
  }

  read(): TableKnowledge {
    this.#isLooked = true;
    for (const column of this.columns) column.isSeen = true;
    const columns = this.columns.map(({ name, type }) =>
      integer(name, { definition: type === 0 ? 'int(11)' : 'bit(8)', type: types[type] ?? { kind: 'date' } }),
    );
    return tableOf(null, columns);
  }

  /** Null: MaxScale drops the rows, since it takes the table to have another number of columns. */
  fields(): Field[] | null {
    const isRead = !this.#isLost && this.maxscale.length === this.columns.length;
    if (isRead) for (const column of this.columns) column.isTold = true;
    return isRead ? this.maxscale.map((name) => field(name, 'int', 'int')) : null;
  }

  numbers(): number[] {
    return this.columns.map(({ number }) => number);
  }
}

type Step =
  | { readonly kind: 'add'; readonly type: number; readonly after: number | null }
  | { readonly kind: 'drop'; readonly place: number }
  | { readonly kind: 'rename'; readonly from: number; readonly to: string | number }
  | { readonly kind: 'restart' | 'read' | 'row' }
  /** The writer applies rows up to that many steps behind. */
  | { readonly kind: 'apply'; readonly behind: number };

const place = fc.nat(7);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('add' as const), type: fc.nat(1), after: fc.option(place) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('drop' as const), place }) },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('rename' as const),
      from: place,
      to: fc.oneof(place, fc.constantFrom('c1', 'c2', 'c3', 'c4', 'c5', 'x')),
    }),
  },
  { weight: 1, arbitrary: fc.constant({ kind: 'restart' as const }) },
  { weight: 5, arbitrary: fc.constant({ kind: 'read' as const }) },
  { weight: 5, arbitrary: fc.constant({ kind: 'row' as const }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('apply' as const), behind: fc.nat(4) }) },
);

interface Row {
  readonly time: number;
  readonly fields: readonly Field[];
  /** Which columns its values really are of. */
  readonly numbers: readonly number[];
}

interface Reading extends StoredKnowledge {
  readonly first: number;
  last: number;
  readonly numbers: readonly number[];
}

interface Version {
  readonly fields: readonly Field[];
  readonly columns: readonly StoredColumn[];
  readonly knowledge: Reading;
}

const moment = (time: number) => new Date(Date.UTC(2026, 0, 1) + time * 10_000);

/** What writers do with rows and readings, without a database. */
class ModelWriter {
  readonly readings: Reading[] = [];
  readonly wrong: string[] = [];
  readonly found = { certain: 0, lookedUp: 0, all: 0 };
  #version: Version | null = null;

  read(time: number, table: ModelTable): void {
    const knowledge = table.read();
    const last = this.readings.at(-1);
    if (JSON.stringify(last?.table) === JSON.stringify(knowledge) && last !== undefined) {
      last.last = time;
      Object.assign(last, { lastSeen: moment(time) });
      return;
    }
    const id = String(this.readings.length);
    const positions = { firstPosition: null, lastPosition: null, definedAt: null };
    const reading = { id, table: knowledge, first: time, last: time, lastSeen: moment(time), ...positions };
    this.readings.push({ ...reading, numbers: table.numbers() });
  }

  apply({ time, fields, numbers }: Row): void {
    const chosen = chooseKnowledge(this.readings, {
      fields,
      time: moment(time),
      isOfRows: ({ id }) => this.readings.some((one) => one.id === id && one.first < time && time < one.last),
    });
    const knowledge = this.readings.find(({ id }) => id === chosen?.knowledge.id);
    const before = this.#version;
    const isSame = before !== null && JSON.stringify(before.fields) === JSON.stringify(fields);
    if (chosen === null || knowledge === undefined) return;
    if (!isSame || chosen.isOfRows) {
      const followed = before === null ? new Map() : this.#follow(before.knowledge, knowledge);
      const origins = findOrigins(fields, { ...chosen, table: knowledge.table, before, followed });
      const columns = origins.map(({ column, isCertain }, i) => ({
        ...storedColumn(fields[i]?.name ?? ''),
        source: isCertain ? (column?.name ?? null) : null,
      }));
      this.#version = { fields, columns, knowledge };
    }
    if (this.#version !== null) this.#check(this.#version, numbers);
  }

  /** No origin is certain that is not the right one, nor any column that would be read now. */
  #check(version: Version, numbers: readonly number[]): void {
    const newest = this.readings.at(-1) ?? version.knowledge;
    const followed = this.#follow(version.knowledge, newest);
    originsOf(version).forEach(({ column, isCertain }, i) => {
      this.found.all += 1;
      if (!isCertain || column === null) return;
      this.found.certain += 1;
      if (numberOf(version.knowledge, column.name) !== numbers[i]) this.wrong.push(column.name);
      const now = followed.get(column.name);
      if (now === undefined) return;
      this.found.lookedUp += 1;
      if (numberOf(newest, now.name) !== numbers[i]) this.wrong.push(now.name);
    });
  }

  #follow(from: Reading, to: Reading) {
    return followThrough(this.readings.slice(Number(from.id), Number(to.id) + 1).map(({ table }) => table));
  }
}

const numberOf = ({ table, numbers }: Reading, name: string): number | undefined =>
  numbers[table.columns.findIndex((column) => column.name === name)];

function storedColumn(name: string): StoredColumn {
  const types = { postgresType: 'text', mappedType: 'text', sourceType: 'text', unreliable: null };
  return { name, mirror: name, history: name, origin: `${name}@1`, ...types };
}

function play(steps: readonly Step[], writer: ModelWriter): void {
  const table = new ModelTable();
  const rows: Row[] = [];
  const applyUpTo = (time: number): void => {
    while (rows[0] !== undefined && rows[0].time <= time) writer.apply(rows.shift() as Row);
  };
  steps.forEach((one, time) => {
    switch (one.kind) {
      case 'add':
        return table.add(one.type, one.after);
      case 'drop':
        return table.drop(one.place);
      case 'rename':
        return table.rename(one.from, one.to);
      case 'restart':
        return table.restart();
      case 'read':
        return writer.read(time, table);
      case 'row': {
        const fields = table.fields();
        if (fields !== null && new Set(table.maxscale).size === fields.length)
          rows.push({ time, fields, numbers: table.numbers() });
        return undefined;
      }
      case 'apply':
        // A writer asks before it applies.
        writer.read(time, table);
        return applyUpTo(time - one.behind);
    }
  });
  writer.read(steps.length, table);
  applyUpTo(steps.length);
}

describe('the column of MariaDB that a field of the stream is', () => {
  test('is the right one or not known, whatever columns are renamed, exchanged, added and dropped', () => {
    const isRight = (steps: readonly Step[]): boolean => {
      const writer = new ModelWriter();
      play(steps, writer);
      return writer.wrong.length === 0;
    };
    const worlds = fc.property(fc.array(step, { minLength: 5, maxLength: 40 }), isRight);
    expect(() => {
      fc.assert(worlds, { numRuns: 3000 });
    }).not.toThrow();
  });

  test('is known of most', () => {
    const writers = fc
      .sample(fc.array(step, { minLength: 20, maxLength: 40 }), { numRuns: 300, seed: 1 })
      .map((steps) => {
        const writer = new ModelWriter();
        play(steps, writer);
        return writer.found;
      });
    const sum = (key: 'all' | 'certain' | 'lookedUp') => writers.reduce((total, found) => total + found[key], 0);
    expect(sum('certain') / sum('all')).toBeGreaterThan(0.65);
    expect(sum('lookedUp') / sum('all')).toBeGreaterThan(0.3);
  });
});
