import { type Batch, type Field, fingerprintOf } from '@afterimage/change-events';

/** The table of the benchmarks: (bigint pk, varchar(32), int, datetime, decimal(10,2)), some 220 bytes a line. */
export const columns = [
  { name: 'id', realType: 'bigint', avroType: 'long' },
  { name: 'a', realType: 'varchar', avroType: 'string' },
  { name: 'b', realType: 'int', avroType: 'int' },
  { name: 'c', realType: 'datetime', avroType: 'string' },
  { name: 'd', realType: 'decimal', avroType: 'double' },
] as const;

const fields: Field[] = columns.map((column) => ({ ...column, unsigned: false }));

/** How many of each: inserts of new rows, then updates (two events each) and deletes spread over them. */
export interface Mix {
  readonly inserts: number;
  readonly updates: number;
  readonly deletes: number;
}

export const eventsOf = (mix: Mix): number => mix.inserts + 2 * mix.updates + mix.deletes;

const rowsPerTransaction = 100;

/** The raw lines of the workload as MaxScale prints them: transactions of 100 rows. */
export function* eventLines(mix: Mix, rowOffset = 0): Generator<string> {
  let sequence = 1;
  let inTransaction = 0;
  const line = (operation: string, id: number, b: number) => {
    if (inTransaction === 0) sequence += 1;
    inTransaction += 1;
    const prefix = `{"domain": 0, "server_id": 1, "sequence": ${sequence}, "event_number": ${inTransaction}, "timestamp": ${1_800_000_000 + sequence}`;
    const row = `"id": ${id}, "a": "row value ${id}", "b": ${b}, "c": "2024-01-02 03:04:${String(10 + (b % 50))}", "d": ${b % 1000}.5`;
    return `${prefix}, "event_type": "${operation}", ${row}}`;
  };
  const close = () => {
    if (inTransaction >= rowsPerTransaction) inTransaction = 0;
  };
  for (let i = 1; i <= mix.inserts; i += 1) {
    yield line('insert', rowOffset + i, i);
    close();
  }
  // A step coprime to the number of rows visits them in a scattered order, each at most once.
  const step = 7919;
  for (let i = 0; i < mix.updates; i += 1) {
    const id = 1 + ((i * step) % mix.inserts);
    yield line('update_before', rowOffset + id, id);
    yield line('update_after', rowOffset + id, id + 1);
    close();
  }
  for (let i = 0; i < mix.deletes; i += 1) {
    const id = 1 + (((mix.updates + i) * step) % mix.inserts);
    yield line('delete', rowOffset + id, id);
    close();
  }
}

/** The same lines as one buffer of whole lines per chunk, as a socket would bring them. */
export function* eventChunks(mix: Mix, linesPerChunk = 500): Generator<Buffer> {
  let lines: string[] = [];
  for (const line of eventLines(mix)) {
    lines.push(line);
    if (lines.length < linesPerChunk) continue;
    yield Buffer.from(`${lines.join('\n')}\n`);
    lines = [];
  }
  if (lines.length > 0) yield Buffer.from(`${lines.join('\n')}\n`);
}

const idPattern = /"sequence": (\d+), "event_number": (\d+)/;

/** The batches a reader would cut, without a reader. */
export function* batchesOf(mix: Mix, stream: Batch['stream'], eventsPerBatch: number): Generator<Batch> {
  let previous = '';
  let ordinal = 1n;
  let lines: string[] = [];
  const cut = (): Batch => {
    const [, sequence = '', event = ''] = idPattern.exec(lines.at(-1) ?? '') ?? [];
    const last = `0-1-${sequence}:${event}`;
    const batch: Batch = {
      v: 1,
      stream,
      partition: 0,
      epoch: '1',
      previous,
      last,
      checkpoint: { gtid: `0-1-${sequence}`, fileVersion: 1 },
      firstOrdinal: ordinal.toString(),
      sequenceBases: {},
      schema: { fingerprint: fingerprintOf(fields), fields, version: 1, gtid: '0-1-1' },
      count: lines.length,
      firstTimestamp: 1_800_000_000,
      lastTimestamp: 1_800_000_000 + Number(sequence),
      enqueuedAt: 0,
      events: lines.join('\n'),
    };
    previous = last;
    ordinal += BigInt(lines.length);
    lines = [];
    return batch;
  };
  for (const line of eventLines(mix)) {
    lines.push(line);
    if (lines.length >= eventsPerBatch && !line.includes('"update_before"')) yield cut();
  }
  if (lines.length > 0) yield cut();
}
