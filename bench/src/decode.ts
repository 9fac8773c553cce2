import { connect } from '@afterimage/cdc-protocol';
import { readCpuSeconds, startSource, stopProcess } from './processes.js';
import { preciseNow, database, tableNames } from './source-messages.js';
import { round, watchOthers } from './usage.js';
import { type Workload, eventsOf } from './workload.js';

export interface Decoded {
  readonly lines: number;
  readonly seconds: number;
  readonly eventsPerSecond: number;
  readonly megabytesPerSecond: number;
  /** Of the client alone; the wall clock also has the source and the loopback in it. */
  readonly cpuSecondsPerMillion: number;
  readonly otherCores: number;
}

/**
 * Bytes to messages with cdc-protocol's client over a TCP connection, handshake and all, and no sink: every message is
 * counted and dropped. The source is another process; the same bytes are sent several times.
 */
export async function measureDecode(work: Workload, passes: number): Promise<Decoded> {
  const [table = ''] = tableNames(1);
  const source = startSource({ tables: [table], feed: { kind: 'backlog', work, lazy: false, passes } });
  try {
    const { address } = await source.hear('listening');
    const connection = await connect(address);
    await connection.requestData({ database, table });
    source.tell({ kind: 'go' });
    const wanted = eventsOf(work) * passes;
    const cpuBefore = process.cpuUsage();
    const sourceBefore = readCpuSeconds(source.child.pid);
    const readOthers = watchOthers();
    let lines = 0;
    let characters = 0;
    for await (const messages of connection.messages()) {
      for (const message of messages) {
        if (message.kind !== 'row') continue;
        lines += 1;
        characters += message.raw.length + 1;
      }
      if (lines >= wanted) break;
    }
    const { at } = await source.hear('first');
    const seconds = (preciseNow() - at) / 1000;
    const { user, system } = process.cpuUsage(cpuBefore);
    const otherCores = readOthers(readCpuSeconds(source.child.pid) - sourceBefore);
    await connection.close();
    if (lines !== wanted) throw new Error(`${lines} rows came, ${wanted} were sent`);
    return {
      lines,
      seconds: round(seconds, 2),
      eventsPerSecond: Math.round(lines / seconds),
      megabytesPerSecond: Math.round(characters / seconds / 1e6),
      // Microseconds per line.
      cpuSecondsPerMillion: round((user + system) / lines, 3),
      otherCores,
    };
  } finally {
    await stopProcess(source.child);
  }
}
