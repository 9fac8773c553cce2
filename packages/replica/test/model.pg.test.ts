import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Batch, Field } from '@afterimage/change-events';
// @boundaries-ignore the harness that all tests share
import { type TestDatabase, createDatabase } from '../../../test/harness/databases.js';
import { type StreamRecord, createApplier, findStream, rebuild, registerStreams } from '../src/index.js';
import { ScriptedStream, field, glue, testSettings } from './batches.js';

/**
 * Mirror and history against a model of the source, through random transactions, schema changes, batch cuts and
 * repetitions. Each run has a table of its own; a failing seed prints and replays.
 */
let database: TestDatabase;
beforeAll(async () => {
  database = await createDatabase();
});
afterAll(() => database.drop());

type Value = string | number | null;
type Row = Map<string, Value>;
type Kind = 'int' | 'text';

const fieldsOf = (columns: readonly (readonly [string, Kind])[]): Field[] => [
  field('id', 'int', 'int'),
  ...columns.map(([name, kind]) => (kind === 'int' ? field(name, 'int', 'int') : field(name, 'varchar', 'string'))),
];

const columnList = fc.uniqueArray(fc.tuple(fc.constantFrom('a', 'b', 'c', 'd'), fc.constantFrom<Kind>('int', 'text')), {
  selector: ([name]) => name,
  maxLength: 4,
});
const rowValue = fc.oneof(
  fc.integer({ min: -99, max: 99 }),
  fc.constant(null),
  fc.constantFrom('x', '7', 'naïve \u2028', ''),
);
const change = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('put' as const),
      id: fc.integer({ min: 1, max: 6 }),
      to: fc.integer({ min: 1, max: 6 }),
      values: fc.array(rowValue, { minLength: 4, maxLength: 4 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('delete' as const), id: fc.integer({ min: 1, max: 6 }) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('cut' as const), again: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('alter' as const), columns: columnList }) },
);

type Change = typeof change extends fc.Arbitrary<infer T> ? T : never;

/** The source: what MariaDB would hold, told to the stream as MaxScale would. */
class Model {
  readonly rows = new Map<number, Row>();
  columns: (readonly [string, Kind])[] = [['a', 'text']];
  events = 0;
  readonly #stream: ScriptedStream;

  constructor(stream: ScriptedStream) {
    this.#stream = stream;
    stream.fields = fieldsOf(this.columns);
  }

  #cells(id: number, row: Row): Value[] {
    return [id, ...this.columns.map(([name]) => row.get(name) ?? null)];
  }

  put(id: number, to: number, values: readonly Value[]): void {
    const fitting = this.columns.map(([name, kind], i): [string, Value] => [name, fit(values[i] ?? null, kind)]);
    const after: Row = new Map(fitting);
    const before = this.rows.get(id);
    if (before === undefined) {
      if (this.rows.has(to)) return;
      this.#stream.transaction(['insert', ...this.#cells(to, after)]);
      this.events += 1;
    } else {
      if (to !== id && this.rows.has(to)) return;
      this.#stream.transaction(
        ['update_before', ...this.#cells(id, before)],
        ['update_after', ...this.#cells(to, after)],
      );
      this.rows.delete(id);
      this.events += 2;
    }
    this.rows.set(to, after);
  }

  delete(id: number): void {
    const row = this.rows.get(id);
    if (row === undefined) return;
    this.#stream.transaction(['delete', ...this.#cells(id, row)]);
    this.rows.delete(id);
    this.events += 1;
  }

  /** Takes effect at the mirror with the next row; at the source at once, with MariaDB's conversion of old values. */
  alter(columns: readonly (readonly [string, Kind])[]): void {
    for (const row of this.rows.values()) {
      for (const name of row.keys()) if (!columns.some(([kept]) => kept === name)) row.delete(name);
      for (const [name] of columns) if (!row.has(name)) row.set(name, null);
    }
    this.columns = [...columns];
  }

  expected(): string[] {
    return [...this.rows]
      .map(([id, row]) => JSON.stringify([id, ...this.columns.map(([name]) => text(row.get(name) ?? null))]))
      .toSorted();
  }
}

const fit = (value: Value, kind: Kind): Value =>
  value === null ? null : kind === 'int' ? (typeof value === 'number' ? value : value.length) : String(value);
const text = (value: Value): string | null => (value === null ? null : String(value));

let tables = 0;

async function replay(steps: readonly Change[], key: string[] | null): Promise<void> {
  tables += 1;
  const table = `t${tables}`;
  await registerStreams(database.pool, 'main', [{ database: 'model', table }]);
  const stream: StreamRecord = await findStream(database.pool, `model.${table}`);
  const source = new ScriptedStream({ id: stream.id, source: 'main', database: 'model', table });
  const model = new Model(source);
  const settings = testSettings({ key, mirror: { schema: 'model', table }, rename: 'drop-add' });
  const applier = createApplier(database.pool, () => settings);
  const sent: Batch[] = [];
  let eventsCut = 0;

  const cut = async () => {
    if (model.events === eventsCut) return;
    eventsCut = model.events;
    const batch = source.cut();
    sent.push(batch);
    expect(await applier.apply(batch)).toMatchObject({ kind: 'applied' });
  };
  for (const step of steps) {
    if (step.kind === 'put') model.put(step.id, step.to, step.values);
    else if (step.kind === 'delete') model.delete(step.id);
    else if (step.kind === 'alter') {
      await cut();
      // Only changes that keep every old value are in the model: the mirror's casts have tests of their own.
      const kinds = new Map(model.columns);
      const columns = step.columns.map(([name, kind]) => [name, kinds.get(name) ?? kind] as const);
      if (columns.length === 0) continue;
      model.alter(columns);
      source.alter(fieldsOf(columns));
    } else {
      await cut();
      const [a, b] = sent.slice(-2);
      if (!step.again || a === undefined || b === undefined) continue;
      expect(await applier.apply(a)).toEqual({ kind: 'duplicate' });
      if (a.schema.fingerprint === b.schema.fingerprint)
        expect(await applier.apply(glue(a, b))).toEqual({ kind: 'duplicate' });
    }
  }
  await cut();
  if (sent.length === 0) return;

  const newest = sent.at(-1)?.schema.fields ?? [];
  const columns = newest.map(({ name }) => `${name}::text`).join(', ');
  const found = await database.pool.query<(string | null)[]>({
    text: `SELECT ${columns} FROM model.${table}`,
    rowMode: 'array',
  });
  const actual = found.rows.map(([id, ...rest]) => JSON.stringify([Number(id), ...rest])).toSorted();
  if (
    newest.length - 1 === model.columns.length &&
    newest.slice(1).every(({ name }, i) => model.columns[i]?.[0] === name)
  ) {
    expect(actual).toEqual(model.expected());
  }
  const history = await database.pool.query<{ n: number; distinct: number }>(
    `SELECT count(*)::int AS n, count(DISTINCT (domain, sequence, event_number))::int AS distinct FROM model_history.${table} WHERE event_type <> 'truncate'`,
  );
  expect(history.rows[0]).toEqual({ n: model.events, distinct: model.events });
  expect(await rebuild(database.pool, { stream, settingsOf: () => settings, apply: false })).toMatchObject({
    missing: 0,
    extra: 0,
  });
}

for (const key of [['id'], null]) {
  test(`mirror and history equal the source after any changes, ${key === null ? 'without' : 'with'} a key`, async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 5, maxLength: 40 }), (steps) => replay(steps, key)),
      { numRuns: 40, endOnFailure: false },
    );
  });
}
