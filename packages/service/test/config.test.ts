import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  ConfigError,
  loadConfig,
  parseConfig,
  renderConfigReference,
  renderConfigTemplate,
  resolveAllTables,
  resolveConfigPath,
  resolveQueueStore,
} from '../src/index.js';

const minimal = `postgres:
  url: postgres://localhost/mirror
queue:
  backend: postgres
sources:
  shop:
    host: maxscale
    user: cdc
    password: secret
    tables:
      shop.orders:
        key: [id]
      shop.*:
    knownTables: [shop.orders, shop.customers, stock.items]
`;

function problemsOf(text: string, env: Record<string, string> = {}): string[] {
  try {
    parseConfig(text, 'a.yaml', env);
  } catch (error) {
    if (error instanceof ConfigError) return error.message.split('\n');
    throw error;
  }
  return [];
}

describe('a configuration file', () => {
  it('is filled up with the defaults', () => {
    const config = parseConfig(minimal, 'a.yaml', {});
    expect(config.sources['shop']).toMatchObject({
      port: 4001,
      timeZone: 'UTC',
      tables: { 'shop.orders': { key: ['id'] }, 'shop.*': null },
    });
    expect(config.reader.maxBatchEvents).toBe(2000);
    expect(config.sources['shop']?.timeouts.dialMs).toBe(10_000);
  });

  it('that is missing names the command that writes one', () => {
    expect(() => loadConfig('/nonexistent/afterimage.yaml', {})).toThrow(
      expect.objectContaining({
        code: 'CONFIG_NOT_FOUND',
        message: expect.stringContaining('afterimage init') as string,
      }) as Error,
    );
  });

  it('is read from the disk, with the path in its messages', () => {
    const folder = mkdtempSync(join(tmpdir(), 'afterimage-test-'));
    const path = join(folder, 'a.yaml');
    writeFileSync(path, minimal);
    expect(loadConfig(path, {}).postgres.url).toBe('postgres://localhost/mirror');
    writeFileSync(path, 'writers: {}');
    expect(() => loadConfig(path, {})).toThrow(`${path}:1  writers is not a setting; did you mean "writer"?`);
    rmSync(folder, { recursive: true });
  });

  it('with many mistakes is refused with all of them, each with its line and a hint', () => {
    const text = `postgres:
  url: 12
queue:
  backend: redes
sources:
  Shop: {}
  shop:
    hots: a
    port: "4001"
    timeZone: Moon/Crater
    tables:
      orders:
      shop.orders: { keys: [id], onRefused: stop }
reader:
  lingerMs: -1
  maxBatchEvents: 1.5
`;
    expect(problemsOf(text)).toEqual([
      '14 problems in the configuration:',
      '  a.yaml:2  postgres.url must be text, but is a number: put it in quotes',
      '  a.yaml:4  queue.backend must be one of redis, postgres, but is "redes"; did you mean "redis"?',
      '  a.yaml:6  sources.Shop: name a source with small letters, digits, - and _, a letter first',
      '  a.yaml:7  sources.shop.host is missing',
      '  a.yaml:7  sources.shop.user is missing',
      '  a.yaml:7  sources.shop.password is missing: write it, or set AFTERIMAGE_SOURCE_SHOP_PASSWORD in the environment',
      '  a.yaml:8  sources.shop.hots is not a setting; did you mean "host"?',
      '  a.yaml:9  sources.shop.port must be a number, but is "4001"',
      '  a.yaml:10  sources.shop.timeZone: not a time zone name: write one like UTC or Europe/Berlin',
      '  a.yaml:12  sources.shop.tables.orders: write database.table or database.*',
      '  a.yaml:13  sources.shop.tables."shop.orders".onRefused must be one of dead-letter, halt, but is "stop"',
      '  a.yaml:13  sources.shop.tables."shop.orders".keys is not a setting; did you mean "key"?',
      '  a.yaml:15  reader.lingerMs must be at least 0, but is -1',
      '  a.yaml:16  reader.maxBatchEvents must be a whole number, but is 1.5',
    ]);
  });

  it('that is not YAML is refused with the line', () => {
    expect(problemsOf('postgres:\n  url: [a\nqueue: {}\n')[1]).toMatch(/^ {2}a\.yaml:[23] {2}not valid YAML: /);
    expect(problemsOf('a: 1\na: 2\n')).toEqual([
      '1 problem in the configuration:',
      '  a.yaml:2  not valid YAML: Map keys must be unique',
    ]);
  });

  it.each([
    ['', 'the file holds no setting; `afterimage init` writes a commented one'],
    ['- a\n', 'the file must hold settings, one `name: value` per line'],
  ])('that holds %j is refused with what it should hold', (text, message) => {
    expect(problemsOf(text)).toEqual(['1 problem in the configuration:', `  a.yaml:1  ${message}`]);
  });

  it('on the Redis backend must say where Redis is', () => {
    const text = minimal.replace('backend: postgres', 'backend: redis');
    expect(problemsOf(text)[1]).toContain('queue.url is missing: write redis://host:6379 or set AFTERIMAGE_REDIS_URL');
    expect(problemsOf(text, { AFTERIMAGE_REDIS_URL: 'redis://r' })).toEqual([]);
  });

  it('cannot put the queue tables among the control tables', () => {
    const text = minimal.replace('backend: postgres', 'backend: postgres\n  prefix: afterimage');
    expect(problemsOf(text)[1]).toBe('  a.yaml:5  queue.prefix is the schema of the control tables: choose another');
    expect(problemsOf(text.replace('backend: postgres', 'url: redis://r'))).toEqual([]);
  });

  it('with a wrong secret never shows it', () => {
    const text = minimal
      .replace('password: secret', 'password: 4711')
      .replace('postgres://localhost/mirror', 'mysql://u:hush@h/d');
    const problems = problemsOf(text).join('\n');
    expect(problems).toContain('password must be text, but is a number: put it in quotes');
    expect(problems).toContain('postgres.url: write postgres://user:password@host:5432/database');
    expect(problems).not.toMatch(/4711|hush/);
  });

  it('takes null for the choice of that name, and a section of comments for an empty one', () => {
    const config = parseConfig(`${minimal}writer:\n  zeroDates: null\nreader:\n  # nothing\n`, 'a.yaml', {});
    expect(config.writer.zeroDates).toBe('null');
    expect(config.reader.lingerMs).toBe(5);
  });
});

