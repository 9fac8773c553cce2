import {
  type Batch,
  createPartitioner,
  eventLines,
  eventOrdinals,
  formatPosition,
  type Layout,
} from '@afterimage/change-events';
import fc from 'fast-check';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
// @boundaries-ignore the harness that all tests share
import { type TestDatabase, createDatabase } from '../../../test/harness/databases.js';
import { parseEventId } from '../src/apply/event-prefix.js';
import { changeLayout, createApplier, type Division, readOffsets, registerStreams, undivided } from '../src/index.js';
import { ScriptedStream, field, orderFields, testSettings } from './batches.js';

const byId = { partitions: 3, key: ['id'] };
const schemas = [
  orderFields,
  [...orderFields, field('note', 'varchar', 'string')],
  orderFields.filter(({ name }) => name !== 'amount'),
];

async function register(database: TestDatabase, table: string, division: Division = byId): Promise<Batch['stream']> {
  const [stream] = await registerStreams(database.pool, 'main', [{ database: 'shop', table, division }]);
  if (stream === undefined) throw new Error('not registered');
  return { id: stream.id, source: 'main', database: stream.database, table: stream.table };
}

/** What a reader makes of the batches of an undivided stream: for each partition its own, with marks at barriers. */
function divide(whole: readonly Batch[], layout: Layout, stream: Batch['stream']): Batch[][] {
  const partitionOf = createPartitioner(layout);
  const lanes = Array.from({ length: layout.partitions }, () => ({ last: '', ordinal: 0n, batches: [] as Batch[] }));
  const push = (partition: number, batch: Batch): void => {
    const lane = lanes[partition];
    if (lane === undefined) return;
    lane.batches.push({ ...batch, stream, partition, layout: layout.number, previous: lane.last });
    lane.last = batch.last;
    lane.ordinal = BigInt(batch.lastOrdinal);
  };
  let before: Batch | undefined;
  for (const batch of whole) {
    if (before !== undefined && before.schema.since !== batch.schema.since) {
      const mark = { ...before, firstOrdinal: before.lastOrdinal, count: 0, events: '' };
      lanes.forEach(({ ordinal }, partition) => {
        if (ordinal < BigInt(mark.lastOrdinal)) push(partition, mark);
      });
    }
    const all = eventLines(batch).map((line, i) => ({ line, ordinal: eventOrdinals(batch)[i] ?? 0n }));
    for (let partition = 0; partition < layout.partitions; partition += 1) {
      const own = all.filter(({ line }) => partitionOf(line) === partition);
      const [first, last] = [own[0], own.at(-1)];
      if (first === undefined || last === undefined) continue;
      const id = parseEventId(last.line, {});
      push(partition, {
        ...batch,
        last: formatPosition(new Map([[id.domain, id]])),
        lastOrdinal: String(last.ordinal),
        firstOrdinal: String(first.ordinal),
        ordinals: own.map(({ ordinal }) => Number(ordinal - first.ordinal)),
        count: own.length,
        events: own.map(({ line }) => line).join('\n'),
      });
    }
    before = batch;
  }
  return lanes.map(({ batches }) => batches);
}

const step = fc.record({
  kind: fc.constantFrom('insert' as const, 'update' as const, 'delete' as const),
  key: fc.integer({ min: 1, max: 6 }),
  newKey: fc.integer({ min: 1, max: 12 }),
  alter: fc.option(fc.integer({ min: 0, max: 2 }), { freq: 4 }),
  cut: fc.boolean(),
});
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

/** A table that lives by its steps; a row's values tell when it was written. */
function script(source: ScriptedStream, steps: readonly Step[]): Batch[] {
  const rows = new Map<number, (string | number)[]>();
  const batches: Batch[] = [];
  let events = 0;
  const cut = (): void => {
    if (events > 0) batches.push(source.cut());
    events = 0;
  };
  const values = (id: number, n: number) =>
    source.fields.map(({ name }) => (name === 'id' ? id : name === 'amount' ? n : `${name} ${n}`));
  steps.forEach(({ kind, key, newKey, alter, cut: isCut }, n) => {
    if (alter !== null && source.fields !== schemas[alter]) {
      cut();
      source.alter(schemas[alter] ?? orderFields);
      // What a table holds is converted, without events, when its columns change: here it starts empty instead.
      rows.clear();
    }
    const old = rows.get(key);
    if (old === undefined) {
      const row = values(key, n);
      rows.set(key, row);
      source.transaction(['insert', ...row]);
    } else if (kind === 'delete') {
      rows.delete(key);
      source.transaction(['delete', ...old]);
    } else {
      const id = rows.has(newKey) ? key : newKey;
      const row = values(id, n);
      rows.delete(key);
      rows.set(id, row);
      source.transaction(['update_before', ...old], ['update_after', ...row]);
    }
    events += 1;
    if (isCut) cut();
  });
  cut();
  return batches;
}

