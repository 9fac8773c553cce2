export * from './batch-consumer.js';
export * from './batch-queue.js';
export { createQueueConnection, prepareQueue, type QueueConnection, type QueueOptions } from './connection.js';
export { decodeJob } from './job-codec.js';
export { type QueueContent, type QueueFacts, readQueueFacts, type RedisFacts } from './queue-facts.js';