describe('the tables of a source', () => {
  it('are its own entries and what its patterns stand for, an own entry first', () => {
    const config = parseConfig(minimal.replace('host:', 'schemas: { shop: store }\n    host:'), 'a.yaml', {});
    expect(resolveAllTables(config)).toEqual([
      {
        source: 'shop',
        database: 'shop',
        table: 'orders',
        entry: 'shop.orders',
        settings: { key: ['id'] },
        mirror: { schema: 'store', table: 'orders' },
      },
      {
        source: 'shop',
        database: 'shop',
        table: 'customers',
        entry: 'shop.*',
        settings: {},
        mirror: { schema: 'store', table: 'customers' },
      },
    ]);
  });

  it('cannot share a mirror', () => {
    expect(problemsOf(minimal.replace('shop.*:', 'shop.carts: { as: shop.orders }'))).toEqual([
      '1 problem in the configuration:',
      '  a.yaml:13  sources.shop.tables."shop.carts" has the same mirror shop.orders as shop.orders of source shop: give one of them another name with `as` or schemas',
    ]);
  });

  it('cannot come from a pattern that stands for nothing', () => {
    expect(problemsOf(minimal.replace('shop.*:', 'crm.*:'))[1]).toBe(
      '  a.yaml:13  sources.shop.tables."crm.*" stands for no table: name its tables in knownTables',
    );
  });
});

describe('partitions', () => {
  const divided = (settings: string) =>
    `postgres: { url: 'postgres://h/d' }\nqueue: { backend: postgres }\nsources:\n  shop:\n    host: h\n    user: u\n    password: p\n    tables:\n      shop.orders: ${settings}\n`;
  const problemOf = (settings: string): string => {
    try {
      parseConfig(divided(settings), 'a.yaml', {});
      return '';
    } catch (error) {
      return String(error);
    }
  };

  it('need a key whose text alone tells its value', () => {
    expect(problemOf('{ key: [id], partitions: 4 }')).toBe('');
    expect(problemOf('{ partitions: 1 }')).toBe('');
    expect(problemOf('{ partitions: 4 }')).toContain('partitions needs a key');
    expect(problemOf('{ key: [id], partitions: 4, columns: { id: { postgres: uuid } } }')).toContain(
      'partitions cannot divide by id',
    );
  });
});

