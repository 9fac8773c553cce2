import type { Column } from '@afterimage/cdc-protocol/testing';
import { inserted } from '@afterimage/cdc-protocol/testing';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { queueBackends, type TestQueueBackend } from '../harness/databases.js';
import { findForeignLines, findObeyed, SecurityRig, type StreamState } from './security-rig.js';

const [queue] = queueBackends() as [TestQueueBackend];

const id: Column = { name: 'id', realType: 'int' };
const many = (count: number): Column[] => [
  id,
  ...Array.from({ length: count - 1 }, (_, i) => ({ name: `column_${i}`, realType: 'int' })),
];
const prefix = (event: number, more = '') =>
  `{"domain": 0, "server_id": 1, "sequence": ${1_000 + event}, "event_number": 1, "timestamp": 1795347409, "event_type": "insert"${more}}\n`;
const schemaWith = (fields: string, version = '1') =>
  `{"namespace":"x","type":"record","name":"ChangeRecord","table":"t","database":"lines","version":${version},"gtid":"0-1-1","fields":[${fields}]}\n`;
const field = (name: string, type = '["null","int"]') =>
  `{"name":${name},"type":${type},"real_type":"int","length":-1,"unsigned":false}`;

/** Lines that come after a good row of `id int, v longtext`, each in a table of its own. */
const badLines: Readonly<Record<string, string | Buffer>> = {
  garbage: 'what is this\n',
  http: 'HTTP/1.1 400 Bad Request\r\n\r\n',
  binary: Buffer.from([0xff, 0xfe, 0x00, 0x80, 0x0a]),
  bad_utf8: Buffer.concat([
    Buffer.from(prefix(1, ', "id": 2, "v": "X"').replace('X"}\n', '')),
    Buffer.from([0xc3, 0x28]),
    Buffer.from('"}\n'),
  ]),
  wide_number: prefix(1, ', "id": 2, "v": "a"').replace('"timestamp": 1795347409', '"timestamp": 9999999999999999'),
  other_operation: prefix(1, ', "id": 2, "v": "a"').replace('"insert"', '"drop"'),
  missing_column: prefix(1, ', "id": 2'),
  more_columns: prefix(1, ', "id": 2, "v": "a", "__proto__": {"polluted": 1}, "constructor": 1'),
  schema_no_json: '{"fields": [\n',
  schema_wrong_types: schemaWith('1,2,3'),
  schema_proto: schemaWith('{"__proto__": {"name": "x", "type": "int"}}'),
  schema_no_name: schemaWith(field('""')),
  schema_version: schemaWith(field('"a"'), '-1'),
  schema_huge_version: schemaWith(field('"a"'), '99999999999'),
  schema_deep: schemaWith(field('"a"', `${'{"type":'.repeat(50_000)}"int"${'}'.repeat(50_000)}`)),
};

/** Rows that are events, and that PostgreSQL refuses one by one. */
const badRows: Readonly<Record<string, string>> = {
  not_json: ', "id": 2, "v": "a" what',
  not_closed: ', "id": 2, "v": "a',
  lone_surrogate: String.raw`, "id": 2, "v": "\uD800"`,
  lone_surrogate_name: String.raw`, "id": 2, "\uDC00": "a"`,
  too_many_digits: `, "id": ${'9'.repeat(100_000)}, "v": "a"`,
  infinite: ', "id": 1e400, "v": "a"',
  text_as_number: `, "id": "1); DROP TABLE public.canary; --", "v": "a"`,
  object_as_number: ', "id": {"__proto__": {"polluted": 1}}, "v": "a"',
  nested: `, "id": 2, "v": ${'['.repeat(200_000)}${']'.repeat(200_000)}`,
};

// Several programs at once: a busy machine takes its time.
vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

