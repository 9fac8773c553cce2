import { type LocalMariadb, startMariadb } from '@afterimage/local-servers';
import {
  mirrorRowForm,
  openSourceDatabase,
  readTableKnowledge,
  type SourceValue,
  sourceRowForm,
  sourceValue,
  type SourceValueSettings,
} from '@afterimage/mariadb';
import type { Pool } from 'mariadb';
import type { PoolClient } from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { convertLines, settings } from '../../packages/replica/test/types/conversion.js';
import { findDeviation } from '../../packages/replica/test/types/deviations.js';
import { expectText, trimNumber } from '../../packages/replica/test/types/oracle.js';
import { readRecordings } from '../../packages/replica/test/types/recordings.js';
import { mapColumn } from '../../packages/replica/src/types/index.js';
import { Dice } from '../faults/dice.js';
import { createEmptyDatabase, type TestDatabase } from '../harness/databases.js';
import { mariadbMissing } from '../harness/mariadb.js';

/** A value as MariaDB gives it to read, and in both forms: MariaDB's own and PostgreSQL's of what was read. */
interface Seen {
  readonly text: string | null;
  readonly sourceForm: string | null;
  readonly mirrorForm: string | null;
}

describe.skipIf(await mariadbMissing('private'))('a value of MariaDB', () => {
  let mariadb: LocalMariadb;
  let source: Pool;
  let database: TestDatabase;
  let postgres: PoolClient;

  beforeAll(async () => {
    mariadb = await startMariadb({ env: { PATH: process.env['PATH'] } });
    source = openSourceDatabase({ url: mariadb.url, connections: 1 });
    // Values that MariaDB refuses by default: zero dates, labels that are not there.
    await source.query(`SET SESSION TRANSACTION READ WRITE`);
    await source.query(`CREATE DATABASE ty`);
    database = await createEmptyDatabase();
    postgres = await database.pool.connect();
    await postgres.query(`SET TimeZone = 'UTC'; SET IntervalStyle = 'postgres'; SET DateStyle = 'ISO'`);
  });
  afterAll(async () => {
    postgres.release();
    await Promise.all([source.end(), database.drop()]);
    await mariadb.stop();
  });

  async function fill(name: string, type: string, literals: readonly string[]): Promise<void> {
    await source.query(`SET sql_mode = 'ALLOW_INVALID_DATES'`);
    await source.query(`CREATE TABLE ty.\`${name}\` (id int PRIMARY KEY, v ${type})`);
    for (const [index, literal] of literals.entries()) {
      await source.query(`INSERT INTO ty.\`${name}\` VALUES (${index}, ${literal})`);
    }
    await source.query(`SET sql_mode = 'NO_ENGINE_SUBSTITUTION'`);
  }

  async function describeValue(
    name: string,
    postgresType: string,
    types: SourceValueSettings = settings,
  ): Promise<SourceValue> {
    const knowledge = await readTableKnowledge(source, 'ty', name);
    const column = knowledge?.columns.find((candidate) => candidate.name === 'v');
    if (column === undefined) throw new Error(`no column v in ${name}`);
    return sourceValue(column, postgresType, types);
  }

  async function look(name: string, postgresType: string, types?: SourceValueSettings): Promise<Seen[]> {
    const value = await describeValue(name, postgresType, types);
    const rows = await source.query<{ text: string | null; form: string }[]>(
      `SELECT ${value.read} AS text, ${sourceRowForm([value])} AS form FROM ty.\`${name}\` ORDER BY id`,
    );
    const { rows: read } = await postgres.query<{ text: string | null; form: string }>({
      text: `SELECT v AS text, ${mirrorRowForm([value], ['v'])} AS form
             FROM (SELECT v::${postgresType}, o FROM unnest($1::text[]) WITH ORDINALITY AS u(v, o)) AS t ORDER BY o`,
      values: [rows.map(({ text }) => text)],
      types: { getTypeParser: () => (text: string) => text },
    });
    return read.map(({ text, form }, index) => ({
      text,
      sourceForm: rows[index]?.form ?? null,
      mirrorForm: form,
    }));
  }

  it.each(readRecordings('2-types').map((recording) => [recording.name, recording] as const))(
    'of a recorded type is read as the stream gives it, and right where the stream does not: %s',
    async (name, { type, field, lines, literals }) => {
      const mapping = mapColumn(field, { type }, settings);
      await fill(name, type, literals);
      const seen = await look(name, mapping.postgresType);
      const streamed = await convertLines(database.pool, mapping, lines);
      const wanted = literals.map((literal, index) => {
        const bent = findDeviation({ name, literal, folder: '2-types', known: 'type' });
        return bent === null
          ? (streamed[index]?.text ?? null)
          : expectText(type, literal, mapping.postgresType === 'text');
      });
      const simplify = mapping.postgresType.startsWith('numeric') ? trimNumber : (text: string) => text;
      expect(seen.map(({ text }) => (text === null ? null : simplify(text)))).toEqual(
        wanted.map((text) => (text === null ? null : simplify(text))),
      );
      if (mapping.postgresType !== 'jsonb') {
        expect(seen.map(({ sourceForm }) => sourceForm)).toEqual(seen.map(({ mirrorForm }) => mirrorForm));
      }
    },
  );

  it('that is a double is printed by both servers the same way, whatever its size and sign', async () => {
    const dice = new Dice(7);
    const doubles = Array.from({ length: 400 }, () => {
      const digits = dice.between(1, 17);
      const mantissa = Array.from({ length: digits }, () => String(dice.below(10))).join('');
      return `${dice.chance(0.5) ? '-' : ''}${dice.between(1, 9)}.${mantissa}e${dice.between(-20, 20)}`;
    });
    const extremes = ['1e15', '999999999999999.9', '1e-4', '9.999999999999999e-5', '5e-324', '1.7976931348623157e308'];
    await fill('doubles', 'double', [...doubles, ...extremes, '0e0']);
    const seen = await look('doubles', 'double precision');
    expect(seen.map(({ text }) => Number(text))).toEqual([...doubles, ...extremes, '0'].map(Number));
    expectSameDoubles(seen);
    // MariaDB shows a negative zero as 0; this is how to get one.
    await fill('floats', 'float', [...doubles, '-1e-46', '3.4028234e38', '1.17549435e-38', '16777217']);
    const floats = await look('floats', 'real');
    expect(floats.at(-4)?.text).toBe('-0');
    expectSameDoubles(floats);
  });

  const dates = [`'0000-00-00'`, `'2024-05-00'`, `'2023-02-30'`, `'0000-01-01'`, `'2024-02-29'`, `'0001-01-01'`];
  it.each([
    { type: 'date', postgres: 'date', end: '' },
    { type: 'date NOT NULL', postgres: 'date', end: '' },
    { type: 'datetime(1)', postgres: 'timestamp', end: ' 00:00:00' },
    { type: 'datetime', postgres: 'timestamptz', end: ' 00:00:00+00' },
  ])('that is a date PostgreSQL lacks becomes what zeroDates says: $type', async ({ type, postgres: as, end }) => {
    const name = `dates ${type}`;
    await fill(name, type, dates);
    const good = [`2024-02-29${end}`, `0001-01-01${end}`];
    const nulls = await look(name, as, { zeroDates: 'null', nulCharacters: 'remove' });
    expect(nulls.map(({ text }) => text)).toEqual([null, null, null, null, ...good]);
    const ends = await look(name, as, { zeroDates: '-infinity', nulCharacters: 'remove' });
    expect(ends.map(({ text }) => text)).toEqual([...Array.from({ length: 4 }, () => '-infinity'), ...good]);
    for (const { sourceForm, mirrorForm } of [...nulls, ...ends]) expect(sourceForm).toBe(mirrorForm);
  });

  it.each<[type: string, postgres: string, literals: string[], texts: (string | null)[]]>([
    ['tinyint', 'boolean', ['0', '1', '-5', 'NULL'], ['f', 't', 't', null]],
    ['decimal(6,2)', 'integer', ['1.50', '-1.50', '2.49'], ['2', '-2', '2']],
    [
      'decimal(65,30)',
      'numeric',
      ['1.500', `'-0.${'0'.repeat(29)}1'`],
      [`1.5${'0'.repeat(29)}`, `-0.${'0'.repeat(29)}1`],
    ],
    ['decimal(6,2) zerofill', 'numeric(6,2)', ['1.5'], ['1.50']],
    ['double', 'bigint', ['1e15', '-2.5e0', 'NULL'], ['1000000000000000', '-2', null]],
    ['bit(1)', 'boolean', [`b'1'`, `b'0'`, 'NULL'], ['t', 'f', null]],
    ['bit(33)', 'bigint', [`b'100000000000000000000000000000001'`], ['4294967297']],
    ['bit(3)', 'bit varying', [`b'101'`, `b'1'`], ['101', '001']],
    ['timestamp(3) NULL', 'text', [`'2024-02-29 01:02:03.100'`], ['2024-02-29 01:02:03.1+00']],
    ['timestamp NULL', 'timestamp', [`'2024-02-29 01:02:03'`], ['2024-02-29 01:02:03']],
    ['datetime', 'date', [`'2024-02-29 23:59:59'`], ['2024-02-29']],
    ['time(6)', 'interval', [`'-838:59:59.999999'`, `'00:00:00.10'`], ['-838:59:59.999999', '00:00:00.1']],
    ['binary(16)', 'uuid', [`x'123e4567e89b12d3a456426655440000'`], ['123e4567-e89b-12d3-a456-426655440000']],
    ['varchar(36)', 'uuid', [`'123E4567-E89B-12D3-A456-426655440000'`], ['123e4567-e89b-12d3-a456-426655440000']],
    ['blob', 'text', [`'héllo'`], ['héllo']],
    ['longblob', 'bytea', [`x''`, `x'00ff00'`, 'NULL'], ['\\x', '\\x00ff00', null]],
    ['longtext', 'text', [`''`, `'a |~\\\\ b'`, 'NULL'], ['', 'a |~\\ b', null]],
    ['char(5)', 'text', [`'a  '`, `'~'`], ['a', '~']],
    [`enum('a','é ')`, 'integer', [`'é'`, `''`, 'NULL'], ['2', '0', null]],
    [`set('a','b')`, 'numeric(20,0)', [`'a,b'`, `''`], ['3', '0']],
    ['inet6', 'text', [`'::1'`], ['::1/128']],
    ['point', 'text', ['point(1, 2)'], ['POINT(1 2)']],
    ['json', 'jsonb', [`'{"b": 1, "a": [1, {}]}'`], ['{"a": [1, {}], "b": 1}']],
  ])('of type %s is what a mirror of type %s makes of it', async (type, as, literals, texts) => {
    const name = `as ${type} ${as}`.slice(0, 60);
    await fill(name, type, literals);
    const seen = await look(name, as);
    expect(seen.map(({ text }) => text)).toEqual(texts);
    if (as !== 'jsonb') for (const { sourceForm, mirrorForm } of seen) expect(sourceForm).toBe(mirrorForm);
  });

  it('that is too long to be read within max_allowed_packet is an error, not NULL', async () => {
    await fill('long', 'longblob', [`repeat('a', 9 * 1024 * 1024)`]);
    await expect(look('long', 'bytea')).rejects.toThrow(/out of range/);
  });

  it('is told from its neighbours and from NULL in the form of a row, whatever it holds', async () => {
    await source.query('CREATE TABLE ty.pairs (id int PRIMARY KEY, a varchar(20), b varchar(20))');
    await source.query(
      `INSERT INTO ty.pairs VALUES (1, 'x|1:y', 'z'), (2, 'x', 'y|1:z'), (3, NULL, ''), (4, '', NULL), (5, '~', ''), (6, 'a', 'a '), ` +
        `(7, 'a', 'A'), (8, 'é', 'a'), (9, 'e\u0301', 'a')`,
    );
    const knowledge = await readTableKnowledge(source, 'ty', 'pairs');
    const values = (knowledge?.columns ?? []).slice(1).map((column) => sourceValue(column, 'text', settings));
    const rows = await source.query<{ form: string }[]>(`SELECT ${sourceRowForm(values)} AS form FROM ty.pairs`);
    expect(new Set(rows.map(({ form }) => form)).size).toBe(9);
    const texts = await source.query<{ a: string | null; b: string | null }[]>('SELECT a, b FROM ty.pairs');
    const { rows: forms } = await postgres.query<{ form: string }>(
      `SELECT ${mirrorRowForm(values, ['a', 'b'])} AS form FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS u(a, b, o) ORDER BY o`,
      [texts.map(({ a }) => a), texts.map(({ b }) => b)],
    );
    expect(forms).toEqual(rows);
  });
});

/**
 * Above 2^53 MariaDB takes digits that lie half-way between two doubles, where PostgreSQL takes one digit more: such a
 * row is looked at value by value.
 */
function expectSameDoubles(seen: readonly Seen[]): void {
  for (const { sourceForm, mirrorForm } of seen) {
    if (Math.abs(Number(mirrorForm)) < 2 ** 53) expect(sourceForm).toBe(mirrorForm);
    else expect(Number(sourceForm)).toBe(Number(mirrorForm));
  }
}
