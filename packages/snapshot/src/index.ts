export { SnapshotError, type SnapshotErrorCode } from './errors.js';
export {
  resyncTable,
  type SnapshotOptions,
  type SnapshotPhase,
  type SnapshotProgress,
  type SnapshotResult,
  snapshotTable,
} from './snapshot-table.js';
export { streamFields } from './stream-fields.js';
