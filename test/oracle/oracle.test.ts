import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { expectMirror } from './expected-mirror.js';
import { readJson } from './lossless-json.js';
import { readRecordedStream } from './recorded-stream.js';

const fixture = (name: string): Promise<Buffer> =>
  readFile(new URL(`../fixtures/transcripts/${name}.recv.bin`, import.meta.url));

async function mirrorOf(name: string, key: readonly string[] | null) {
  const { rows, fields, recreations } = expectMirror(readRecordedStream(await fixture(name)), key);
  return {
    columns: fields.map((field) => field.name),
    rows: rows.map((row) => [...row.values()].join('|')).sort(),
    recreations,
  };
}

/** The oracle against expectations written by hand from the SQL that made each recording. */
describe('the independent reading of a recording', () => {
  it('keeps every digit of a number and every escape of a text', () => {
    expect(readJson('{"a": 9223372036854775807, "b": ["\\u0001\\"é", 1.5e+20, null, true], "c": {}}')).toEqual({
      kind: 'object',
      members: new Map<string, unknown>([
        ['a', { kind: 'number', text: '9223372036854775807' }],
        [
          'b',
          {
            kind: 'array',
            items: [
              { kind: 'string', value: '\u0001"é' },
              { kind: 'number', text: '1.5e+20' },
              { kind: 'null' },
              { kind: 'boolean', value: true },
            ],
          },
        ],
        ['c', { kind: 'object', members: new Map() }],
      ]),
    });
  });

  it('refuses what is not JSON', () => {
    for (const text of ['', '{', '{"a" 1}', '[1 2]', 'nul', '1 2', '"a'])
      expect(() => readJson(text)).toThrow(SyntaxError);
  });

  it('lets the last event of a key decide, key changes included', async () => {
    expect(await mirrorOf('3-dml/comp_pk', ['b', 'a'])).toMatchObject({
      columns: ['a', 'b', 'c'],
      rows: ['1|z|1'],
    });
    expect((await mirrorOf('3-dml/upd_pk', ['id'])).rows).toEqual(['2|21|b']);
  });

  it('keeps equal rows of a table without a key apart', async () => {
    expect((await mirrorOf('3-dml/nopk', null)).rows).toEqual(['1|x']);
  });

  it('counts a schema line only when rows come under other columns', async () => {
    const narrowed = readRecordedStream(await fixture('4-ddl/modify_narrow-fresh0'));
    expect(narrowed.schemas).toHaveLength(1);
    const chain = readRecordedStream(await fixture('4-ddl/alter_trx-fresh0'));
    expect(chain.schemas.map((schema) => schema.fields.map((field) => field.name).join(','))).toEqual([
      'id,a,s',
      'id,a,s,x',
      'id,s,x',
      'a,id,s,x',
    ]);
  });

  it('makes the 32-bit numbers of a GTID whole again', async () => {
    const { events } = readRecordedStream(await fixture('7-extra/wrap'));
    expect(events.map((event) => `${event.domain}-${event.serverId}-${event.sequence}`)).toEqual([
      '0-1-6',
      '0-4294967295-7',
      '0-2147483648-8',
      '4294967295-1-1',
      '0-1-2147483647',
      '0-1-2147483648',
      '0-1-4294967299',
    ]);
  });

  it('starts a table that came back with other columns empty', async () => {
    expect(await mirrorOf('4-ddl/drop_create_diff-fresh0', null)).toMatchObject({
      columns: ['k', 'v'],
      recreations: 1,
    });
  });
});
