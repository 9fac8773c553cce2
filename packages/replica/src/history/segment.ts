import type { StoredColumn } from '../control/tables.js';
import { type ReplicaNames, type TableName, fitName, historyColumns, quoteName, quoteTable } from '../names.js';

const definitions: Readonly<Record<(typeof historyColumns)[number], string>> = {
  stream_ordinal: 'bigint NOT NULL',
  domain: 'bigint NOT NULL',
  server_id: 'bigint NOT NULL',
  sequence: 'bigint NOT NULL',
  event_number: 'bigint NOT NULL',
  timestamp: 'timestamptz NOT NULL',
  event_type: 'afterimage.operation NOT NULL',
};

/** What every history row has besides the source's columns, in order. `stream_ordinal` is the order of the stream. */
export const historyRowColumns = historyColumns.map((name) => [name, definitions[name]] as const);

/** Operations after which their row is there, as an SQL list; after the others it is not. */
export const presentOperations = `'insert', 'update_after', 'read', 'repair_after'`;

export interface SegmentOptions {
  readonly names: ReplicaNames;
  readonly segment: TableName;
  readonly columns: readonly StoredColumn[];
  /** History names of the key columns, where an index by key is wanted. */
  readonly indexKey: readonly string[] | null;
}

/**
 * Statements that create a history segment: append-only, typed, one per schema version.
 *
 * Indexes: BRIN over (ordinal, time), which cost next to nothing on a table that only grows at its end; the key
 * (where wanted), for the history of one row; and one over `truncate` marks, which is nearly always empty.
 */
export function createSegmentStatements({ segment, columns, indexKey }: SegmentOptions): string[] {
  const table = quoteTable(segment);
  const columnDefinitions = [
    ...historyRowColumns.map(([name, definition]) => `${quoteName(name)} ${definition}`),
    ...columns.map((column) => `${quoteName(column.history)} ${column.postgresType}`),
  ];
  const index = (suffix: string) => quoteName(fitName(segment.table, suffix));
  const statements = [
    `CREATE TABLE ${table} (${columnDefinitions.join(', ')})`,
    `CREATE INDEX ${index('_time')} ON ${table} USING brin (stream_ordinal, "timestamp")`,
    `CREATE INDEX ${index('_truncate')} ON ${table} (stream_ordinal) WHERE event_type = 'truncate'`,
  ];
  if (indexKey !== null) {
    const key = indexKey.map(quoteName).join(', ');
    statements.push(`CREATE INDEX ${index('_key')} ON ${table} (${key}, stream_ordinal)`);
  }
  return statements;
}
