export { deleted, inserted, updated, type Change, type Values } from './changes.js';
export type { Chunking } from './chunking.js';
export {
  startFakeMaxScale,
  type ConnectionView,
  type FakeMaxScale,
  type FakeMaxScaleOptions,
} from './fake-maxscale.js';
export type { Fault, FaultAction, FaultOptions, FaultPoint } from './faults.js';
export { loadTranscript, type Transcript } from './replay.js';
export type { ReplicationClock } from './replication-clock.js';
export type { Operation, RowValue } from '../messages.js';
export type { ScriptedTable, TransactionOptions } from './scripted-table.js';
export type { RowSource } from './table-file.js';
export { avroTypeOf, type Column } from './value-text.js';
export {
  fatalErrorLine,
  formatGtid,
  noFileReply,
  parseGtid,
  rowLine,
  schemaLine,
  type Gtid,
  type RowContent,
  type SchemaContent,
} from './wire-messages.js';
