import { afterEach, beforeEach, describe, expect, test } from 'vitest';
// @boundaries-ignore the harness that all tests share
import { type TestDatabase, createDatabase } from '../../../test/harness/databases.js';
import {
  type StreamRecord,
  createApplier,
  findStream,
  listDeadLetters,
  readAsOf,
  readHistory,
  rebuild,
  registerStreams,
  retryDeadLetter,
} from '../src/index.js';
import { ScriptedStream, field, testSettings } from './batches.js';

let database: TestDatabase;
let source: ScriptedStream;
let stream: StreamRecord;

beforeEach(async () => {
  database = await createDatabase();
  await registerStreams(database.pool, 'main', [{ database: 'shop', table: 'orders' }]);
  stream = await findStream(database.pool, 'shop.orders');
  source = new ScriptedStream({ id: stream.id, source: 'main', database: 'shop', table: 'orders' });
});
afterEach(() => database.drop());

/** Names that the statements use themselves, or that look as if they did. */
const names =
  'id a c d e g h i l m n o r s t u v x c0 c1 v0 v1 ts element events history net gone here nth found copies counted newest rebuilt wanted there label gtid at excluded lost_0 stream_ordinal user select timestamp_ event_type_'.split(
    ' ',
  );
const row = (first: number) => names.map((_, i) => first + i);

describe('columns may have any names', () => {
  for (const key of [['id'], null]) {
    test(`in a table ${key === null ? 'without' : 'with'} a key: its rows, history, dead letters and rebuild are right`, async () => {
      const settingsOf = () => testSettings({ key });
      const applier = createApplier(database.pool, settingsOf);
      source.fields = names.map((name) => field(name, 'int', 'int'));
      const first = source.transaction(['insert', ...row(1)], ['insert', ...row(2)]).cut();
      expect(await applier.apply(first)).toMatchObject({ kind: 'applied', refused: 0 });
      await database.pool.query('ALTER TABLE shop.orders ADD CONSTRAINT small CHECK (g < 1000)');
      source.transaction(['update_before', ...row(1)], ['update_after', ...row(3)]);
      const second = source.transaction(['delete', ...row(2)], ['insert', ...row(5000)]).cut();
      expect(await applier.apply(second)).toMatchObject({ kind: 'applied', refused: 1, missing: 0 });
      await database.pool.query('ALTER TABLE shop.orders DROP CONSTRAINT small');
      const [letter] = await listDeadLetters(database.pool);
      const retried = await retryDeadLetter(database.pool, { stream, settingsOf, id: letter?.id ?? '' });
      expect(retried).toMatchObject({ kind: 'applied' });

      await database.pool.query('DELETE FROM shop.orders WHERE g > 1000');
      const rebuilt = await rebuild(database.pool, { stream, settingsOf, apply: true });
      expect(rebuilt).toMatchObject({ equal: true, missing: 1, extra: 0 });
      const { rows } = await database.pool.query({ text: 'SELECT * FROM shop.orders ORDER BY id', rowMode: 'array' });
      expect(rows).toEqual([row(3), row(5000)]);

      const options = { stream, settingsOf, limit: 10 };
      const texts = [row(3), row(5000)].map((values) => JSON.stringify(values.map(String)));
      for (const moment of [{ kind: 'gtid', gtid: '0-1-9' } as const, { kind: 'time', at: new Date() } as const]) {
        const told = await readAsOf(database.pool, { ...options, moment });
        expect(told.rows.map((values) => JSON.stringify(values)).toSorted()).toEqual(texts);
      }
      expect((await readHistory(database.pool, { ...options, where: { g: '6' } })).rows).toHaveLength(2);
    });
  }
});
