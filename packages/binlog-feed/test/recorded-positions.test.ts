import { afterEach, beforeEach, describe, expect, it } from 'vitest';
// @boundaries-ignore the harness that all tests share
import { mariadbMissing } from '../../../test/harness/mariadb.js';
import { RawConnection, readRecording, readTimes, Rerun } from './recorded-sql.js';
import { type Source, startSource } from './source.js';

/** Rows of one transaction each, with what the session's GTIDs were made of. */
interface Insert {
  readonly domain?: number;
  readonly server?: number;
  readonly sequence: number;
  readonly row: string;
}

describe.skipIf(await mariadbMissing('private'))('positions', () => {
  let source: Source;
  beforeEach(async () => {
    source = await startSource({ timeZone: 'America/New_York' });
  });
  afterEach(() => source.close());

  async function replay(recording: string, create: { sql: string; sequence: number }, inserts: readonly Insert[]) {
    const [, database = '', table = ''] = /create table (\w+)\.(\w+)/.exec(create.sql) ?? [];
    const times = readTimes(recording);
    const rerun = new Rerun(source.connection, times);
    await source.connection.query(`create database ${database}`);
    await rerun.beginAt(create.sequence);
    await rerun.run([create.sql]);
    for (const { domain = 0, server = 1, sequence, row } of inserts) {
      // On the wire, and so in the recording, it is wrapped to 32 bits.
      const time = times.get(Number(BigInt.asIntN(32, BigInt(sequence))));
      await source.connection.query(
        `set gtid_domain_id = ${domain}, server_id = ${server}, gtid_seq_no = ${sequence}, timestamp = ${time}`,
      );
      await source.connection.query(`insert into ${database}.${table} values ${row}`);
    }
    await source.feed.catchUp();
  }

  async function compare(file: string, request: string): Promise<void> {
    const recording = await readRecording(file);
    const client = new RawConnection(source.maxscale.port);
    await client.request(request);
    expect(await client.finish(Buffer.byteLength(recording)), request).toBe(recording);
  }

  it('of several domains and servers are found as a real MaxScale found them', async () => {
    const recording = await readRecording('5-resume/multi-none');
    // Sequences of two domains meet in one map of times: what was recorded last stands.
    await replay(recording, { sql: 'create table res.m (id int primary key)', sequence: 19 }, [
      { sequence: 20, row: '(1)' },
      { domain: 7, sequence: 1, row: '(2)' },
      { domain: 7, sequence: 2, row: '(3)' },
      { sequence: 21, row: '(4)' },
      { server: 9, sequence: 22, row: '(5)' },
      { sequence: 23, row: '(6)' },
      { domain: 7, sequence: 3, row: '(7)' },
    ]);
    await compare('5-resume/multi-none', 'res.m');
    await compare('5-resume/multi-1', 'res.m 7-1-1');
    await compare('5-resume/multi-3', 'res.m 0-1-21');
    await compare('5-resume/multi-4', 'res.m 0-9-22');
    await compare('5-resume/multi-5', 'res.m 0-1-23');
  });

  it('above 32 bits wrap as those of a real MaxScale did', async () => {
    const recording = await readRecording('7-extra/wrap');
    await replay(recording, { sql: 'create table ex.w (id int primary key)', sequence: 5 }, [
      { sequence: 6, row: '(1)' },
      { server: 2 ** 32 - 1, sequence: 7, row: '(2)' },
      { server: 2 ** 31, sequence: 8, row: '(3)' },
      { domain: 2 ** 32 - 1, sequence: 1, row: '(4)' },
      { sequence: 2 ** 31 - 1, row: '(5)' },
      { sequence: 2 ** 31, row: '(6)' },
      { sequence: 2 ** 32 + 3, row: '(7)' },
    ]);
    await compare('7-extra/wrap', 'ex.w');
    for (const gtid of ['0-1-2147483647', '0-1-2147483648', '0-1-4294967299', '0-1--2147483648', '0-1-3']) {
      await compare(`7-extra/wrap-req-${gtid}`, `ex.w ${gtid}`);
    }
  });

  it("are followed by TIMESTAMP values in MaxScale's time zone", async () => {
    const recording = await readRecording('7-extra/tz');
    await replay(
      recording,
      { sql: 'create table ex.tz (id int primary key, t timestamp null, d datetime)', sequence: 16 },
      [{ sequence: 17, row: `(1, '2024-07-01 12:00:00', '2024-07-01 12:00:00'), (2, '0000-00-00 00:00:00', null)` }],
    );
    await compare('7-extra/tz', 'ex.tz');
  });
});
