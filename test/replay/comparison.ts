import { Pool } from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createDatabase, queueBackends, type TestDatabase } from '../harness/databases.js';
import { type ExpectedRow, expectMirror, rowOf } from '../oracle/expected-mirror.js';
import { canonicalFromPostgres, kindOf } from '../oracle/expected-values.js';
import type { OracleField } from '../oracle/recorded-stream.js';
import type { Recording } from './recordings.js';
import { type ReplayedStream, replayAll } from './replay-run.js';
import { countDifferences, readHistory, readMirror, readVersions, type TextRow } from './replica-contents.js';

const describeFields = (fields: readonly OracleField[]) =>
  fields.map((field) => `${field.name} ${field.realType}${field.unsigned ? ' unsigned' : ''}`);

interface Comparable {
  readonly fields: readonly OracleField[];
  readonly expected: ExpectedRow | undefined;
}

/** A stored row as one text; where the oracle predicts nothing stands `?`. */
function showStored({ fields, expected }: Comparable, row: TextRow, prefix = ''): string {
  const values = fields.map((field) => {
    const isOpen = expected?.has(field.name) === true && expected.get(field.name) === undefined;
    return isOpen ? '?' : canonicalFromPostgres(kindOf(field), row[`${prefix}${field.name}`] ?? null);
  });
  return JSON.stringify(values);
}

function showExpected(fields: readonly OracleField[], row: ExpectedRow): string {
  return JSON.stringify(fields.map((field) => (row.get(field.name) === undefined ? '?' : row.get(field.name))));
}

function keyText(key: readonly string[] | null, values: (name: string) => unknown): string {
  return JSON.stringify((key ?? []).map(values));
}

/**
 * Declares the tests that replay recordings through reader, queue and writers, on each queue backend, and compare
 * schema versions, history and mirror with the oracle's. With `breaks` connections to the source break on the way.
 */
export function describeReplay(recordings: readonly Recording[], { breaks = false } = {}): void {
  const withEvents = recordings.filter((recording) => recording.expected.events.length > 0);

  // What a break does has nothing to do with the queue: one backend is enough.
  const backends = queueBackends().slice(0, breaks ? 1 : undefined);
  describe.each(backends)('replayed through reader, $backend queue and writers', (queue) => {
    let database: TestDatabase;
    let pool: Pool;
    let streams: ReadonlyMap<string, ReplayedStream>;

    beforeAll(async () => {
      if (queue.missing) return;
      database = await createDatabase();
      pool = new Pool({ connectionString: database.url, options: '-c timezone=UTC' });
      const seed = Date.now() % 1_000_000;
      const replayed = await replayAll(recordings, { database, queue, seed, breaks, deadlineMs: 80_000 });
      streams = new Map(replayed.map((stream) => [stream.recording.name, stream]));
    }, 120_000);
    afterAll(async () => {
      await pool?.end();
      await database?.drop();
    });

    function streamOf(recording: Recording): ReplayedStream {
      const stream = streams.get(recording.name);
      if (stream === undefined) throw new Error(`${recording.name} was not replayed`);
      return stream;
    }

    describe.skipIf(queue.missing)('and compared with an independent reading', () => {
      it.each(withEvents)('$name has its schema versions', async (recording) => {
        const versions = await readVersions(pool, streamOf(recording));
        expect(versions.map((version) => [version.firstOrdinal, ...describeFields(version.fields)])).toEqual(
          recording.expected.schemas.map((schema) => [String(schema.firstEvent), ...describeFields(schema.fields)]),
        );
      });

      it.each(withEvents)('$name has every event in its history', async (recording) => {
        const versions = await readVersions(pool, streamOf(recording));
        const { events, schemas } = recording.expected;
        const stored: string[] = [];
        for (const [index, version] of versions.entries()) {
          const fields = schemas[index]?.fields ?? [];
          for (const row of await readHistory(pool, version, versions[index + 1])) {
            const event = events[stored.length];
            const expected = event === undefined ? undefined : rowOf(event);
            const place = [row['ordinal'], row['domain'], row['server_id'], row['sequence'], row['event_number']];
            const values = showStored({ fields, expected }, row, ':');
            stored.push(`${place.join(' ')} ${row['timestamp']} ${row['event_type']} ${values}`);
          }
        }
        expect(stored).toEqual(
          events.map((event, index) => {
            const place = [index + 1, event.domain, event.serverId, event.sequence, event.eventNumber];
            const values = showExpected(event.schema.fields, rowOf(event));
            return `${place.join(' ')} ${event.timestamp} ${event.operation} ${values}`;
          }),
        );
      });

      it.each(withEvents)('$name has its rows in the mirror', async (recording) => {
        const versions = await readVersions(pool, streamOf(recording));
        const newest = versions.at(-1);
        if (newest === undefined) throw new Error(`${recording.name} has no schema version`);
        const { fields, rows, recreations } = expectMirror(recording.expected, recording.key);
        const byKey = new Map(rows.map((row) => [keyText(recording.key, (name) => row.get(name)), row]));
        const stored = (await readMirror(pool, streamOf(recording), newest)).map((row) =>
          showStored({ fields, expected: byKey.get(keyText(recording.key, (name) => row[name])) }, row),
        );
        expect(stored.sort()).toEqual(rows.map((row) => showExpected(fields, row)).sort());
        expect(versions.filter((version) => version.recreated)).toHaveLength(recreations);
      });

      it.each(withEvents)('$name shows the same table by its history as in the mirror', async (recording) => {
        expect(await countDifferences(pool, streamOf(recording))).toBe(0);
      });
    });
  });
}
