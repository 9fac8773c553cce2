import { setTimeout as sleep } from 'node:timers/promises';
import type { FaultOptions } from '@afterimage/cdc-protocol/testing';
import type { Fault, Victims } from './faults.js';

async function cutSource({ server, dice }: Victims): Promise<string> {
  const how = dice.pick(['close', 'reset'] as const);
  server.disconnectAll(how);
  return `MaxScale connections: ${how}`;
}

async function stopSource({ server, dice }: Victims): Promise<string> {
  const pauseMs = dice.between(100, 1_500);
  server.refuse();
  server.disconnectAll('close');
  await sleep(pauseMs);
  await server.accept();
  return `MaxScale away for ${pauseMs} ms`;
}

const striking: readonly FaultOptions[] = [
  { at: 'mid-row', action: { kind: 'drop' } },
  { at: 'mid-row', action: { kind: 'reset' } },
  { at: 'mid-row', action: { kind: 'garbage' } },
  { at: 'mid-row', action: { kind: 'stall' } },
  { at: 'mid-row', action: { kind: 'delay', ms: 300 } },
  { at: 'after-row', action: { kind: 'garbage' } },
  { at: 'after-row', action: { kind: 'garbage', bytes: Buffer.from('ERR: Unknown command\n\0') } },
  { at: 'after-row', action: { kind: 'garbage', bytes: Buffer.from('{"namespace": "torn\n') } },
  { at: 'after-row', action: { kind: 'garbage', bytes: Buffer.from('ERR fatal error: MAXAVRO_ERR_IO\n') } },
  { at: 'after-row', action: { kind: 'stall' } },
  { at: 'after-accept', action: { kind: 'stall' } },
  { at: 'after-auth', action: { kind: 'reset' } },
  { at: 'after-register', action: { kind: 'drop' } },
  { at: 'after-request', action: { kind: 'stall' } },
  { at: 'after-request', action: { kind: 'garbage', bytes: Buffer.from('HTTP/1.1 400 Bad Request\n') } },
  { at: 'after-schema', action: { kind: 'drop' } },
];

/** A fault on the wire, with a reconnection so that those of the handshake have something to strike. */
async function disturbSource({ server, dice }: Victims): Promise<string> {
  const options = dice.pick(striking);
  const occurrence = options.at === 'mid-row' || options.at === 'after-row' ? dice.between(1, 30) : 1;
  const connections = dice.between(1, 4);
  const fault = server.inject({ ...options, occurrence, connections });
  server.disconnectAll('close');
  const lastingMs = dice.pick([500, 1_500, 2_500]);
  await sleep(lastingMs);
  fault.release();
  const point = typeof options.at === 'string' ? options.at : 'bytes';
  return `MaxScale: ${options.action.kind} ${point} (${occurrence}) on ${connections} connections, for ${lastingMs} ms`;
}

async function repeatEvents({ model }: Victims): Promise<string> {
  model.repeat();
  return 'a table sends its last transactions again';
}

/** Only what a stream has applied may go: what is gone before it was read is lost. */
async function pruneFiles({ model, pool, postgres }: Victims): Promise<string> {
  const left = new Set(model.tables);
  for (const until = Date.now() + 4_000; left.size > 0 && Date.now() < until; await sleep(100)) {
    for (const table of left) {
      const count = table.events.length;
      const { rowCount } = await pool.query(
        `SELECT FROM afterimage.offsets o JOIN afterimage.streams s ON s.id = o.stream_id
         WHERE s.table_name = $1 HAVING min(o.ordinal) >= $2`,
        [table.name, count],
      );
      // What PostgreSQL forgets must still be there.
      if (rowCount !== 1 || table.events.length !== count || postgres.isForgetting) continue;
      table.scripted.pruneFormer();
      left.delete(table);
    }
  }
  return `MaxScale removes the old files of ${model.tables.length - left.size} tables`;
}

async function otherMaxScale({ model, server }: Victims): Promise<string> {
  model.renumber();
  server.disconnectAll('close');
  return 'another MaxScale, whose files have other numbers';
}

async function rotateFiles({ model }: Victims): Promise<string> {
  model.rotate();
  return 'MaxScale rotates its files';
}

export const sourceFaults: readonly Fault[] = [
  cutSource,
  stopSource,
  disturbSource,
  disturbSource,
  repeatEvents,
  rotateFiles,
  pruneFiles,
  otherMaxScale,
];
