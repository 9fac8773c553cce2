import { Pool } from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createDatabase, queueBackends, type TestDatabase } from '../harness/databases.js';
import { canonicalFromPostgres, kindOf } from '../oracle/expected-values.js';
import { expectMirror, rowOf } from '../oracle/expected-mirror.js';
import type { OracleField } from '../oracle/recorded-stream.js';
import { readRecordings, type Recording } from './recordings.js';
import { type ReplayedStream, replayAll } from './replay-run.js';
import { countDifferences, readMirror, readHistory, readVersions, type TextRow } from './replica-contents.js';

const recordings = (await readRecordings()).filter((recording) => !recording.name.startsWith('2-types'));
const withEvents = recordings.filter((recording) => recording.expected.events.length > 0);

const describeFields = (fields: readonly OracleField[]) =>
  fields.map((field) => `${field.name} ${field.realType}${field.unsigned ? ' unsigned' : ''}`);

function canonicalRow(fields: readonly OracleField[], row: TextRow, prefix = ''): string {
  return JSON.stringify(
    fields.map((field) => canonicalFromPostgres(kindOf(field), row[`${prefix}${field.name}`] ?? null)),
  );
}

describe.each(queueBackends())('the recorded streams, through reader, $backend queue and writers,', (queue) => {
  let database: TestDatabase;
  let pool: Pool;
  let streams: ReadonlyMap<string, ReplayedStream>;

  beforeAll(async () => {
    if (queue.missing) return;
    database = await createDatabase();
    pool = new Pool({ connectionString: database.url, options: '-c timezone=UTC' });
    const replayed = await replayAll(recordings, { database, queue, seed: Date.now() % 1e6, deadlineMs: 80_000 });
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

  describe.skipIf(queue.missing)('compared with an independent reading', () => {
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
          const place = [row['ordinal'], row['domain'], row['server_id'], row['sequence'], row['event_number']];
          stored.push(`${place.join(' ')} ${row['timestamp']} ${row['event_type']} ${canonicalRow(fields, row, ':')}`);
        }
      }
      expect(stored).toEqual(
        events.map((event, index) => {
          const place = [index + 1, event.domain, event.serverId, event.sequence, event.eventNumber];
          const values = JSON.stringify([...rowOf(event).values()]);
          return `${place.join(' ')} ${event.timestamp} ${event.operation} ${values}`;
        }),
      );
    });

    it.each(withEvents)('$name has its rows in the mirror', async (recording) => {
      const stream = streamOf(recording);
      const versions = await readVersions(pool, stream);
      const expected = expectMirror(recording.expected, recording.key);
      const newest = versions.at(-1);
      if (newest === undefined) throw new Error(`${recording.name} has no schema version`);
      const rows = await readMirror(pool, stream, newest);
      expect(rows.map((row) => canonicalRow(expected.fields, row)).sort()).toEqual(
        expected.rows.map((row) => JSON.stringify(expected.fields.map((field) => row.get(field.name)))).sort(),
      );
      expect(versions.filter((version) => version.recreated)).toHaveLength(expected.recreations);
    });

    it.each(withEvents)('$name shows the same table by its history as in the mirror', async (recording) => {
      expect(await countDifferences(pool, streamOf(recording))).toBe(0);
    });
  });
});
