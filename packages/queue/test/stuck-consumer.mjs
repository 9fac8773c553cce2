// A process that takes one batch and never finishes it; the test kills it. Runs on the built package.
import { consumeBatches, createQueueConnection, prepareQueue } from '@afterimage/queue';

const [backend, url, prefix, streamId] = process.argv.slice(2);
const connection = createQueueConnection({ backend, url, prefix, onError: () => undefined });
await prepareQueue(connection);
consumeBatches(connection, streamId, 0, {
  process: () => {
    process.stdout.write('working\n');
    return new Promise(() => undefined);
  },
  onInvalid: async () => ({ kind: 'done' }),
  onError: () => undefined,
});
