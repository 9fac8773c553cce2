export * from './control/tables.js';
export { serverKeepalive, withServerOptions } from './control/connection-options.js';
export * from './control/layout.js';
export { migrate, readPendingMigrations } from './control/migrate.js';
export * from './control/reader-lock.js';
export { endSilentConnections, type SilenceOptions } from './control/silent-connections.js';
export * from './control/streams.js';
export { type Applier, createApplier, type NewSchema, type Outcome } from './apply/applier.js';
export { askSource, readAndRecord, type SourceDatabases } from './apply/source.js';
export { configuredSettings } from './configured-settings.js';
export { describeError, type HaltCode, isTransient, rootError, SourceUnavailable, sqlState } from './errors.js';
export {
  historyColumns,
  mirrorColumnNames,
  quoteLiteral,
  quoteName,
  quoteTable,
  type ReplicaNames,
  replicaNames,
  type TableName,
} from './names.js';
export { isCaughtUp } from './operations/caught-up.js';
export { type CurrentOptions, type CurrentReplica, loadCurrent } from './operations/current.js';
export * from './operations/dead-letters.js';
export * from './operations/history.js';
export { type Presence, readPresence } from './operations/presence.js';
export { describeLeftOutKey, type LeftOutKey } from './operations/left-out-key.js';
export * from './operations/rebuild.js';
export * from './operations/repair.js';
export * from './operations/source-changes.js';
export * from './operations/source-waits.js';
export * from './operations/status.js';
export * from './operations/streams.js';
export type { KnowledgeRecord } from './schema/versions.js';
export { keyOfKnowledge, knowColumn } from './schema/knowledge.js';
export { readStreamKey } from './operations/stream-key.js';
export { columnsNow } from './operations/columns-now.js';
export type * from './settings.js';
export { type ColumnMapping, mapColumn, MariaTypeError, PostgresTypeError } from './types/index.js';
export { checkColumnTypes } from './types/column-check.js';
export * from './snapshot/record.js';
export { type SettleOutcome, type Settled, settleSnapshot } from './snapshot/settle.js';
export * from './snapshot/shadow.js';
export { openSourceDatabases } from './source-databases.js';
export { fixTextForms, inTransaction, withConnection } from './transaction.js';
