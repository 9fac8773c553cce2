import { inserted } from '@afterimage/cdc-protocol/testing';
import { expect, it, vi } from 'vitest';
import { queueBackends } from '../harness/databases.js';
import { SecurityRig } from './security-rig.js';

// Several programs at once: a busy machine takes its time.
vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

it('a row with other columns than announced stops its stream: neither it nor the rows around it are passed over', async () => {
  const [queue] = queueBackends();
  if (queue === undefined) throw new Error('no queue');
  const rig = await SecurityRig.create({ queue, source: { tables: { 'lines.t': { key: ['id'] } } } });
  try {
    const table = rig.server.table('lines', 't');
    table.create([
      { name: 'id', realType: 'int' },
      { name: 'v', realType: 'longtext' },
    ]);
    table.appendLines(
      '{"domain": 0, "server_id": 1, "sequence": 900, "event_number": 1, "timestamp": 1795347409, "event_type": "insert", "id": 2}\n',
    );
    table.append(inserted({ id: 3, v: 'good' }), { gtid: '0-1-1000' });
    rig.start();
    await rig.waitFor(
      (streams) =>
        streams.some(({ ordinal }) => ordinal > 0) || (rig.output.match(/COLUMNS_MISMATCH/g)?.length ?? 0) >= 3,
    );
    const [stream] = await rig.streams();
    expect(stream).toMatchObject({ ordinal: 0, readerState: 'retrying', readerCode: 'COLUMNS_MISMATCH' });
  } finally {
    await rig.close();
  }
});
