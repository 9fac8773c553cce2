import type { Field } from '@afterimage/change-events';
import { Pool } from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
// @boundaries-ignore the harness that all tests share
import { createEmptyDatabase, type TestDatabase } from '../../../../test/harness/databases.js';
import {
  type ColumnKnowledge,
  mapColumn,
  MariaTypeError,
  PostgresTypeError,
  type TypeSettings,
} from '../../src/types/index.js';
import { convertLines, settings } from './conversion.js';
import { printLine, printString } from './maxscale-printer.js';
import { readRecordings } from './recordings.js';

let database: TestDatabase;

beforeAll(async () => {
  database = await createEmptyDatabase();
});

afterAll(async () => {
  await database.drop();
});

function field(realType: string, avroType: string, unsigned = false): Field {
  return { name: 'v', realType, avroType, unsigned };
}

async function convert(
  source: Field,
  knowledge: ColumnKnowledge | undefined,
  values: readonly string[],
  types: TypeSettings = settings,
) {
  const mapping = mapColumn(source, knowledge, types);
  const rows = await convertLines(
    database.pool,
    mapping,
    values.map((value) => printLine(value)),
  );
  return rows.map(({ text, lost }) => (lost === '1' ? `${text ?? 'null'} (counted)` : text));
}

describe('what the mapping costs', () => {
  it.each([
    ['int', 'int', 'integer'],
    ['bigint', 'long', 'bigint'],
    ['tinyint', 'int', 'smallint'],
    ['double', 'double', 'double precision'],
    ['float', 'float', 'real'],
    ['varchar', 'string', 'text'],
    ['TEXT', 'bytes', 'text'],
  ])('a column of type %s is read as it is', (real, avro, postgres) => {
    const mapping = mapColumn(field(real, avro), undefined, settings);
    expect(mapping).toMatchObject({
      postgresType: postgres,
      jsonType: postgres,
      unreliable: null,
      notice: null,
      identity: true,
    });
    expect([mapping.value('"v"', null), mapping.lost('"v"')]).toEqual(['"v"', null]);
  });

  it('a decimal of known precision is rounded by its type alone', () => {
    const mapping = mapColumn(field('decimal', 'double'), { type: 'decimal(10,2)' }, settings);
    expect(mapping).toMatchObject({ postgresType: 'numeric(10,2)', jsonType: 'numeric(10,2)', unreliable: null });
    expect(mapping.value('"v"', null)).toBe('"v"');
  });
});

describe('names of the source type', () => {
  it.each([
    [field('INT', 'int', true), undefined, 'int unsigned'],
    [field('timestamp_', 'string'), undefined, 'timestamp'],
    [field('timestamp_', 'string'), { type: 'TIMESTAMP(3)' }, 'timestamp(3)'],
    [field('decimal', 'double'), { type: 'decimal(20,4) unsigned' }, 'decimal(20,4) unsigned'],
    [field('enum', 'string'), { type: "enum('it''s')" }, "enum('it''s')"],
  ])('%j is called by its full type where known', (source, knowledge, wanted) => {
    expect(mapColumn(source, knowledge, settings).sourceType).toBe(wanted);
  });
});

describe('what is known of a column', () => {
  it('is ignored, with a notice, when the stream says otherwise', async () => {
    const mapping = mapColumn(field('varchar', 'string'), { type: 'decimal(10,2)' }, settings);
    expect(mapping).toMatchObject({ postgresType: 'text', sourceType: 'varchar' });
    expect(mapping.notice).toContain('decimal(10,2)');
    expect(await convert(field('varchar', 'string'), { type: 'decimal(10,2)' }, ['"x"'])).toEqual(['x']);
  });

  it('makes a JSON column that arrives as longtext jsonb', async () => {
    expect(await convert(field('longtext', 'bytes'), { type: 'json' }, ['"{\\"b\\": 1, \\"a\\": 2}"', 'null'])).toEqual(
      ['{"a": 2, "b": 1}', null],
    );
  });

  it('makes an INT ZEROFILL unsigned', async () => {
    expect(await convert(field('int', 'int'), { type: 'int(8) zerofill' }, ['-1'])).toEqual(['4294967295']);
  });

  it('says what an unknown type word stands for', async () => {
    expect(mapColumn(field('mystery', 'string'), undefined, settings).unreliable).toContain('"mystery"');
    expect(await convert(field('mystery', 'string'), undefined, ['"x"', '1.50'])).toEqual(['x', '1.50']);
    expect(await convert(field('mystery', 'string'), { type: 'date' }, ['"1-02-03"'])).toEqual(['0001-02-03']);
  });

  it('is refused when it is not a type', () => {
    expect(() => mapColumn(field('int', 'int'), { type: 'int(' }, settings)).toThrow(MariaTypeError);
    expect(() => mapColumn(field('int', 'int'), { postgres: 'int; DROP TABLE x' }, settings)).toThrow(
      PostgresTypeError,
    );
    expect(() => mapColumn(field('int', 'int'), { postgres: 'int) --' }, settings)).toThrow(PostgresTypeError);
  });
});

