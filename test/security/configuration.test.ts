import { ConfigError, parseConfig, resolveAllTables } from '@afterimage/service';
import { describe, expect, it } from 'vitest';

interface Parts {
  readonly password?: string;
  readonly url?: string;
  readonly source?: readonly string[];
  readonly more?: readonly string[];
}

const describeFile = ({
  password = 'hush',
  url = 'postgres://afterimage:hush@db/app',
  source = ['tables: {}'],
  more = [],
}: Parts) =>
  [
    'postgres:',
    `  url: ${url}`,
    'queue: { backend: postgres, prefix: jobs }',
    'sources:',
    '  main:',
    '    host: maxscale',
    '    user: cdc',
    `    password: ${password}`,
    ...source.map((line) => `    ${line}`),
    ...more,
  ].join('\n');

const read = (parts: Parts) => parseConfig(describeFile(parts), 'afterimage.yaml', {});

/** The message with which the configuration is refused. */
function refuse(text: string): string {
  try {
    parseConfig(text, 'afterimage.yaml', {});
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    return (error as ConfigError).message;
  }
  throw new Error('the configuration was accepted');
}

describe('a configuration that is refused', () => {
  it.each([
    ['an alias', '*hushhush'],
    ['a text that goes on behind its quotes', '"a" hushhush'],
    ['a directive', '%hushhush'],
    ['a wrong escape', String.raw`"hush\hush"`],
    ['a block header', '|hushhush'],
    ['a list that does not end', '[hushhush'],
    ['a quote that does not end', "'hushhush"],
    ['brackets', ']hushhush'],
    ['a map', 'hushhush: hush'],
    ['a number', '4711471147114711'],
  ])('does not show a password that YAML takes for %s', (_what, password) => {
    const message = refuse(describeFile({ password }));
    expect(message).not.toMatch(/hush|4711/);
    expect(message).toContain('afterimage.yaml');
  });

  it('does not show a URL or password that stands one level too high', () => {
    const text = 'postgres: postgres://u:hush@db/app\nqueue: redis://:hush@redis\nsources: { main: hush }';
    expect(refuse(text)).not.toContain('hush');
  });

  it.each([
    'postgres://u:hu sh@db/app',
    'postgres://u:12/hush@db/app',
    'mysql://u:hush@db/app',
    '"postgres://u:hush\\u0000@db/app"',
  ])('says how to write the password of %s, without showing it', (url) => {
    const message = refuse(describeFile({ url }));
    expect(message).toContain('write special characters of the password as %20');
    expect(message).not.toMatch(/hush|hu sh/);
  });

  it('says so of aliases that multiply without end', () => {
    const list = (name: string, of: string) => `${name}: &${name} [${Array(12).fill(of).join(', ')}]`;
    const bomb = [list('a', 'x'), list('b', '*a'), list('c', '*b'), list('d', '*c')].join('\n');
    expect(refuse(bomb)).toMatch(/alias/);
  });

  it('has its control characters shown as escapes', () => {
    const message = refuse(describeFile({ more: ['"\\e[31mred\\nforged: 1": 1'] }));
    expect(message).not.toContain('\u001b');
    expect(message.split('\n')).toHaveLength(2);
  });
});

describe('names that JavaScript knows', () => {
  it.each([
    ['a source', ['tables: {}'], ['  __proto__: { host: x }']],
    ['a schema', ['tables: {}', 'schemas: { __proto__: x }'], []],
    ['a table', ['tables: { __proto__: {} }'], []],
    ['a column', ['tables: { shop.orders: { columns: { __proto__: { type: int } } } }'], []],
    ['a setting', ['tables: {}', '__proto__: { password: x }'], []],
  ])('are refused as %s where they cannot be kept, instead of being left out', (_what, source, more) => {
    expect(refuse(describeFile({ source, more }))).toContain('__proto__');
    expect(Object.keys(Object.prototype)).toEqual([]);
  });

  it('are as good as others for databases, tables, columns and sources', () => {
    const names = ['constructor', 'toString', 'hasOwnProperty', 'valueOf', 'prototype'];
    const tables = names.map((name) => `"${name}.${name}": { key: [${name}], columns: { ${name}: { type: int } } }`);
    const config = read({
      source: [`tables: { ${tables.join(', ')} }`],
      more: ['  constructor: { host: h, user: u, password: p, tables: { valueOf.x: null, a.__proto__: null } }'],
    });
    expect(resolveAllTables(config).map(({ source, mirror }) => [source, mirror.schema, mirror.table])).toEqual([
      ...names.map((name) => ['main', name, name]),
      ['constructor', 'valueOf', 'x'],
      ['constructor', 'a', '__proto__'],
    ]);
  });
});

describe('a schema that is not for mirrors', () => {
  it.each(['pg_catalog', 'pg_temp', 'pg_toast', 'information_schema', 'afterimage', 'jobs'])(
    '(%s) is refused as the name of a database, and says how to name another',
    (schema) => {
      expect(refuse(describeFile({ source: [`tables: { ${schema}.orders: null }`] }))).toMatch(
        /would live in schema .*: name another with schemas or `as`/,
      );
      const renamed = read({ source: [`tables: { ${schema}.orders: null }`, `schemas: { ${schema}: elsewhere }`] });
      expect(resolveAllTables(renamed)[0]?.mirror).toEqual({ schema: 'elsewhere', table: 'orders' });
    },
  );

  it('is refused as the home of histories, too', () => {
    const more = ['writer: { historySuffix: image }'];
    expect(refuse(describeFile({ source: ['tables: { after.orders: null }'], more }))).toContain('schema afterimage');
  });

  it.each(['public', 'bullmq', 'Afterimage', 'pgx'])('does not include %s', (schema) => {
    expect(resolveAllTables(read({ source: [`tables: { ${schema}.orders: null }`] }))).toHaveLength(1);
  });
});

describe('two tables', () => {
  it.each([
    ['mirror', '{ a.orders: { as: b.orders }, b.orders: null }'],
    ['history', '{ shop.orders: null, shop_history.orders: null }'],
    ['history', '{ shop_history.orders: null, shop.orders: null }'],
  ])('cannot have the same %s in PostgreSQL', (_what, tables) => {
    expect(refuse(describeFile({ source: [`tables: ${tables}`] }))).toContain('give one of them another name');
  });
});
