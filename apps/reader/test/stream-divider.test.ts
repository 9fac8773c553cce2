import { createPartitioner, type Layout } from '@afterimage/change-events';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { BatchLimits, CutBatch } from '../src/batch-cutter.js';
import type { Change, ChangeEvent, StreamSchema } from '../src/change-source.js';
import { type Cut, type ReadPoint, StreamDivider } from '../src/stream-divider.js';

const schema = (name: string, version = 1, gtid = '0-1-1'): StreamSchema => ({
  fingerprint: name,
  fields: [{ name, realType: 'int', avroType: 'int', unsigned: false }],
  version,
  gtid,
});
const event = (sequence: number, operation: ChangeEvent['operation'] = 'insert', raw = 'x'): ChangeEvent => ({
  domain: 0,
  serverId: 1,
  sequence,
  eventNumber: 1,
  timestamp: 1,
  operation,
  raw,
});
const as = (...events: ChangeEvent[]): Change[] => events.map((e) => ({ kind: 'event', event: e }));
const under = (s: StreamSchema): Change => ({ kind: 'schema', schema: s });

const whole: Layout = { number: 1, partitions: 1, key: null };
const beginning: ReadPoint = { resume: null, ordinal: 0 };
const roomy: BatchLimits = { maxEvents: 1000, maxBytes: 1_000_000 };

interface DividerSettings {
  layout?: Layout;
  limits?: BatchLimits;
  applied?: number[];
  /** Of the stream, by ordinal. */
  positions?: ReadonlyMap<number, string>;
}

function createDivider(options: DividerSettings = {}): StreamDivider {
  const {
    layout = whole,
    limits = roomy,
    applied = Array.from({ length: layout.partitions }, () => 0),
    positions = new Map<number, string>(),
  } = options;
  const start = { ...beginning, ordinal: Math.min(...applied) };
  const places = applied.map((ordinal) => ({ ordinal, position: positions.get(ordinal) ?? '' }));
  return new StreamDivider({ layout, limits, start, applied: places });
}

const batchesOf = (cuts: readonly Cut[]): CutBatch[] =>
  cuts.flatMap((cut) => (cut.kind === 'batch' ? [cut.batch] : []));

function cutAll(changes: readonly Change[], limits = roomy): CutBatch[] {
  const divider = createDivider({ limits });
  return batchesOf([...changes.flatMap((change) => divider.push(change)), ...divider.flush(0)]);
}
const eventsOf = (batch: CutBatch): ChangeEvent[] => batch.units.flatMap((unit) => unit.events);
const sequences = (batches: readonly CutBatch[]): number[][] => batches.map((b) => eventsOf(b).map((e) => e.sequence));

function expectSound(batch: CutBatch, limits: BatchLimits): void {
  const events = eventsOf(batch);
  expect(batch.count).toBe(events.length);
  expect(batch.bytes).toBe(events.reduce((sum, e) => sum + Buffer.byteLength(e.raw) + 1, 0));
  expect(batch.units.length === 1 || (batch.count <= limits.maxEvents && batch.bytes - 1 <= limits.maxBytes)).toBe(
    true,
  );
}