describe('an overriding PostgreSQL type', () => {
  it.each([
    {
      source: field('tinyint', 'int'),
      knowledge: { postgres: 'boolean' },
      values: ['0', '1', '2', 'null'],
      wanted: ['f', 't', 't', null],
    },
    { source: field('int', 'int'), knowledge: { postgres: 'text' }, values: ['5'], wanted: ['5'] },
    { source: field('bigint', 'long'), knowledge: { postgres: 'numeric(12, 2)' }, values: ['5'], wanted: ['5.00'] },
    {
      source: field('varchar', 'string'),
      knowledge: { postgres: 'uuid' },
      values: ['"123e4567-e89b-12d3-a456-426655440000"'],
      wanted: ['123e4567-e89b-12d3-a456-426655440000'],
    },
    {
      source: field('varchar', 'string'),
      knowledge: { postgres: 'varchar(3)' },
      values: ['"abcdef"'],
      wanted: ['abc'],
    },
    {
      source: field('binary', 'bytes'),
      knowledge: { type: 'binary(16)', postgres: 'uuid' },
      values: ['"f0f1f2f3f4f5f6f7f8f9fafbfcfdfe"'],
      wanted: ['f0f1f2f3-f4f5-f6f7-f8f9-fafbfcfdfe00'],
    },
    { source: field('blob', 'bytes'), knowledge: { postgres: 'text' }, values: ['"é"'], wanted: ['é'] },
    {
      source: field('datetime', 'string'),
      knowledge: { type: 'datetime', postgres: 'date' },
      values: ['"2024-02-29 12:34:56"'],
      wanted: ['2024-02-29'],
    },
    {
      source: field('datetime', 'string'),
      knowledge: { type: 'datetime(3)', postgres: 'timestamp(1) without time zone' },
      values: ['"2024-02-29 12:34:56.1230000"'],
      wanted: ['2024-02-29 12:34:56.1'],
    },
    {
      source: field('time', 'string'),
      knowledge: { type: 'time', postgres: 'time' },
      values: ['"12:34:56"'],
      wanted: ['12:34:56'],
    },
    { source: field('text', 'bytes'), knowledge: { postgres: 'pg_catalog.jsonb' }, values: ['"{}"'], wanted: ['{}'] },
    { source: field('longtext', 'bytes'), knowledge: { postgres: 'text[]' }, values: ['"{a,b}"'], wanted: ['{a,b}'] },
  ])('casts a $source.realType to $knowledge.postgres', async ({ source, knowledge, values, wanted }) => {
    expect(await convert(source, knowledge, values)).toEqual(wanted);
  });

  it('keeps counting what the stream lost', async () => {
    expect(await convert(field('bit', 'string'), { postgres: 'boolean' }, ['""', 'null'])).toEqual([
      'null (counted)',
      null,
    ]);
  });

  it('refuses a time beyond a day rather than bend it', async () => {
    await expect(
      convert(field('time', 'string'), { type: 'time', postgres: 'time' }, ['"30:00:00"']),
    ).rejects.toMatchObject({ code: '22008' });
  });
});

