export * from './batch-consumer.js';
export * from './batch-queue.js';
export { createQueueConnection, prepareQueue, type QueueConnection, type QueueOptions } from './connection.js';
export { decodeJob } from './job-codec.js';
