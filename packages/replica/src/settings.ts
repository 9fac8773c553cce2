import type { StreamIdentity } from '@afterimage/change-events';
import type { TableName } from './names.js';
import type { ColumnKnowledge, TypeSettings } from './types/index.js';

/** What a column that leaves while another of the same type comes at its place means. */
export type RenamePolicy = 'infer' | 'drop-add' | 'halt';

/**
 * All that is known and decided about one table besides what its stream says: table knowledge (key, exact types,
 * labels) and policies. It comes from the configuration; a provider that asks MariaDB fits the same place.
 */
export interface TableSettings {
  readonly mirror: TableName;
  readonly historySuffix: string;
  /** Source names of the columns that identify a row, or null: rows are matched whole. */
  readonly key: readonly string[] | null;
  readonly columns: Readonly<Record<string, ColumnKnowledge>>;
  readonly types: TypeSettings;
  readonly rename: RenamePolicy;
  readonly onRefused: 'dead-letter' | 'halt';
  readonly historyIndex: 'key' | 'none';
}

/** Tells the settings of a stream; undefined = the stream is not configured any more. */
export type TableSettingsProvider = (stream: StreamIdentity) => TableSettings | undefined;
