import type { Column, FakeMaxScale, Gtid, Operation, RowValue } from '@afterimage/cdc-protocol/testing';
import { AvroCatalog, type AvroTable, gtidOf } from './avro-catalog.js';
import { countVarintBytes, toAvroValue } from './avro-values.js';
import { type BinlogEvent, isBitSet, type RowsEvent, type TableMap } from './binlog-events.js';
import { ByteReader } from './byte-reader.js';
import type { TableName } from './ddl-parser.js';
import { readStoredValue } from './stored-values.js';

export interface AvroRouterOptions {
  readonly maxscale: FakeMaxScale;
  /** MaxScale's own time zone. */
  readonly timeZone: string;
  /** avrorouter's `block_size`: a row above it breaks its table's stream for good. */
  readonly blockBytes: number;
  /** What SHOW CREATE TABLE says now, or null when it fails. */
  showCreateTable(name: TableName): Promise<string | null>;
}

/** Turns a binlog's events into the files of a fake MaxScale, as avrorouter of MaxScale 24.02 does. */
export class AvroRouter {
  readonly #options: AvroRouterOptions;
  readonly #catalog = new AvroCatalog();
  readonly #mapped = new Map<number, AvroTable>();
  #gtid: Gtid = { domain: 0n, serverId: 0n, sequence: 0n };
  /** Row images of the transaction so far, over all tables. */
  #eventNumber = 0;

  constructor(options: AvroRouterOptions) {
    this.#options = options;
  }

  /** Throws FatalColumnType where MaxScale would end with SIGABRT. */
  async take(event: BinlogEvent): Promise<void> {
    switch (event.kind) {
      case 'gtid':
        this.#gtid = event.gtid;
        this.#eventNumber = 0;
        return;
      case 'query':
        this.#catalog.execute(event.sql, event.database, this.#gtid);
        return;
      case 'table-map':
        await this.#mapTable(event.map);
        return;
      case 'rows':
        this.#takeRows(event.rows);
        return;
      case 'commit':
      case 'other':
    }
  }

  async #mapTable(map: TableMap): Promise<void> {
    const known = this.#catalog.find(map) ?? (await this.#askForTable(map));
    if (known === undefined) {
      this.#mapped.delete(map.tableId);
      return;
    }
    known.map = map;
    this.#mapped.set(map.tableId, known);
    if (!known.isOpen) this.#openFile(known);
  }

  /** A table from before the first event: what it is like now has to do. */
  async #askForTable(name: TableName): Promise<AvroTable | undefined> {
    const sql = await this.#options.showCreateTable(name);
    if (sql !== null) this.#catalog.execute(Buffer.from(sql).toString('latin1'), name.database, this.#gtid);
    return this.#catalog.find(name);
  }

  /** Avro refuses a schema in which a name begins with a digit: there is no file then. */
  #openFile(table: AvroTable): void {
    const { database, table: name, version, columns } = table;
    if (columns.some((column) => !/^[A-Za-z_]/.test(column.name))) return;
    table.isOpen = true;
    table.isWritable = new Set(columns.map((column) => column.name)).size === columns.length;
    const file = { version, gtid: gtidOf(table), columns: [...columns] };
    this.#options.maxscale.table(database, name).open(file);
  }

  /** Rows with fewer images than columns, or for a table without a file, are left out and not counted. */
  #takeRows(rows: RowsEvent): void {
    const table = this.#mapped.get(rows.tableId);
    if (table === undefined || !table.isOpen || !table.isWritable) return;
    if (!rows.isFull || rows.columnCount !== table.columns.length) return;
    const reader = new ByteReader(rows.images);
    const operations = rows.operation === 'update' ? updateImages : [rows.operation];
    const changes: { operation: Operation; values: Record<string, RowValue>; eventNumber: number }[] = [];
    const file = this.#options.maxscale.table(table.database, table.table);
    const append = (): void => file.appendNumbered(changes, this.#gtid, rows.timestamp);
    while (!reader.atEnd) {
      for (const operation of operations) {
        this.#eventNumber++;
        const { values, bytes } = this.#readRow(reader, table);
        if (bytes + this.#prefixBytes(rows.timestamp) > this.#options.blockBytes) {
          append();
          file.fail('MAXAVRO_ERR_MEMORY');
          return;
        }
        changes.push({ operation, values, eventNumber: this.#eventNumber });
      }
    }
    append();
  }

  #readRow(reader: ByteReader, table: AvroTable): { values: Record<string, RowValue>; bytes: number } {
    const { timeZone } = this.#options;
    const formats = table.map?.types ?? [];
    const nulls = reader.take(Math.ceil(formats.length / 8));
    const values: Record<string, RowValue> = Object.create(null) as Record<string, RowValue>;
    let bytes = 0;
    for (const [index, format] of formats.entries()) {
      const column: Column = table.columns[index] ?? { name: '', realType: '' };
      const context = { isUnsigned: column.unsigned ?? false, timeZone };
      const stored = isBitSet(nulls, index) ? noValue : readStoredValue(reader, format, context);
      const written = toAvroValue(column, stored);
      values[column.name] = written.value;
      bytes += written.bytes;
    }
    return { values, bytes };
  }

  /** Of the six fields before the columns, as 32-bit integers, and the operation. */
  #prefixBytes(timestamp: number): number {
    const { domain, serverId, sequence } = this.#gtid;
    return [domain, serverId, sequence, this.#eventNumber, timestamp]
      .map((value) => countVarintBytes(BigInt.asIntN(32, BigInt(value))))
      .reduce((sum, count) => sum + count, 1);
  }
}

const updateImages = ['update_before', 'update_after'] as const;
const noValue = { kind: 'null' } as const;
