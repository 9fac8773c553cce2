import { afterAll, beforeAll, describe, expect, it } from 'vitest';
// @boundaries-ignore the harness that all tests share
import { mariadbMissing } from '../../../test/harness/mariadb.js';
import { RawConnection, readCases, type RecordedCase, readRecording, readTimes, Rerun } from './recorded-sql.js';
import { type Source, startSource } from './source.js';

const topics = [
  { folder: '3-dml', database: 'dml', cases: await readCases('dml') },
  { folder: '4-ddl', database: 'ddl', cases: await readCases('ddl') },
];

describe.skipIf(await mariadbMissing('private')).each(topics)(
  'the stream in $folder',
  ({ folder, database, cases }) => {
    let source: Source;
    beforeAll(async () => {
      source = await startSource();
      await source.connection.query(`CREATE DATABASE ${database}`);
      if (folder === '4-ddl') await source.connection.query('CREATE DATABASE other');
    });
    afterAll(() => source.close());

    it.each(cases)('is byte for byte that of a real MaxScale after $name: $title', async (recorded) => {
      const recordings = await readStreams(folder, recorded);
      const times = readTimes(recordings.map(({ recording }) => recording).join(''));
      const rerun = new Rerun(source.connection, times);
      await rerun.beginSession(database);
      await rerun.beginAt(recorded.first);
      await rerun.run(recorded.setup);
      await source.feed.catchUp();
      const live = new RawConnection(source.maxscale.port);
      await live.request(`${database}.${recorded.name}`);
      for (const { statements, sequence } of recorded.steps) {
        await rerun.beginSession(database);
        await rerun.run(statements);
        expect(await rerun.readSequence()).toBe(sequence);
        await source.feed.catchUp();
      }
      for (const { file, request, recording } of recordings) {
        const client = file?.endsWith('-long') === true ? live : new RawConnection(source.maxscale.port);
        if (client !== live) await client.request(request);
        const received = await client.finish(Buffer.byteLength(recording));
        expect(received, `${file}: REQUEST-DATA ${request}`).toBe(recording);
      }
    });
  },
);

async function readStreams(
  folder: string,
  { streams }: RecordedCase,
): Promise<{ file: string | null; request: string; recording: string }[]> {
  return Promise.all(
    streams.map(async ({ file, request }) => ({
      file,
      request,
      recording:
        file === null
          ? `OK\n\nOK\nERR NO-FILE File '${request}.000001.avro' not found.\n`
          : await readRecording(`${folder}/${file}`),
    })),
  );
}