describe('one partition', () => {
  it('ends a batch between transactions where one ends in its second half, else at the limit', () => {
    const limits = { maxEvents: 4, maxBytes: 1000 };
    const a = under(schema('a'));
    expect(sequences(cutAll([a, ...as(...[1, 1, 1, 2, 2].map((n) => event(n)))], limits))).toEqual([
      [1, 1, 1],
      [2, 2],
    ]);
    expect(sequences(cutAll([a, ...as(...[1, 1, 1, 1, 2].map((n) => event(n)))], limits))).toEqual([[1, 1, 1, 1], [2]]);
    expect(sequences(cutAll([a, ...as(...[1, 2, 2, 2, 2].map((n) => event(n)))], limits))).toEqual([[1, 2, 2, 2], [2]]);
  });

  it('begins a batch with the first event of another schema, not with the line that announces it', () => {
    const [one, two, three] = cutAll([
      under(schema('a')),
      ...as(event(1)),
      under(schema('b', 2)),
      ...as(event(2)),
      // Versions of before that are sent again, with no event under them.
      under(schema('a')),
      under(schema('b', 2)),
      ...as(event(3)),
      under(schema('b', 3)),
      ...as(event(4)),
    ]);
    expect(sequences([one, two, three].flatMap((b) => b ?? []))).toEqual([[1], [2, 3], [4]]);
    expect([one, two, three].map((b) => b?.schema.version)).toEqual([1, 2, 3]);
  });

  it('keeps the bases of sequences constant within a batch', () => {
    const batches = cutAll([
      under(schema('a')),
      ...as(event(4294967295)),
      { kind: 'base', domain: 0, base: 4294967296n },
      ...as(event(1)),
    ]);
    expect(batches.map((b) => [...b.bases])).toEqual([[], [[0, 4294967296n]]]);
  });

  it('holds the first half of an update back until the second has come', () => {
    const divider = createDivider();
    for (const change of [under(schema('a')), ...as(event(1), event(2, 'update_before'))]) divider.push(change);
    expect(divider.point).toMatchObject({ ordinal: 1, resume: { gtid: '0-1-1' } });
    expect(sequences(batchesOf(divider.flush(0)))).toEqual([[1]]);
    expect(divider.flush(0)).toEqual([]);
    for (const change of as(event(2, 'update_after'))) divider.push(change);
    expect(sequences(batchesOf(divider.flush(0)))).toEqual([[2, 2]]);
  });

  it('lets one event, or the two of an update, exceed the limit of bytes', () => {
    const limits = { maxEvents: 10, maxBytes: 10 };
    const long = 'y'.repeat(100);
    expect(
      sequences(
        cutAll(
          [
            under(schema('a')),
            ...as(event(1), event(2, 'insert', long), event(3, 'update_before', long), event(3, 'update_after', long)),
            ...as(event(4)),
          ],
          limits,
        ),
      ),
    ).toEqual([[1], [2], [3, 3], [4]]);
  });

  it('loses, doubles and reorders nothing, stays within its limits and splits no update, wherever it is flushed', () => {
    const unit = fc.record({
      newTransaction: fc.boolean(),
      update: fc.boolean(),
      size: fc.integer({ min: 1, max: 30 }),
      newSchema: fc.integer({ min: 0, max: 9 }),
      flush: fc.integer({ min: 0, max: 5 }),
    });
    const limit = fc.record({ maxEvents: fc.integer({ min: 1, max: 8 }), maxBytes: fc.integer({ min: 1, max: 120 }) });
    fc.assert(
      fc.property(fc.array(unit, { maxLength: 60 }), limit, (units, limits) => {
        const divider = createDivider({ limits });
        const sent: ChangeEvent[] = [];
        const cuts: Cut[] = [];
        let sequence = 1;
        let version = 1;
        divider.push(under(schema('a')));
        for (const { newTransaction, update, size, newSchema, flush } of units) {
          if (newTransaction) sequence += 1;
          if (newSchema === 0) divider.push(under(schema('a', (version += 1))));
          const raw = 'é'.repeat(size);
          const events = update
            ? [event(sequence, 'update_before', raw), event(sequence, 'update_after', raw)]
            : [event(sequence, 'insert', raw)];
          for (const e of events) {
            sent.push(e);
            cuts.push(...divider.push({ kind: 'event', event: e }));
            if (flush === 0) cuts.push(...divider.flush(0));
          }
        }
        cuts.push(...divider.flush(0));
        const batches = batchesOf(cuts);
        expect(batches.flatMap(eventsOf)).toEqual(sent);
        for (const batch of batches) expectSound(batch, limits);
      }),
    );
  });
});

/** A stream over few keys: inserts, deletes, updates with and without another key, in transactions, under several schemas. */
const rowUnit = fc.record({
  key: fc.integer({ min: 0, max: 7 }),
  newKey: fc.option(fc.integer({ min: 0, max: 7 })),
  kind: fc.constantFrom('insert' as const, 'update' as const, 'delete' as const),
  alter: fc.integer({ min: 0, max: 9 }).map((n) => n === 0),
  flush: fc.option(fc.integer({ min: 0, max: 3 })),
});

const line = (operation: string, sequence: number, eventNumber: number, key: number): string =>
  `{"domain": 0, "server_id": 1, "sequence": ${sequence}, "event_number": ${eventNumber}, "timestamp": 1, ` +
  `"event_type": "${operation}", "v": "\\"id\\": 9", "id": ${key}, "w": "x"}`;

