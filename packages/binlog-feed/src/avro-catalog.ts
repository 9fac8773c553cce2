import { type Column, formatGtid, type Gtid } from '@afterimage/cdc-protocol/testing';
import type { TableMap } from './binlog-events.js';
import { type ColumnPlace, type DdlStep, parseDdl, type TableName } from './ddl-parser.js';

/** A table as avrorouter believes it to be. */
export interface AvroTable {
  database: string;
  table: string;
  columns: Column[];
  /** Of the statement that made or last changed it. */
  gtid: Gtid;
  /** Number of its file, which exists from its first table map on. */
  version: number;
  isOpen: boolean;
  /** Whether rows can be written; not with two columns of one name. */
  isWritable: boolean;
  map: TableMap | undefined;
}

const noGtid: Gtid = { domain: 0n, serverId: 0n, sequence: 0n };

/** What avrorouter knows of tables: from the DDL that it has seen, as it understood it. */
export class AvroCatalog {
  readonly #tables = new Map<string, AvroTable>();
  /** Last version by name; it outlives the table. */
  readonly #versions = new Map<string, number>();

  find(name: TableName): AvroTable | undefined {
    return this.#tables.get(keyOf(name));
  }

  /** Applies a statement up to where it is understood, as part of the transaction `gtid`. */
  execute(sql: string, database: string, gtid: Gtid): void {
    let altered: AvroTable | undefined;
    for (const step of parseDdl(sql, database)) {
      if (step.kind === 'alter-begin') altered = this.find(step.name);
      const applied = altered === undefined ? this.#define(step, gtid) : this.#alter(altered, step, gtid);
      if (!applied) return;
    }
  }

  /** Forgets what only memory holds, as a restart does: no file is open. */
  closeAll(): void {
    for (const table of this.#tables.values()) {
      table.isOpen = false;
      table.map = undefined;
    }
  }

  #define(step: DdlStep, gtid: Gtid): boolean {
    switch (step.kind) {
      case 'create':
        this.#put(step.name, step.columns, gtid);
        return true;
      case 'create-like': {
        const source = this.find(step.source);
        if (source !== undefined) this.#put(step.name, source.columns, gtid);
        return true;
      }
      case 'drop':
        this.#tables.delete(keyOf(step.name));
        return true;
      case 'rename':
        this.#rename(step.from, step.to);
        return true;
      default:
        // ALTER of a table that is not known.
        return false;
    }
  }

  #alter(table: AvroTable, step: DdlStep, gtid: Gtid): boolean {
    switch (step.kind) {
      case 'add-column':
        return insertColumn(table.columns, step.column, step.place);
      case 'drop-column':
        return removeColumn(table.columns, step.column);
      case 'change-column':
        return changeColumn(table.columns, step);
      case 'rename':
        this.#rename(step.from, step.to);
        return true;
      case 'alter-end':
        table.gtid = gtid;
        // A version without rows is changed in place.
        if (step.changesColumns && table.isOpen) this.#beginVersion(table);
        return true;
      default:
        return true;
    }
  }

  #put({ database, table }: TableName, columns: readonly Column[], gtid: Gtid): void {
    const created: AvroTable = {
      database,
      table,
      columns: [...columns],
      gtid: { ...noGtid, ...gtid },
      version: 0,
      isOpen: false,
      isWritable: true,
      map: undefined,
    };
    this.#beginVersion(created);
    this.#tables.set(keyOf(created), created);
  }

  #rename(from: TableName, to: TableName): void {
    const table = this.find(from);
    if (table === undefined) return;
    table.database = to.database;
    table.table = to.table;
    this.#beginVersion(table);
    this.#tables.set(keyOf(to), table);
    this.#tables.delete(keyOf(from));
  }

  #beginVersion(table: AvroTable): void {
    const key = keyOf(table);
    table.version = (this.#versions.get(key) ?? 0) + 1;
    table.isOpen = false;
    this.#versions.set(key, table.version);
  }
}

/** The GTID of a table as its schema line says it. */
export function gtidOf(table: AvroTable): string {
  return formatGtid(table.gtid);
}

function keyOf({ database, table }: TableName): string {
  return `${database}.${table}`;
}

function insertColumn(columns: Column[], column: Column, { first, after }: ColumnPlace): boolean {
  if (first) columns.unshift(column);
  else if (after === '') columns.push(column);
  else {
    const index = columns.findIndex(({ name }) => name === after);
    if (index === -1) return false;
    columns.splice(index + 1, 0, column);
  }
  return true;
}

function removeColumn(columns: Column[], name: string): boolean {
  const index = columns.findIndex((column) => column.name === name);
  if (index === -1) return false;
  columns.splice(index, 1);
  return true;
}

function changeColumn(columns: Column[], step: Extract<DdlStep, { kind: 'change-column' }>): boolean {
  const { old, column, place } = step;
  if (place.first || place.after !== '') return removeColumn(columns, old) && insertColumn(columns, column, place);
  const index = columns.findIndex(({ name }) => name === old);
  if (index === -1) return false;
  columns.splice(index, 1, column);
  return true;
}
