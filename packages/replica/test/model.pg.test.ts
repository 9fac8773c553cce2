import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Batch, Field } from '@afterimage/change-events';
// @boundaries-ignore the harness that all tests share
import { type TestDatabase, createDatabase } from '../../../test/harness/databases.js';
import {
  type Applier,
  type StreamRecord,
  type TableSettings,
  createApplier,
  findStream,
  rebuild,
  registerStreams,
} from '../src/index.js';
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

/** One run: a source with its table, and a writer's work on it. */
class Run {
  readonly table: string;
  readonly model: Model;
  readonly sent: Batch[] = [];
  readonly outcomes: string[] = [];
  readonly #stream: StreamRecord;
  readonly #source: ScriptedStream;
  readonly #settings: TableSettings;
  readonly #applier: Applier;
  #eventsCut = 0;

  private constructor(stream: StreamRecord, key: string[] | null) {
    this.table = stream.table;
    this.#stream = stream;
    this.#source = new ScriptedStream({ id: stream.id, source: 'main', database: 'model', table: stream.table });
    this.model = new Model(this.#source);
    this.#settings = testSettings({ key, mirror: { schema: 'model', table: stream.table }, rename: 'drop-add' });
    this.#applier = createApplier(database.pool, () => this.#settings);
  }

  static async start(key: string[] | null): Promise<Run> {
    tables += 1;
    await registerStreams(database.pool, 'main', [{ database: 'model', table: `t${tables}` }]);
    return new Run(await findStream(database.pool, `model.t${tables}`), key);
  }

  async cut(): Promise<void> {
    if (this.model.events === this.#eventsCut) return;
    this.#eventsCut = this.model.events;
    const batch = this.#source.cut();
    this.sent.push(batch);
    this.outcomes.push((await this.#applier.apply(batch)).kind);
  }

  /** The last two batches once more, each alone and as one. */
  async repeat(): Promise<void> {
    const [a, b] = this.sent.slice(-2);
    if (a === undefined || b === undefined) return;
    const again = a.schema.fingerprint === b.schema.fingerprint ? [a, b, glue(a, b)] : [a, b];
    for (const batch of again) this.outcomes.push(`again: ${(await this.#applier.apply(batch)).kind}`);
  }

  /**
   * Only changes that keep every old value: the mirror's casts have tests of their own. A row follows at once: of two
   * changes without a row between them the stream shows only the sum (a column dropped and added anew seems to stay).
   */
  async alter(wanted: readonly (readonly [string, Kind])[]): Promise<void> {
    const kinds = new Map(this.model.columns);
    const columns = wanted.map(([name, kind]) => [name, kinds.get(name) ?? kind] as const);
    if (columns.length === 0) return;
    await this.cut();
    this.model.alter(columns);
    this.#source.alter(fieldsOf(columns));
    this.#touch();
  }

  #touch(): void {
    this.model.put(100, 100, [1, null, 'end', '']);
  }

  async step(change: Change): Promise<void> {
    switch (change.kind) {
      case 'put':
        return this.model.put(change.id, change.to, change.values);
      case 'delete':
        return this.model.delete(change.id);
      case 'alter':
        return this.alter(change.columns);
      case 'cut':
        await this.cut();
        return change.again ? this.repeat() : undefined;
    }
  }

  async finish(): Promise<void> {
    this.#touch();
    await this.cut();
  }

  async mirror(): Promise<string[]> {
    const columns = ['id', ...this.model.columns.map(([name]) => name)].map((name) => `${name}::text`).join(', ');
    const query = { text: `SELECT ${columns} FROM model.${this.table}`, rowMode: 'array' as const };
    const { rows } = await database.pool.query<(string | null)[]>(query);
    return rows.map(([id, ...rest]) => JSON.stringify([Number(id), ...rest])).toSorted();
  }

  async historyCounts(): Promise<unknown> {
    const { rows } = await database.pool.query(
      `SELECT count(*)::int AS events, count(DISTINCT (domain, sequence, event_number))::int AS distinct
       FROM model_history.${this.table} WHERE event_type <> 'truncate'`,
    );
    return rows[0];
  }

  rebuild() {
    return rebuild(database.pool, { stream: this.#stream, settingsOf: () => this.#settings, apply: false });
  }
}

for (const key of [['id'], null]) {
  test(`mirror and history equal the source after any changes, ${key === null ? 'without' : 'with'} a key`, async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 5, maxLength: 40 }), async (steps) => {
        const run = await Run.start(key);
        for (const step of steps) await run.step(step);
        await run.finish();
        expect(run.outcomes.filter((outcome) => outcome !== 'applied' && outcome !== 'again: duplicate')).toEqual([]);
        expect(await run.mirror()).toEqual(run.model.expected());
        expect(await run.historyCounts()).toEqual({ events: run.model.events, distinct: run.model.events });
        expect(await run.rebuild()).toMatchObject({ missing: 0, extra: 0 });
      }),
      { numRuns: 40 },
    );
  });
}
