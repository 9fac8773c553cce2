export type { ColumnFinding, Sides } from './compared-table.js';
export { countDifferences, recordRun } from './record.js';
export { repairTable, type TableRepair } from './repair-table.js';
export type { Sample, TableVerification } from './result.js';
export { readSourcePosition } from './stream-progress.js';
export { verifyTable, type VerifyOptions } from './verify-table.js';
export { watch, type WatchOptions } from './watch.js';