describe('time zones', () => {
  const timestamp = field('timestamp_', 'string');

  it('a TIMESTAMP is read in the zone of the MaxScale host', async () => {
    const newYork = { ...settings, timeZone: 'America/New_York' };
    expect(
      await convert(timestamp, { type: 'timestamp' }, ['"2024-07-01 08:00:00"', '"0-00-00 00:00:00"'], newYork),
    ).toEqual(['2024-07-01 12:00:00+00', null]);
    expect(mapColumn(timestamp, { type: 'timestamp' }, newYork).unreliable).toContain('America/New_York');
    expect(mapColumn(timestamp, { type: 'timestamp' }, settings).unreliable).toBeNull();
  });

  it('a zero TIMESTAMP can become -infinity', async () => {
    expect(
      await convert(timestamp, undefined, ['"0-00-00 00:00:00.000000"'], { ...settings, zeroDates: '-infinity' }),
    ).toEqual(['-infinity']);
  });

  it('a hostile zone is an unknown zone, not SQL', async () => {
    const hostile = { ...settings, timeZone: `UTC\\'); DROP SCHEMA public CASCADE; --` };
    await expect(convert(timestamp, undefined, ['"2024-07-01 08:00:00"'], hostile)).rejects.toMatchObject({
      code: '22023',
    });
  });
});

describe('labels', () => {
  it('are quoted, whatever they hold, under both settings of standard_conforming_strings', async () => {
    const labels = [`'; DROP SCHEMA public CASCADE; --`, `\\'; SELECT 1; --`, '$$', 'é😀', '\n'];
    const type = `(${labels.map((label) => `'${label.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`).join(',')})`;
    for (const setting of ['on', 'off']) {
      const pool = new Pool({
        connectionString: database.url,
        max: 1,
        options: `-c standard_conforming_strings=${setting}`,
      });
      try {
        const mapping = mapColumn(field('enum', 'string'), { type: `enum${type}` }, settings);
        const rows = await convertLines(
          pool,
          mapping,
          labels.map((_, i) => printLine(`"0${i + 1}"`)),
        );
        expect(rows.map(({ text }) => text)).toEqual(labels);
        const { rows: current } = await pool.query<{ setting: string }>(
          `SELECT current_setting('standard_conforming_strings') AS setting`,
        );
        expect(current).toEqual([{ setting }]);
      } finally {
        await pool.end();
      }
    }
    expect(await convert(field('set', 'string'), { type: `set${type}` }, ['"1F"'])).toEqual([labels.join(',')]);
  });
});

describe('identity', () => {
  it('is true exactly for types that PostgreSQL can hash', async () => {
    const mappings = readRecordings('2-types').map(({ field: source }) => mapColumn(source, undefined, settings));
    const overridden = [
      'json',
      'jsonb',
      'xml',
      'point',
      'varchar(20)',
      'timestamp(3) with time zone',
      'double precision',
      'bit(8)',
      'char(3)',
    ].map((postgres) => mapColumn(field('text', 'bytes'), { postgres }, settings));
    const all = [...mappings, ...overridden];
    const { rows } = await database.pool.query<{ hashed: boolean }>(
      `SELECT EXISTS (SELECT FROM pg_opclass o JOIN pg_am m ON m.oid = o.opcmethod AND m.amname = 'hash'
         WHERE o.opcintype = t::regtype OR t::regtype = 'varchar'::regtype AND o.opcintype = 'text'::regtype) AS hashed
       FROM unnest($1::text[]) WITH ORDINALITY u(t, o) ORDER BY o`,
      [all.map(({ postgresType }) => postgresType)],
    );
    expect(all.map(({ postgresType, identity }) => [postgresType, identity])).toEqual(
      all.map(({ postgresType }, i) => [postgresType, rows[i]?.hashed]),
    );
  });
});

describe('values that are not as expected', () => {
  it('are errors of PostgreSQL, so that they become dead letters and not wrong rows', async () => {
    await expect(convert(field('date', 'string'), undefined, ['"soon"'])).rejects.toMatchObject({ code: '22P02' });
    await expect(convert(field('int', 'int'), undefined, ['"x"'])).rejects.toMatchObject({ code: '22P02' });
    await expect(convert(field('enum', 'string'), { type: "enum('a')" }, [printString('zz')])).rejects.toMatchObject({
      code: '22P02',
    });
  });
});