describe('the environment', () => {
  it('goes before the file', () => {
    const env = {
      AFTERIMAGE_POSTGRES_URL: 'postgres://elsewhere/db',
      AFTERIMAGE_REDIS_URL: 'redis://elsewhere',
      AFTERIMAGE_SOURCE_SHOP_PASSWORD: 'better',
    };
    const config = parseConfig(minimal.replace('backend: postgres', 'backend: redis'), 'a.yaml', env);
    expect([config.postgres.url, config.queue.url, config.sources['shop']?.password]).toEqual([
      'postgres://elsewhere/db',
      'redis://elsewhere',
      'better',
    ]);
  });

  it('can hold what the file leaves out', () => {
    const text = minimal
      .replace(/postgres:\n {2}url.*\n/, '')
      .replace('shop:', 'shop-eu:')
      .replace(/ *password.*\n/, '');
    const env = { AFTERIMAGE_POSTGRES_URL: 'postgres://elsewhere/db', AFTERIMAGE_SOURCE_SHOP_EU_PASSWORD: 'better' };
    expect(parseConfig(text, 'a.yaml', env).sources['shop-eu']?.password).toBe('better');
  });

  it('can hold the URL of the MariaDB behind a source', () => {
    const env = { AFTERIMAGE_SOURCE_SHOP_MARIADB_URL: 'mariadb://reads:secret@db' };
    expect(parseConfig(minimal, 'a.yaml', env).sources['shop']?.mariadb?.url).toBe('mariadb://reads:secret@db');
    const withRest = minimal.replace('  shop:\n', '  shop:\n    rest: { url: http://maxscale:8989 }\n');
    const restEnv = { AFTERIMAGE_SOURCE_SHOP_REST_PASSWORD: 'secret' };
    expect(parseConfig(withRest, 'a.yaml', restEnv).sources['shop']?.rest).toMatchObject({
      user: 'admin',
      password: 'secret',
    });
    const withTls = minimal.replace('  shop:\n', '  shop:\n    mariadb: { tls: {} }\n');
    expect(parseConfig(withTls, 'a.yaml', env).sources['shop']?.mariadb?.tls?.rejectUnauthorized).toBe(true);
    expect(() => parseConfig(withTls, 'a.yaml', {})).toThrow(
      'set AFTERIMAGE_SOURCE_SHOP_MARIADB_URL in the environment',
    );
  });

  it('does not put a Redis URL on the PostgreSQL queue', () => {
    expect(parseConfig(minimal, 'a.yaml', { AFTERIMAGE_REDIS_URL: 'redis://elsewhere' }).queue.url).toBeUndefined();
  });

  it('names the file where no option does', () => {
    expect(resolveConfigPath(undefined, {})).toBe('afterimage.yaml');
    expect(resolveConfigPath(undefined, { AFTERIMAGE_CONFIG: 'b.yaml' })).toBe('b.yaml');
    expect(resolveConfigPath('c.yaml', { AFTERIMAGE_CONFIG: 'b.yaml' })).toBe('c.yaml');
  });
});

