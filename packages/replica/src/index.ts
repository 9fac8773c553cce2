export * from './control/tables.js';
export { migrate } from './control/migrate.js';
export * from './control/reader-lock.js';
export * from './control/streams.js';
