import { ByteReader } from './byte-reader.js';
import type { Gtid } from '@afterimage/cdc-protocol/testing';

/** What of a binlog avrorouter looks at. Names and SQL are one character per byte, as avrorouter treats them. */
export type BinlogEvent =
  | { readonly kind: 'gtid'; readonly gtid: Gtid; readonly standsAlone: boolean }
  | { readonly kind: 'query'; readonly database: string; readonly sql: string }
  | { readonly kind: 'table-map'; readonly map: TableMap }
  | { readonly kind: 'rows'; readonly rows: RowsEvent }
  | { readonly kind: 'commit' }
  | { readonly kind: 'other' };

export interface TableMap {
  readonly tableId: number;
  readonly database: string;
  readonly table: string;
  readonly types: readonly ColumnFormat[];
}

/** How a column's values are stored: MariaDB's type number and its two metadata bytes (0 where it has fewer). */
export interface ColumnFormat {
  readonly type: number;
  readonly metadata: readonly [number, number];
}

export interface RowsEvent {
  readonly tableId: number;
  readonly operation: 'insert' | 'update' | 'delete';
  readonly columnCount: number;
  /** Whether the images hold every column (binlog_row_image = FULL, or nothing left out). */
  readonly isFull: boolean;
  /** Row images, one after another; of an update both, each time. */
  readonly images: Buffer;
  /** Unix seconds. */
  readonly timestamp: number;
}

const headerBytes = 19;

// https://mariadb.com/kb/en/2-binlog-event-header/
const eventTypes = { query: 2, xid: 16, tableMap: 19, xaPrepare: 38, gtid: 162 } as const;
const rowOperations: Readonly<Record<number, RowsEvent['operation']>> = {
  23: 'insert',
  24: 'update',
  25: 'delete',
  30: 'insert',
  31: 'update',
  32: 'delete',
};
const firstVersion2 = 30;

/** `event` as a replica gets it, without checksum. Throws RangeError when it is cut off. */
export function decodeEvent(event: Buffer): BinlogEvent {
  const header = new ByteReader(event);
  const timestamp = header.uint(4);
  const type = header.uint(1);
  const serverId = header.uint(4);
  const body = new ByteReader(event.subarray(headerBytes));
  switch (type) {
    case eventTypes.gtid:
      return decodeGtid(body, serverId);
    case eventTypes.query:
      return decodeQuery(body);
    case eventTypes.xid:
    case eventTypes.xaPrepare:
      return { kind: 'commit' };
    case eventTypes.tableMap:
      return { kind: 'table-map', map: decodeTableMap(body) };
    default: {
      const operation = rowOperations[type];
      if (operation === undefined) return { kind: 'other' };
      return { kind: 'rows', rows: decodeRows(body, { operation, timestamp, hasExtra: type >= firstVersion2 }) };
    }
  }
}

const standaloneFlag = 1;

function decodeGtid(body: ByteReader, serverId: number): BinlogEvent {
  const sequence = body.uint64();
  const domain = BigInt(body.uint(4));
  return {
    kind: 'gtid',
    gtid: { domain, serverId: BigInt(serverId), sequence },
    standsAlone: (body.uint(1) & standaloneFlag) !== 0,
  };
}

/** How a transaction ends on a table without transactions, and the second half of one that was prepared. */
const endsTransaction = /^(?:COMMIT|ROLLBACK)$|^XA (?:COMMIT|ROLLBACK) /;

function decodeQuery(body: ByteReader): BinlogEvent {
  body.skip(8);
  const databaseLength = body.uint(1);
  body.skip(2);
  body.skip(body.uint(2));
  const database = body.take(databaseLength).toString('latin1');
  body.skip(1);
  const sql = body.rest().toString('latin1');
  return endsTransaction.test(sql) ? { kind: 'commit' } : { kind: 'query', database, sql };
}

function decodeTableMap(body: ByteReader): TableMap {
  const tableId = body.uint(6);
  body.skip(2);
  const database = readName(body);
  const table = readName(body);
  const types = [...body.take(body.lengthEncoded())];
  const metadata = new ByteReader(body.take(body.lengthEncoded()));
  return { tableId, database, table, types: types.map((type) => ({ type, metadata: readMetadata(type, metadata) })) };
}

function readName(body: ByteReader): string {
  const name = body.take(body.uint(1)).toString('latin1');
  body.skip(1);
  return name;
}

// VARCHAR, BIT, VARCHAR COMPRESSED, NEWDECIMAL, ENUM, SET, VAR_STRING, STRING
const typesWithTwoBytes = new Set([15, 16, 141, 246, 247, 248, 253, 254]);
// FLOAT, DOUBLE, TIMESTAMP2, DATETIME2, TIME2, BLOB COMPRESSED, the BLOBs, GEOMETRY
const typesWithOneByte = new Set([4, 5, 17, 18, 19, 140, 249, 250, 251, 252, 255]);

function readMetadata(type: number, metadata: ByteReader): [number, number] {
  if (typesWithTwoBytes.has(type)) return [metadata.uint(1), metadata.uint(1)];
  return [typesWithOneByte.has(type) ? metadata.uint(1) : 0, 0];
}

interface RowsHeader {
  readonly operation: RowsEvent['operation'];
  readonly timestamp: number;
  readonly hasExtra: boolean;
}

function decodeRows(body: ByteReader, { operation, timestamp, hasExtra }: RowsHeader): RowsEvent {
  const tableId = body.uint(6);
  body.skip(2);
  if (hasExtra) body.skip(body.uint(2) - 2);
  const columnCount = body.lengthEncoded();
  const bitmapBytes = Math.ceil(columnCount / 8);
  const bitmaps = [body.take(bitmapBytes)];
  if (operation === 'update') bitmaps.push(body.take(bitmapBytes));
  const isFull = bitmaps.every((bitmap) => isAllSet(bitmap, columnCount));
  return { tableId, operation, columnCount, isFull, images: body.rest(), timestamp };
}

function isAllSet(bitmap: Buffer, count: number): boolean {
  for (let bit = 0; bit < count; bit++) {
    if (!isBitSet(bitmap, bit)) return false;
  }
  return true;
}

export function isBitSet(bitmap: Buffer, bit: number): boolean {
  return ((bitmap[bit >> 3] ?? 0) & (1 << (bit & 7))) !== 0;
}
