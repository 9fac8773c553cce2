import { afterAll, beforeAll, describe, expect, it } from 'vitest';
// @boundaries-ignore the harness that all tests share
import { mariadbMissing } from '../../../test/harness/mariadb.js';
import { RawConnection, readCases, type RecordedType, readRecording, readTimes, Rerun } from './recorded-sql.js';
import { type Source, startSource } from './source.js';

const missing = await mariadbMissing('private');

/** The types were recorded in two runs, each on a new server: where a sequence is lower than the one before, the next began. */
const runs: RecordedType[][] = [];
for (const type of await readCases<RecordedType>('types')) {
  const run = runs.at(-1);
  if (run === undefined || type.first < (run.at(-1)?.first ?? 0)) runs.push([type]);
  else run.push(type);
}

describe.skipIf(missing).each(runs)('the stream of a column', (...types) => {
  let source: Source;
  beforeAll(async () => {
    source = await startSource();
    await source.connection.query('CREATE DATABASE ty');
  });
  afterAll(() => source.close());

  it.each(types)(
    'of type $type is byte for byte that of a real MaxScale ($name)',
    async ({ name, create, values, first }) => {
      const recording = await readRecording(`2-types/${name}`);
      const rerun = new Rerun(source.connection, readTimes(recording));
      await rerun.beginAt(first);
      const inserts = values.map((value, index) => `insert into ty.\`${name}\` values (${index + 1}, ${value})`);
      await rerun.run([create, ...inserts]);
      await source.feed.catchUp();
      const client = new RawConnection(source.maxscale.port);
      await client.request(`ty.${name}`);
      expect(await client.finish(Buffer.byteLength(recording))).toBe(recording);
    },
  );
});

/** In the order in which they were recorded. */
const types = await Promise.all(
  runs.flat().map(async (type) => {
    const recording = await readRecording(`2-types-show-create/${type.name}`);
    return { ...type, recording, times: readTimes(recording) };
  }),
);
types.sort((one, other) => Math.min(...one.times.keys()) - Math.min(...other.times.keys()));

describe.skipIf(missing)('a table that was there before the first event', () => {
  let source: Source;
  beforeAll(async () => {
    source = await startSource();
    await source.feed.pause();
    await source.connection.query('CREATE DATABASE ty');
    for (const { name, create, values } of types) {
      await source.connection.query(create);
      for (const [index, value] of values.entries()) {
        await source.connection.query(`insert into ty.\`${name}\` values (${index + 1}, ${value})`);
      }
    }
    for (const { name } of types) for (const sql of changes(name)) await source.connection.query(sql);
    // Nothing of it is in a binlog.
    await source.connection.query('RESET MASTER');
    source.feed.resume();
  });
  afterAll(() => source.close());

  /** Run twice when it was recorded, the first time before what was recorded. */
  const changes = (name: string): string[] => [
    `delete from ty.\`${name}\` where id is not null limit 1`,
    `update ty.\`${name}\` set id=id+1000`,
  ];
  it.each(types)('has the columns that SHOW CREATE TABLE says: $type ($name)', async ({ name, recording, times }) => {
    const rerun = new Rerun(source.connection, times);
    await rerun.beginAt(Math.min(...times.keys()));
    await rerun.run(changes(name));
    await source.feed.catchUp();
    const client = new RawConnection(source.maxscale.port);
    await client.request(`ty.${name}`);
    expect(await client.finish(Buffer.byteLength(recording))).toBe(recording);
  });
});
