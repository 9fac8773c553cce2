export { type ColumnFinding, NotComparable, type Sides } from './compared-table.js';
export type { Sample, TableVerification } from './result.js';
export { type Differences, verifyTable, type VerifyOptions } from './verify-table.js';
