import type { StreamIdentity } from '@afterimage/change-events';
import type { TableName } from './names.js';
import type { ColumnKnowledge, TypeSettings } from './types/index.js';

/** What a column that leaves while another of the same type comes at its place means. */
export type RenamePolicy = 'infer' | 'drop-add' | 'halt';

/**
 * What the configuration says and decides about one table: knowledge that its stream does not tell (key, exact types,
 * labels), which goes before MariaDB's, and policies.
 */
export interface TableSettings {
  readonly mirror: TableName;
  readonly historySuffix: string;
  /** Source names of the columns that identify a row; null: the key in MariaDB, or none, and rows are matched whole. */
  readonly key: readonly string[] | null;
  readonly columns: Readonly<Record<string, ColumnKnowledge>>;
  readonly types: TypeSettings;
  readonly rename: RenamePolicy;
  readonly onRefused: 'dead-letter' | 'halt';
  readonly historyIndex: 'key' | 'none';
  /** `same`: the mirror gets the indexes that the table has in MariaDB. */
  readonly indexes: 'none' | 'same';
  /** What the mirror makes of the labels of an ENUM or SET: a CHECK, an enum type of its own (of a SET a CHECK), nothing. */
  readonly labels: 'check' | 'enum' | 'none';
  /** Whether MariaDB can be asked about the table and its rows. */
  readonly hasSource: boolean;
}

/** Tells the settings of a stream; undefined = the stream is not configured any more. */
export type TableSettingsProvider = (stream: StreamIdentity) => TableSettings | undefined;
