export * from './control/tables.js';
