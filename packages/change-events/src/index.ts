export * from './batch.js';
export * from './partition.js';
export * from './position.js';
export * from './schema.js';
