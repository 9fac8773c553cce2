export { parseMariadbUrl } from './connection-config.js';
export { quoteSource } from './quoting.js';
export type { Queryable } from './queryable.js';
export { mirrorRowForm, sourceRowForm } from './row-forms.js';
export { readDatabaseKnowledge, readTableKnowledge } from './read-knowledge.js';
export { type SourceValue, sourceValue, type SourceValueSettings } from './source-values.js';
export { toStreamName } from './stream-name.js';
export type {
  ColumnDefault,
  ColumnKnowledge,
  ColumnType,
  GeneratedColumn,
  IndexKnowledge,
  IndexPart,
  IntegerName,
  KeyKnowledge,
  TableKnowledge,
} from './table-knowledge.js';
export { type SourceDatabaseOptions, type SourceTls, openSourceDatabase } from './source-database.js';
export { isStorageReplaced, readTableStorage, type TableStorage } from './table-storage.js';
export { isSubsequence } from './canonical.js';
export { followColumns, followThrough } from './followed-columns.js';
export { selectShape, tableShape } from './table-shape.js';
export { describeTableChanges, type TableChange } from './table-changes.js';