interface Scripted {
  readonly change: Change;
  readonly key: number;
  readonly flush: number | null;
}

function scriptChanges(units: readonly (typeof rowUnit extends fc.Arbitrary<infer T> ? T : never)[]): Scripted[] {
  let version = 1;
  let sequence = 0;
  const script: Scripted[] = [{ change: under(schema('s1')), key: -1, flush: null }];
  for (const { key, newKey, kind, alter, flush } of units) {
    sequence += 1;
    if (alter) script.push({ change: under(schema(`s${(version += 1)}`, version)), key: -1, flush: null });
    const add = (operation: ChangeEvent['operation'], eventNumber: number, of: number): void => {
      const raw = line(operation, sequence, eventNumber, of);
      const e: ChangeEvent = { domain: 0, serverId: 1, sequence, eventNumber, timestamp: 1, operation, raw };
      script.push({ change: { kind: 'event', event: e }, key: of, flush });
    };
    if (kind === 'update') {
      add('update_before', 1, key);
      add('update_after', 2, newKey ?? key);
    } else add(kind, 1, key);
  }
  return script;
}

interface Arrival {
  readonly partition: number;
  readonly ordinal: number;
  readonly raw: string;
}

/** What comes out, with the ordinals, and whether each barrier stands between everything before and after it. */
function divide(
  script: readonly Scripted[],
  layout: Layout,
  applied: number[],
): { arrivals: Arrival[]; sound: boolean } {
  const events = script.flatMap(({ change }) => (change.kind === 'event' ? [change.event] : []));
  const from = Math.min(...applied);
  const positions = new Map(events.map((e, i) => [from + i + 1, `0-1-${e.sequence}:${e.eventNumber}`]));
  const divider = createDivider({ layout, limits: { maxEvents: 3, maxBytes: 1000 }, applied, positions });
  const arrivals: Arrival[] = [];
  let barrier = 0;
  let sound = true;
  const take = (cuts: readonly Cut[]): void => {
    for (const cut of cuts) {
      if (cut.kind === 'barrier') {
        sound &&= arrivals.every(({ ordinal }) => ordinal <= cut.point.ordinal);
        barrier = cut.point.ordinal;
        continue;
      }
      for (const { events, ordinal } of cut.batch.units) {
        sound &&= ordinal > barrier && ordinal >= cut.batch.since;
        events.forEach(({ raw }, i) => arrivals.push({ partition: cut.partition, ordinal: ordinal + i, raw }));
      }
    }
  };
  for (const { change, flush } of script) {
    take(divider.push(change));
    if (flush !== null && flush < layout.partitions) take(divider.flush(flush));
  }
  for (let partition = 0; partition < layout.partitions; partition += 1) take(divider.flush(partition));
  return { arrivals, sound };
}

