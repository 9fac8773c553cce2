export { connect } from './connect.js';
export { CdcConnection } from './connection.js';
export { CdcError, cdcErrorAdvice, type CdcErrorCode } from './errors.js';
export type {
  CdcMessage,
  Operation,
  Row,
  RowEvent,
  RowPrefix,
  RowValue,
  SchemaField,
  SchemaMessage,
  ServerError,
  ServerErrorCode,
} from './messages.js';
export type { ConnectOptions, Timeouts, TlsOptions } from './options.js';
export type { DataRequest } from './requests.js';
export { parseRowPrefix, type ParsedRowPrefix } from './row-prefix.js';
