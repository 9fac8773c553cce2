import { queueName } from '@afterimage/change-events';

/**
 * A partition's queue as BullMQ knows it. In braces: a Redis Cluster keeps keys with the same text in braces on one
 * node, as BullMQ's scripts need it, and spreads the queues over all nodes.
 */
export function taggedQueueName(streamId: string, partition: number): string {
  return `{${queueName(streamId, partition)}}`;
}
