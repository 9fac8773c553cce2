export type { ColumnKnowledge, ColumnMapping, TypeSettings } from './column-mapping.js';
export { mapColumn } from './map-column.js';
export { MariaTypeError, parseMariaType } from './maria-type.js';
export { renderTypeMapping } from './type-mapping-page.js';
export { PostgresTypeError } from './override.js';
export { prepareEvents } from './prepared-events.js';
export { bytesAsText } from './raw-bytes.js';