describe('a stream of several partitions', () => {
  let database: TestDatabase;
  let runs = 0;
  beforeAll(async () => {
    database = await createDatabase();
  });
  afterAll(() => database.drop());

  const read = async (sql: string): Promise<unknown[]> =>
    (await database.pool.query({ text: sql, rowMode: 'array' })).rows;

  test('gives the mirror and the history of an undivided one, whatever the order in which writers come', async () => {
    const order = fc.array(fc.integer({ min: 0, max: 6 }), { minLength: 30, maxLength: 30 });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 40 }), order, async (steps, turns) => {
        runs += 1;
        const tables = { whole: `whole_${runs}`, divided: `divided_${runs}` };
        const whole = await register(database, tables.whole, undivided);
        const divided = await register(database, tables.divided);
        const batches = script(new ScriptedStream(whole), steps);
        const layout = { number: 1, ...byId };
        const lanes = divide(batches, layout, divided);
        const createFor = () =>
          createApplier(database.pool, ({ table }) => testSettings({ mirror: { schema: 'shop', table } }));

        const [reference, ...writers] = [createFor(), createFor(), createFor()];
        for (const batch of batches)
          expect(await reference.apply(batch)).toMatchObject({ kind: 'applied', refused: 0 });

        const done = lanes.map(() => 0);
        for (let round = 0; done.some((n, lane) => n < (lanes[lane]?.length ?? 0)); round += 1) {
          if (round > 200) throw new Error('the partitions wait for each other');
          const turn = turns[round % turns.length] ?? 6;
          // Turn 6: everybody at once; else one partition alone, and the batch behind its next one too early.
          const heads = lanes.map((_, lane) => lane).filter((lane) => turn >= 3 || lane === turn);
          const outcomes = await Promise.all(
            heads.flatMap((lane) => {
              const at = done[lane] ?? 0;
              const wanted = [lanes[lane]?.[at], turn === 5 ? lanes[lane]?.[at - 1] : lanes[lane]?.[at + 1]];
              return wanted.map(async (batch, i) => {
                if (batch === undefined || (i === 1 && turn < 4)) return;
                const outcome = await writers[i]?.apply(batch);
                if (outcome?.kind === 'applied' || (i === 0 && outcome?.kind === 'duplicate')) {
                  done[lane] = Math.max(done[lane] ?? 0, (lanes[lane]?.indexOf(batch) ?? 0) + 1);
                }
                return outcome?.kind;
              });
            }),
          );
          for (const kind of outcomes) expect([undefined, 'applied', 'gap', 'duplicate']).toContain(kind);
        }
        for (const what of ['shop', 'shop_history']) {
          const rows = (table: string) => read(`SELECT * FROM ${what}.${table} AS t ORDER BY t`);
          expect(await rows(tables.divided)).toEqual(await rows(tables.whole));
        }
        const versions = (id: string) =>
          read(
            `SELECT version, fingerprint, first_ordinal FROM afterimage.schema_versions WHERE stream_id = '${id}' ORDER BY 1`,
          );
        expect(await versions(divided.id)).toEqual(await versions(whole.id));
      }),
      { numRuns: 25, endOnFailure: true },
    );
  });
});