describe('what cannot be right', () => {
  let rig: SecurityRig;
  /** As reader and writer left them. */
  let settled: readonly StreamState[] = [];
  const at = (name: string): StreamState => {
    const stream = settled.find(({ database, table }) => `${database}.${table}` === name);
    if (stream === undefined) throw new Error(`no stream ${name}`);
    return stream;
  };

  beforeAll(async () => {
    const names = [
      ...Object.keys(badLines).map((name) => `lines.${name}`),
      ...Object.keys(badRows).map((name) => `rows.${name}`),
      'limits.most',
      'limits.too_many',
      'limits.fine',
      'limits.nul',
      'limits.type',
      'limits.twice',
    ];
    const tables = Object.fromEntries(names.map((name) => [name, { key: ['id'] }]));
    rig = await SecurityRig.create({ queue, source: { tables, timeouts: { resumeMs: 1_000 } } });
    await rig.pool.query('CREATE TABLE public.canary AS SELECT 1 AS alive');
    for (const [name, line] of Object.entries(badLines)) {
      const table = rig.server.table('lines', name);
      table.create([id, { name: 'v', realType: 'longtext' }]);
      table.append(inserted({ id: 1, v: 'good' }));
      table.appendLines(line);
    }
    for (const [name, columns] of Object.entries(badRows)) {
      const table = rig.server.table('rows', name);
      table.create([id, { name: 'v', realType: 'longtext' }]);
      table.append(inserted({ id: 1, v: 'good' }), { gtid: '0-1-1000' });
      table.appendLines(prefix(1, columns));
      table.append(inserted({ id: 3, v: 'better' }), { gtid: '0-1-2000' });
    }
    const limits: Readonly<Record<string, Column[]>> = {
      most: many(1593),
      too_many: many(1594),
      fine: many(3),
      nul: [id, { name: 'a\0b', realType: 'int' }],
      type: [id, { name: 'a', realType: "int'); DROP TABLE public.canary; --" }],
      twice: [id, { name: 'a', realType: 'int' }, { name: 'a', realType: 'int' }],
    };
    for (const [name, columns] of Object.entries(limits)) {
      const table = rig.server.table('limits', name);
      table.create(columns);
      table.append(inserted(Object.fromEntries(columns.map((column) => [column.name, 1]))));
    }
    rig.start();
    await rig.waitFor((streams) => {
      settled = streams;
      return streams.length === names.length && streams.every(isSettled);
    });
    await rig.stop();
  });
  afterAll(() => rig?.close());

  it.each(Object.keys(badLines))(
    'a line that is none of a stream (%s) stops this stream alone, and says why',
    async (name) => {
      const { state, ordinal, readerCode, readerMessage } = at(`lines.${name}`);
      const isMismatch = readerCode === 'COLUMNS_MISMATCH';
      expect(['PROTOCOL_VIOLATION', 'COLUMNS_MISMATCH']).toContain(readerCode);
      expect(readerMessage).toMatch(/^[^]+\. (?:Check|The rows)/);
      expect(state).toBe('active');
      expect(ordinal).toBe(isMismatch ? 0 : 1);
    },
  );

  it.each(Object.keys(badRows))(
    'a row that PostgreSQL cannot take (%s) becomes a dead letter as it came, and the stream goes on',
    async (name) => {
      expect(at(`rows.${name}`)).toMatchObject({ state: 'degraded', stateCode: 'DEAD_LETTERS', ordinal: 3 });
      const { rows } = await rig.pool.query<{ id: number; v: string }>(`SELECT id, v FROM rows."${name}" ORDER BY id`);
      expect(rows).toEqual([
        { id: 1, v: 'good' },
        { id: 3, v: 'better' },
      ]);
      const { rows: letters } = await rig.pool.query<{ raw: string }>(
        `SELECT d.raw FROM afterimage.dead_letters d JOIN afterimage.streams s ON s.id = d.stream_id WHERE s.table_name = $1`,
        [name],
      );
      expect(letters).toEqual([{ raw: prefix(1, badRows[name]).trimEnd() }]);
    },
  );

  it('1,593 columns are taken; with one more the stream halts and says what to do', async () => {
    expect(at('limits.most')).toMatchObject({ state: 'active', ordinal: 1 });
    const { state, stateCode, stateMessage } = at('limits.too_many');
    expect([state, stateCode]).toEqual(['halted', 'SCHEMA_REFUSED']);
    expect(stateMessage).toContain('a source table can have 1593');
  });

  it('a column whose name PostgreSQL cannot hold, or that comes twice, halts its stream and no other', async () => {
    expect(at('limits.nul')).toMatchObject({ state: 'halted', stateCode: 'SCHEMA_REFUSED' });
    const { state, stateMessage } = at('limits.twice');
    expect(state).toBe('halted');
    expect(stateMessage).toContain('specified more than once');
    expect(at('limits.fine')).toMatchObject({ state: 'active', ordinal: 1 });
  });

  it('a type is never taken for SQL', async () => {
    expect(at('limits.type')).toMatchObject({ state: 'active', ordinal: 1 });
    expect((await rig.pool.query('SELECT alive FROM public.canary')).rows).toEqual([{ alive: 1 }]);
  });

  it('the command line shows it all, and nothing that a terminal would obey', async () => {
    const id =
      (await rig.pool.query<{ id: string }>('SELECT id::text FROM afterimage.dead_letters ORDER BY id LIMIT 1')).rows[0]
        ?.id ?? '';
    for (const command of [
      ['status', '--sample', '0.1'],
      ['dead-letter', 'list'],
      ['dead-letter', 'show', id],
      ['dead-letter', 'retry', '--table', 'rows.lone_surrogate'],
    ]) {
      const { stdout, stderr } = await rig.cli(...command);
      expect(findObeyed(stdout + stderr), command.join(' ')).toEqual([]);
      expect(stderr).toMatch(/^\{.*prototypes as before.*\}\n$/);
    }
  });

  it('no log line is forged, and no prototype polluted', () => {
    expect(findObeyed(rig.output)).toEqual([]);
    expect(findForeignLines(rig.output)).toEqual([]);
    expect(rig.output.match(/prototypes as before/g)).toHaveLength(2);
  });
});

/** Nothing more will happen to it by itself. */
function isSettled({ state, ordinal, readerState, readerCode, database }: StreamState): boolean {
  if (state === 'halted') return true;
  if (database === 'lines') return readerState === 'retrying' && (ordinal === 1 || readerCode === 'COLUMNS_MISMATCH');
  return ordinal === (database === 'rows' ? 3 : 1);
}
