import { describe, expect, it } from 'vitest';
import { type DdlStep, parseDdl } from '../src/ddl-parser.js';

/** Steps in short: what is done, to which table, with which columns. */
function read(sql: string): string[] {
  return [...parseDdl(sql, 'shop')].map(describeStep);
}

function describeStep(step: DdlStep): string {
  const nameOf = ({ database, table }: { database: string; table: string }): string => `${database}.${table}`;
  const columnOf = ({ name, realType, unsigned }: { name: string; realType: string; unsigned?: boolean }): string =>
    `${name} ${realType}${unsigned === true ? ' unsigned' : ''}`;
  switch (step.kind) {
    case 'create':
      return `create ${nameOf(step.name)}: ${step.columns.map(columnOf).join(', ')}`;
    case 'create-like':
      return `create ${nameOf(step.name)} like ${nameOf(step.source)}`;
    case 'drop':
    case 'alter-begin':
      return `${step.kind} ${nameOf(step.name)}`;
    case 'rename':
      return `rename ${nameOf(step.from)} to ${nameOf(step.to)}`;
    case 'add-column':
      return `add ${columnOf(step.column)}${step.place.first ? ' first' : ''}${step.place.after === '' ? '' : ` after ${step.place.after}`}`;
    case 'drop-column':
      return `drop ${step.column}`;
    case 'change-column':
      return `change ${step.old} to ${columnOf(step.column)}`;
    case 'alter-end':
      return 'alter-end';
  }
}

describe('CREATE TABLE, as avrorouter reads it,', () => {
  it.each([
    ['CREATE TABLE t (id INT unsigned NOT NULL, v varchar(9))', ['create shop.t: id INT unsigned, v varchar']],
    ['create or replace table if not exists `a`.`b-c` (x int)', ['create a.b_c: x int']],
    [`create table t (d decimal(9,2) comment 'a, (b) unsigned', e enum('x,y'))`, ['create shop.t: d decimal, e enum']],
    ['create table t (`timestamp` timestamp, `ünï` json)', ['create shop.t: timestamp_ timestamp_, __n__ json']],
    ['create table t like other.s', ['create shop.t like other.s']],
    ['/*!50100 create table t (a int) */', ['create shop.t: a int']],
  ])('has these columns: %s', (sql, steps) => {
    expect(read(Buffer.from(sql).toString('latin1'))).toEqual(steps);
  });

  it('ends at the first key: columns after it are not seen', () => {
    expect(read('create table t (id int, primary key (id), a int)')).toEqual(['create shop.t: id int']);
  });

  it('has a column too many where table options are separated by a comma', () => {
    expect(read('create table t (id int) engine=innodb, charset=utf8mb4')).toEqual(['create shop.t: id int, charset ']);
  });

  it('loses what follows a # in a literal', () => {
    expect(read(`create table t (id int comment '#1', a int)`)).toEqual(['create shop.t: id int']);
  });

  it.each([
    'create temporary table t (id int)',
    'create view t as select 1',
    'create index i on t (a)',
    'grant all on t to me',
  ])('is not seen in %s', (sql) => {
    expect(read(sql)).toEqual([]);
  });
});

describe('ALTER TABLE, as avrorouter reads it,', () => {
  it.each([
    ['ADD x int, ADD COLUMN IF NOT EXISTS y bigint unsigned AFTER x', ['add x int', 'add y bigint unsigned after x']],
    ['ADD (p int, q int)', ['add p int', 'add q int']],
    ['DROP COLUMN IF EXISTS x, DROP y RESTRICT', ['drop x', 'drop y']],
    ['MODIFY x text, CHANGE COLUMN y z double', ['change x to x text', 'change y to z double']],
    [`ADD INDEX (x), DROP PRIMARY KEY, ALTER COLUMN x SET DEFAULT 3, ENGINE=innodb`, []],
  ])('does: %s', (clauses, steps) => {
    expect(read(`ALTER TABLE t ${clauses}`)).toEqual(['alter-begin shop.t', ...steps, 'alter-end']);
  });

  it('stops where it does not understand, with what came before in effect and no new version', () => {
    expect(read('alter table t rename column a to b, add x int')).toEqual(['alter-begin shop.t']);
    expect(read('alter table t add (p int, q int), drop s')).toEqual(['alter-begin shop.t', 'add p int', 'add q int']);
  });

  it('is not seen with IF EXISTS', () => {
    expect(read('alter table if exists t add x int')).toEqual([]);
  });

  it('renames within the database that it is in', () => {
    expect(read('alter table t rename to other.u')).toEqual([
      'alter-begin shop.t',
      'rename shop.t to shop.u',
      'alter-end',
    ]);
  });
});

describe('other statements, as avrorouter reads them,', () => {
  it('rename one table after another', () => {
    expect(read('rename table t to t_old, gho to t')).toEqual([
      'rename shop.t to shop.t_old',
      'rename shop.gho to shop.t',
    ]);
  });

  it('drop only the first table of several', () => {
    expect(read('drop table if exists a, b')).toEqual(['drop shop.a']);
  });

  it('do nothing to tables that they empty', () => {
    expect(read('truncate table t')).toEqual([]);
  });
});
