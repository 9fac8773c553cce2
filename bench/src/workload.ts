import { type Batch, type Field, fingerprintOf } from '@afterimage/change-events';
import { type Shape, columnsOf, printRow } from './shapes.js';

/** What happens to one table. Every count is of rows; an update is one change and two events. */
export interface Workload {
  readonly inserts: number;
  readonly updates: number;
  readonly deletes: number;
  readonly shape: Shape;
  /** `phases`: all inserts, then all updates, then all deletes. `interleaved`: in proportion, all the time. */
  readonly order: 'phases' | 'interleaved';
  readonly rowsPerTransaction: number;
}

export const changesOf = (work: Workload): number => work.inserts + work.updates + work.deletes;
export const eventsOf = (work: Workload): number => work.inserts + 2 * work.updates + work.deletes;

/** Small rows, 100 to a transaction: 64 % inserts, 16 % updates, the rest deletes, of `events`. */
export function standardWork(events: number): Workload {
  const inserts = Math.round(events * 0.64);
  const updates = Math.round(events * 0.16);
  const deletes = events - inserts - 2 * updates;
  return { inserts, updates, deletes, shape: 'small', order: 'phases', rowsPerTransaction: 100 };
}

/** Changes an insert makes `b` from nothing, a delete nothing from `b`. */
interface RowChange {
  readonly operation: 'insert' | 'update' | 'delete';
  readonly id: number;
  readonly before: number;
  readonly after: number;
}

/** Coprime to the number of rows, so that it visits them in a scattered order. */
const step = 7919;

function* changes(work: Workload): Generator<RowChange> {
  const values = new Int32Array(work.inserts + 1);
  const done = { insert: 0, update: 0, delete: 0 };
  const planned = { insert: work.inserts, update: work.updates, delete: work.deletes };
  for (let i = 1; i <= changesOf(work); i += 1) {
    const operation = work.order === 'phases' ? nextOfPhases(planned, done) : nextInProportion(planned, done);
    done[operation] += 1;
    const id = operation === 'insert' ? done.insert : pickRow(operation, done);
    const before = values[id] ?? 0;
    const after = operation === 'insert' ? id : before + 1;
    values[id] = after;
    yield { operation, id, before, after };
  }
}

type Counts = Record<RowChange['operation'], number>;

/** Deletes take the oldest rows; updates any of those that stay. */
function pickRow(operation: 'update' | 'delete', done: Counts): number {
  if (operation === 'delete') return done.delete;
  const alive = done.insert - done.delete;
  return done.delete + 1 + ((done.update * step) % alive);
}

function nextOfPhases(planned: Counts, done: Counts): RowChange['operation'] {
  if (done.insert < planned.insert) return 'insert';
  return done.update < planned.update ? 'update' : 'delete';
}

/** The operation that is furthest behind its share; inserts when in doubt. */
function nextInProportion(planned: Counts, done: Counts): RowChange['operation'] {
  const share = (operation: RowChange['operation']) =>
    planned[operation] === 0 ? 1 : (done[operation] + 1) / planned[operation];
  if (share('insert') <= Math.min(share('update'), share('delete'))) return 'insert';
  return share('update') <= share('delete') ? 'update' : 'delete';
}

/** What mirror and history of the table must hold in the end. */
export interface Expected {
  readonly rows: number;
  readonly history: number;
  /** Sums over the mirror's columns id and b, as text. */
  readonly ids: string;
  readonly values: string;
}

export function expectedOf(work: Workload): Expected {
  let ids = 0;
  let values = 0;
  for (const { operation, id, before, after } of changes(work)) {
    if (operation !== 'update') ids += operation === 'insert' ? id : -id;
    values += (operation === 'delete' ? 0 : after) - (operation === 'insert' ? 0 : before);
  }
  return { rows: work.inserts - work.deletes, history: eventsOf(work), ids: String(ids), values: String(values) };
}

interface LineStart {
  readonly sequence: number;
  readonly eventNumber: number;
  /** Unix seconds. */
  readonly timestamp: number;
}

/** One event as MaxScale prints it. */
export function printLine(start: LineStart, operation: string, row: string): string {
  return `{"domain": 0, "server_id": 1, "sequence": ${start.sequence}, "event_number": ${start.eventNumber}, "timestamp": ${start.timestamp}, "event_type": "${operation}", ${row}}`;
}

/** Unix seconds of a workload's first transaction. */
const firstTimestamp = 1_790_000_000;

function* eventLines(work: Workload): Generator<string> {
  let sequence = 1;
  let eventNumber = 0;
  let rows = 0;
  const line = (operation: string, id: number, b: number) => {
    eventNumber += 1;
    const start = { sequence, eventNumber, timestamp: firstTimestamp + Math.floor(sequence / 100) };
    return printLine(start, operation, printRow(work.shape, id, b));
  };
  for (const { operation, id, before, after } of changes(work)) {
    if (rows % work.rowsPerTransaction === 0) {
      sequence += 1;
      eventNumber = 0;
    }
    rows += 1;
    if (operation === 'update') {
      yield line('update_before', id, before);
      yield line('update_after', id, after);
    } else yield line(operation, id, operation === 'insert' ? after : before);
  }
}

/** The lines as buffers of whole lines, some 100 kB each, as a socket would bring them. */
export function* eventChunks(work: Workload): Generator<Buffer> {
  const chunkCharacters = 100_000;
  let lines: string[] = [];
  let length = 0;
  for (const line of eventLines(work)) {
    lines.push(line);
    length += line.length;
    if (length < chunkCharacters) continue;
    yield Buffer.from(`${lines.join('\n')}\n`);
    lines = [];
    length = 0;
  }
  if (lines.length > 0) yield Buffer.from(`${lines.join('\n')}\n`);
}

const idPattern = /"sequence": (\d+), "event_number": (\d+)/;

/** The batches that a reader would cut, without a reader. */
export function* batchesOf(
  work: Workload,
  stream: Batch['stream'],
  limits: { readonly events: number; readonly bytes: number },
): Generator<Batch> {
  const fields: Field[] = columnsOf(work.shape).map(({ name, realType, avroType }) => ({
    name,
    realType,
    avroType,
    unsigned: false,
  }));
  const schema = { fingerprint: fingerprintOf(fields), fields, version: 1, gtid: '0-1-1', since: '1' };
  let previous = '';
  let ordinal = 1n;
  let lines: string[] = [];
  let bytes = 0;
  const cut = (): Batch => {
    const [, sequence = '', event = ''] = idPattern.exec(lines.at(-1) ?? '') ?? [];
    const last = `0-1-${sequence}:${event}`;
    const batch: Batch = {
      v: 2,
      stream,
      partition: 0,
      layout: 1,
      epoch: '1',
      previous,
      last,
      checkpoint: { gtid: `0-1-${sequence}`, fileVersion: 1 },
      lastOrdinal: (ordinal + BigInt(lines.length) - 1n).toString(),
      firstOrdinal: ordinal.toString(),
      sequenceBases: {},
      schema,
      count: lines.length,
      firstTimestamp,
      lastTimestamp: firstTimestamp + Math.floor(Number(sequence) / 100),
      enqueuedAt: 0,
      events: lines.join('\n'),
    };
    previous = last;
    ordinal += BigInt(lines.length);
    lines = [];
    bytes = 0;
    return batch;
  };
  for (const line of eventLines(work)) {
    lines.push(line);
    bytes += line.length;
    const isFull = lines.length >= limits.events || bytes >= limits.bytes;
    if (isFull && !line.includes('"update_before"')) yield cut();
  }
  if (lines.length > 0) yield cut();
}
