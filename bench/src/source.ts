import { EventEmitter, once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { startFakeMaxScale } from '@afterimage/cdc-protocol/testing';
import { columnsOf, printRow } from './shapes.js';
import {
  type Backlog,
  type LiveFeed,
  type SourceOrder,
  type SourcePlan,
  type SourceReport,
  database,
  preciseNow,
} from './source-messages.js';
import { eventChunks, printLine } from './workload.js';

/**
 * The fake MaxScale as a process of its own. Every table's schema line is sent at once, rows only after `go`, so that
 * what is measured begins with the first row and not with the start of processes.
 */
const plan = JSON.parse(process.argv[2] ?? '') as SourcePlan;
const report = (message: SourceReport) => process.send?.(message);
const gate = new EventEmitter();
const opened = once(gate, 'go');
const state = { waiting: new Set<string>(plan.tables), sentFirst: false, stopped: false, skippedMs: 0 };
const writes: [number, number][] = [];

process.on('message', (order: SourceOrder) => {
  switch (order.kind) {
    case 'go':
      gate.emit('go');
      return;
    case 'skip':
      state.skippedMs += order.seconds * 1000;
      return;
    case 'stop':
      state.stopped = true;
      return report({ kind: 'left', writes });
  }
});
process.on('disconnect', () => process.exit());

function noteFirst(): void {
  if (!state.sentFirst) report({ kind: 'first', at: preciseNow() });
  state.sentFirst = true;
}

async function noteConnected(table: string): Promise<void> {
  if (state.waiting.delete(table) && state.waiting.size === 0) report({ kind: 'connected' });
  await opened;
}

async function* sendBacklog(chunks: Iterable<Buffer>, passes: number): AsyncGenerator<Buffer> {
  for (let pass = 0; pass < passes; pass += 1) {
    for (const chunk of chunks) {
      noteFirst();
      yield chunk;
    }
  }
}

/** Lines in one write at most, so that a skipped hour does not become one string. */
const linesPerWrite = 500;

async function* sendLive({ shape, rate }: LiveFeed): AsyncGenerator<Buffer> {
  const begun = preciseNow();
  let id = 0;
  while (!state.stopped) {
    const now = preciseNow();
    const due = Math.floor(((now + state.skippedMs - begun) / 1000) * rate);
    if (due <= id) {
      await sleep(1);
      continue;
    }
    const lines: string[] = [];
    while (id < due && lines.length < linesPerWrite) {
      id += 1;
      const timestamp = Math.floor((begun + (id / rate) * 1000 - state.skippedMs) / 1000);
      lines.push(printLine({ sequence: id, eventNumber: 1, timestamp }, 'insert', printRow(shape, id, id)));
    }
    const bytes = Buffer.from(`${lines.join('\n')}\n`);
    noteFirst();
    writes.push([id, preciseNow()]);
    yield bytes;
  }
}

function createFeed(feed: Backlog | LiveFeed): () => AsyncIterable<Buffer> {
  if (feed.kind === 'live') return () => sendLive(feed);
  const { work, lazy, passes = 1 } = feed;
  const chunks = lazy ? null : [...eventChunks(work)];
  return () => sendBacklog(chunks ?? eventChunks(work), passes);
}

const open = createFeed(plan.feed);
const shape = plan.feed.kind === 'live' ? plan.feed.shape : plan.feed.work.shape;
const server = await startFakeMaxScale();
for (const name of plan.tables) {
  const table = server.table(database, name);
  table.create(columnsOf(shape));
  table.source(async function* () {
    await noteConnected(name);
    yield* open();
  });
}
report({ kind: 'listening', address: server.address });
await once(process, 'disconnect');