describe('the division of a stream', () => {
  let database: TestDatabase;
  beforeEach(async () => {
    database = await createDatabase();
  });
  afterEach(() => database.drop());

  const applier = () => createApplier(database.pool, () => testSettings());

  test('changes only where all partitions are at the same event, and drops batches of the one before', async () => {
    const stream = await register(database, 'orders');
    const source = new ScriptedStream(stream);
    for (let id = 1; id <= 9; id += 1) source.transaction(['insert', id, 'new', id]);
    const first = source.cut();
    const before = divide([first], { number: 1, ...byId }, stream);
    const [behind = [], ...others] = before;
    for (const batch of others.flat()) await applier().apply(batch);
    const wanted = { partitions: 2, key: ['id'] };
    expect(await changeLayout(database.pool, stream.id, wanted)).toBe(false);

    for (const batch of behind) await applier().apply(batch);
    const marks = before.map((batches, partition): Batch => {
      const last = batches.at(-1);
      if (last === undefined) throw new Error('a partition without events: choose other keys');
      return { ...first, partition, previous: last.last, firstOrdinal: first.lastOrdinal, count: 0, events: '' };
    });
    for (const mark of marks) await applier().apply(mark);
    expect(await changeLayout(database.pool, stream.id, wanted)).toBe(true);
    const offsets = (await readOffsets(database.pool, [stream.id])).get(stream.id);
    const layout = offsets?.layout.number ?? 0;
    expect(offsets?.layout).toEqual({ number: layout, ...wanted });
    expect(layout).not.toBe(1);
    expect(offsets?.partitions.map(({ position, ordinal }) => [position, ordinal])).toEqual([
      [first.last, 9n],
      [first.last, 9n],
    ]);

    source.transaction(['delete', 1, 'new', 1], ['delete', 2, 'new', 2]);
    const second = source.cut();
    expect(await applier().apply({ ...second, partition: 0, layout: 1 })).toEqual({ kind: 'stale' });
    expect(await applier().apply({ ...second, partition: 2, layout: 1 })).toEqual({ kind: 'unknown' });
    expect(await applier().apply({ ...second, partition: 0, layout })).toMatchObject({ kind: 'applied', events: 2 });
  });

  test('keeps what was counted when there are fewer partitions than before, and can be undone', async () => {
    const stream = await register(database, 'orders');
    await database.pool.query('UPDATE afterimage.offsets SET batches = partition + 1');
    const batches = async () =>
      (
        await database.pool.query<{ n: number }>('SELECT batches::int AS n FROM afterimage.offsets ORDER BY partition')
      ).rows.map(({ n }) => n);
    expect(await changeLayout(database.pool, stream.id, undivided)).toBe(true);
    expect(await batches()).toEqual([6]);
    expect(await changeLayout(database.pool, stream.id, { partitions: 4, key: ['id'] })).toBe(true);
    expect(await batches()).toEqual([6, 0, 0, 0]);
  });

  test('drops batches of a division that PostgreSQL has lost, as a late standby does, when it is divided otherwise since', async () => {
    const stream = await register(database, 'orders', undivided);
    const divideAnew = async (division: Division): Promise<Layout> => {
      expect(await changeLayout(database.pool, stream.id, division)).toBe(true);
      const layout = (await readOffsets(database.pool, [stream.id])).get(stream.id)?.layout;
      if (layout === undefined) throw new Error('the stream is gone');
      return layout;
    };
    const lost = await divideAnew({ partitions: 4, key: ['id'] });
    // All of the commit is undone: what is there is as it was before it.
    await database.pool.query('DELETE FROM afterimage.offsets WHERE partition > 0');
    await database.pool.query('UPDATE afterimage.offsets SET layout = 1');
    await database.pool.query('UPDATE afterimage.streams SET partitions = 1, partition_key = NULL');
    const found = await divideAnew(byId);

    const source = new ScriptedStream(stream);
    for (let id = 1; id <= 9; id += 1) source.transaction(['insert', id, 'new', id]);
    const whole = [source.cut()];
    const outcomes: string[] = [];
    for (const batch of divide(whole, lost, stream).flat()) outcomes.push((await applier().apply(batch)).kind);
    expect(outcomes.toSorted()).toEqual(['stale', 'stale', 'stale', 'unknown']);
    for (const batch of divide(whole, found, stream).flat()) await applier().apply(batch);
    const { rows } = await database.pool.query<{ id: number }>('SELECT id::int FROM shop.orders ORDER BY id');
    expect(rows.map(({ id }) => id)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });

  test('halts the stream where the writer has another key than the reader divided by', async () => {
    const stream = await register(database, 'orders');
    const source = new ScriptedStream(stream).transaction(['insert', 1, 'new', 10]);
    const [batch] = divide([source.cut()], { number: 1, ...byId }, stream).flat();
    if (batch === undefined) throw new Error('no batch');
    const other = createApplier(database.pool, () => testSettings({ key: ['state'] }));
    expect(await other.apply(batch)).toMatchObject({ kind: 'halted', code: 'PARTITION_KEY_DIFFERS' });
    const wider = createApplier(database.pool, () => testSettings({ key: ['state', 'id'] }));
    expect(await wider.apply(batch)).toMatchObject({ kind: 'applied' });
  });
});