describe('several partitions', () => {
  const layoutOf = (partitions: number): Layout => ({ number: 1, partitions, key: ['id'] });

  it('get every event once, numbered as in the stream, each key in one partition and in order', () => {
    fc.assert(
      fc.property(fc.array(rowUnit, { maxLength: 60 }), fc.integer({ min: 2, max: 4 }), (units, partitions) => {
        const script = scriptChanges(units);
        const layout = layoutOf(partitions);
        const { arrivals, sound } = divide(
          script,
          layout,
          Array.from({ length: partitions }, () => 0),
        );
        const lines = script.flatMap(({ change }) => (change.kind === 'event' ? [change.event.raw] : []));
        expect(arrivals.toSorted((a, b) => a.ordinal - b.ordinal).map((a) => [a.ordinal, a.raw])).toEqual(
          lines.map((raw, i) => [i + 1, raw]),
        );
        const partitionOf = createPartitioner(layout);
        for (const { partition, raw } of arrivals) expect(partitionOf(raw)).toBe(partition);
        for (let partition = 0; partition < partitions; partition += 1) {
          const ordinals = arrivals.filter((a) => a.partition === partition).map((a) => a.ordinal);
          expect(ordinals).toEqual(ordinals.toSorted((a, b) => a - b));
        }
        expect(sound).toBe(true);
      }),
    );
  });

  it('get after a restart exactly what each has not applied yet', () => {
    const progress = fc.array(fc.integer({ min: 0, max: 40 }), { minLength: 3, maxLength: 3 });
    fc.assert(
      fc.property(fc.array(rowUnit, { minLength: 20, maxLength: 40 }), progress, (units, wished) => {
        const script = scriptChanges(units);
        const layout = layoutOf(3);
        const first = divide(script, layout, [0, 0, 0]);
        // A partition's offset is the end of one of its batches: never inside an update that it holds whole.
        const applied = wished.map((ordinal, partition) => {
          const own = first.arrivals.filter((a) => a.partition === partition && a.ordinal <= ordinal);
          const last = own.at(-1);
          const isHalf = last?.raw.includes('"update_before"') === true;
          return isHalf ? (own.at(-2)?.ordinal ?? 0) : (last?.ordinal ?? 0);
        });
        const start = Math.min(...applied);
        const places = script.flatMap(({ change }, i) => (change.kind === 'event' ? [i] : []));
        const place = places[start] ?? script.length;
        const schemas = script.slice(0, place).filter(({ change }) => change.kind === 'schema');
        const rest = [...schemas.slice(-1), ...script.slice(place)];
        const again = divide(rest, layout, applied);
        expect(again.arrivals.toSorted((a, b) => a.ordinal - b.ordinal)).toEqual(
          first.arrivals
            .filter(({ ordinal, partition }) => ordinal > (applied[partition] ?? 0))
            .toSorted((a, b) => a.ordinal - b.ordinal),
        );
      }),
    );
  });

  it('get full batches, wherever transactions end', () => {
    const layout = layoutOf(2);
    const partitionOf = createPartitioner(layout);
    const keys = Array.from({ length: 40 }, (_, i) => i).filter((key) => partitionOf(line('insert', 1, 1, key)) === 0);
    const divider = createDivider({ layout, limits: { maxEvents: 4, maxBytes: 10_000 } });
    divider.push(under(schema('a')));
    const cuts = keys.slice(0, 9).flatMap((key, i) => {
      const sequence = 1 + Math.floor(i / 3);
      const raw = line('insert', sequence, 1 + (i % 3), key);
      return divider.push({ kind: 'event', event: event(sequence, 'insert', raw) });
    });
    expect(batchesOf(cuts).map(({ count }) => count)).toEqual([4, 4]);
  });

  it('share an update that changes the key: one deletes, the other inserts', () => {
    const layout = layoutOf(4);
    const partitionOf = createPartitioner(layout);
    const keys = Array.from({ length: 20 }, (_, i) => i);
    const from = partitionOf(line('update_before', 1, 1, 0));
    const other = keys.find((key) => partitionOf(line('update_after', 1, 2, key)) !== from) ?? 0;
    const script = scriptChanges([{ key: 0, newKey: other, kind: 'update', alter: false, flush: null }]);
    const { arrivals } = divide(script, layout, [0, 0, 0, 0]);
    expect(
      arrivals
        .toSorted((a, b) => a.ordinal - b.ordinal)
        .map(({ ordinal, raw }) => [ordinal, /update_\w+/.exec(raw)?.[0]]),
    ).toEqual([
      [1, 'update_before'],
      [2, 'update_after'],
    ]);
    expect(new Set(arrivals.map((a) => a.partition)).size).toBe(2);
  });
});

describe('a stream that comes again in another order of its domains', () => {
  it('is not taken for the one that was applied', () => {
    const layout: Layout = { number: 1, partitions: 2, key: ['id'] };
    const partitionOf = createPartitioner(layout);
    const raw = Array.from({ length: 50 }, (_, id) => line('insert', 1, 1, id)).find((text) => partitionOf(text) === 1);
    const of = (domain: number): ChangeEvent => ({ ...event(1, 'insert', raw), domain });
    // Partition 1 applied the first event, of domain 0, before one of domain 1. Now that one comes first.
    const positions = new Map([[1, '0-1-1:1']]);
    const divider = createDivider({ layout, applied: [0, 1], positions });
    divider.push(under(schema('a')));
    expect(() => divider.push({ kind: 'event', event: of(1) })).toThrow(
      expect.objectContaining({ code: 'LOST_POSITION' }),
    );
    const again = createDivider({ layout, applied: [0, 1], positions });
    for (const change of [under(schema('a')), ...as(of(0), of(1))]) again.push(change);
    expect(batchesOf(again.flush(1)).map((batch) => eventsOf(batch).map(({ domain }) => domain))).toEqual([[1]]);
  });
});