describe('the file that init writes', () => {
  const uncomment = (text: string) => text.replaceAll(/^( *)#(?=[A-Za-z])/gm, '$1');

  it('is valid as it stands, and with every comment made a setting', () => {
    const template = renderConfigTemplate();
    expect(() => parseConfig(template, 'a.yaml', {})).not.toThrow();
    expect(() => parseConfig(uncomment(template), 'a.yaml', {})).not.toThrow();
    expect(template.split('\n').filter((line) => line.length > 110)).toEqual([]);
  });

  it('shows the true defaults', () => {
    const asWritten = parseConfig(renderConfigTemplate(), 'a.yaml', {});
    const uncommented = parseConfig(uncomment(renderConfigTemplate()), 'a.yaml', {});
    for (const section of ['reader', 'writer'] as const) expect(uncommented[section]).toEqual(asWritten[section]);
    // queue.redis has no default; what stands there is an example.
    expect({ ...uncommented.queue, redis: undefined }).toEqual(asWritten.queue);
    expect(uncommented.sources['shop']?.timeouts).toEqual(asWritten.sources['shop']?.timeouts);
  });
});

it('docs/configuration.md tells every setting', async () => {
  await expect(renderConfigReference()).toMatchFileSnapshot('../../../docs/configuration.md');
});

describe('a Redis', () => {
  const onRedis = (lines: string): string =>
    minimal.replace('queue:\n  backend: postgres\n', `queue:\n${lines.replaceAll(/^/gm, '  ')}\n`);
  const problemsWith = (lines: string, env: Record<string, string> = {}): string[] =>
    problemsOf(onRedis(lines), env)
      .slice(1)
      .map((line) => line.trim().replace(/^\S+ +/, ''));

  it.each([
    ['redis: { cluster: [rediss://a:7000, rediss://b:7000], user: app, tls: { ca: /ca.pem } }'],
    ['redis: { sentinels: [redis://a:26379], masterName: main, sentinelPassword: s, password: p, database: 3 }'],
    ['url: rediss://app@host/2\nredis: { password: p, tls: { cert: /c.pem, key: /k.pem } }'],
  ])('can be told by %s', (lines) => {
    expect(problemsWith(lines)).toEqual([]);
  });

  it.each([
    [
      'url: redis://a\nredis: { cluster: [redis://b] }',
      'queue.url: only one of queue.url, queue.redis.cluster and queue.redis.sentinels can say where Redis is, but there are queue.url and queue.redis.cluster',
    ],
    [
      'redis: { sentinels: [redis://b] }',
      'queue.redis.masterName is missing: write the name that the sentinels monitor, as in `sentinel monitor <name> …`',
    ],
    [
      'url: redis://a\nredis: { database: 2 }',
      'queue.redis.database has a meaning with `sentinels` only: write it as the path of queue.url, redis://host:6379/2',
    ],
    ['url: redis://a\nredis: { masterName: m }', 'queue.redis.masterName has a meaning with `sentinels` only'],
    ['redis: { cluster: [redis://a/1] }', 'queue.redis.cluster names a database: a cluster has only one'],
    [
      'redis: { sentinels: [redis://:pw@a], masterName: m }',
      'queue.redis.sentinels holds a user or password: write sentinelUser and sentinelPassword, and user and password for the master',
    ],
    [
      'url: redis://a\nredis: { tls: { cert: /c.pem } }',
      'queue.redis.tls has only one of cert and key: a client certificate needs both',
    ],
    ['redis: { cluster: [host:7000] }', 'queue.redis.cluster.0: write redis://host:port or rediss://host:port'],
    [
      'backend: postgres\nredis: { password: p }',
      'queue.redis has no meaning with `backend: postgres`: remove one of the two',
    ],
    ['backend: postgres\nurl: redis://a', 'queue.url is a Redis: write postgres://… or remove `backend: postgres`'],
    ['url: postgres://a/b', 'queue.url is a PostgreSQL: write redis://host:6379 or add `backend: postgres`'],
  ])('cannot be told by %s', (lines, problem) => {
    expect(problemsWith(lines)).toEqual([problem]);
  });

  it('has its passwords from the environment, before the file', () => {
    const text = onRedis('redis: { sentinels: [redis://a], masterName: m, password: file }');
    const env = { AFTERIMAGE_REDIS_PASSWORD: 'one', AFTERIMAGE_REDIS_SENTINEL_PASSWORD: 'two' };
    expect(parseConfig(text, 'a.yaml', env).queue.redis).toMatchObject({ password: 'one', sentinelPassword: 'two' });
    expect(parseConfig(minimal, 'a.yaml', env).queue.redis).toBeUndefined();
    expect(problemsWith('redis: { cluster: [redis://a] }', { AFTERIMAGE_REDIS_URL: 'redis://b' })).toEqual([
      expect.stringContaining('only one of queue.url, queue.redis.cluster'),
    ]);
  });

  it('never shows a password in a message', () => {
    const text = onRedis('redis: { cluster: "redis://:hush@a", password: 4711, sentinelPassword: 4712 }');
    expect(problemsOf(text).join('\n')).not.toMatch(/hush|4711|4712/);
  });

  it('is resolved with the text of its certificates', () => {
    const folder = mkdtempSync(join(tmpdir(), 'afterimage-test-'));
    const ca = join(folder, 'ca.pem');
    writeFileSync(ca, 'PEM');
    const config = parseConfig(onRedis(`url: rediss://a\nredis: { user: u, tls: { ca: ${ca} } }`), 'a.yaml', {});
    expect(resolveQueueStore(config)).toEqual({
      backend: 'redis',
      prefix: 'afterimage_queue',
      url: 'rediss://a',
      redis: { user: 'u', tls: { ca: 'PEM', rejectUnauthorized: true } },
    });
    rmSync(folder, { recursive: true });
    expect(() => resolveQueueStore(config)).toThrow(ca);
    expect(resolveQueueStore(parseConfig(minimal, 'a.yaml', {}))).toMatchObject({ url: 'postgres://localhost/mirror' });
  });
});
