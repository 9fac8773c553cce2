import { inserted } from '@afterimage/cdc-protocol/testing';
import { findFreePort } from '@afterimage/local-servers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
// @boundaries-ignore the harness that all tests share
import { mariadbMissing } from '../../../test/harness/mariadb.js';
import { shorten, told, World } from './world.js';

describe.skipIf(await mariadbMissing('private'))('a source', () => {
  let world: World;
  beforeAll(async () => {
    world = await World.start();
  });
  afterAll(() => world.stop());

  /** Each table is in the configuration; the check's findings are told. */
  async function toldOf(check: string, names: readonly string[], source = {}): Promise<string[]> {
    const tables = Object.fromEntries(names.map((name) => [`shop.${name}`, null]));
    return told(await world.examine({ source: { tables, ...source } }), check);
  }

  it('that is set up as documented has no error and no warning, and its users read only', async () => {
    const orders = world.maxscale.table('shop', 'orders');
    orders.create([{ name: 'id', realType: 'int' }]);
    orders.append(inserted({ id: 1 }));
    const [row] = await world.source.query<{ position: string }[]>('SELECT @@gtid_binlog_pos AS position');
    world.rest.gtid = row?.position ?? null;
    const { findings } = await world.examine();
    const trouble = findings.filter(
      ({ area, severity }) => ['MariaDB', 'tables', 'MaxScale'].includes(area) && !['ok', 'notice'].includes(severity),
    );
    expect(trouble.map(shorten)).toEqual([]);
    expect(findings.find(({ check }) => check === 'conversion')?.text).toContain('has converted everything');
    expect(findings.find(({ check }) => check === 'stream')?.text).toBe('MaxScale has its stream');
  });

  it('without a MariaDB URL says what cannot be known, and that is no fault', async () => {
    const report = await world.examine({ source: { mariadb: undefined } });
    expect(told(report, 'mariadb-known')).toEqual([
      'notice source shop: not configured: its settings, privileges, keys and column types are not known, and not checked',
    ]);
    expect(told(report, 'key')).toEqual([
      'notice shop.orders: no key is known: rows are matched whole, which is slower',
    ]);
  });

  it.each([
    ['binlog-format', 'binlog_format', 'MIXED', 'ROW', 'error source shop: binlog_format is MIXED'],
    ['binlog-row-image', 'binlog_row_image', 'MINIMAL', 'FULL', 'error source shop: binlog_row_image is MINIMAL'],
    ['gtid-strict-mode', 'gtid_strict_mode', 'OFF', 'ON', 'warning source shop: gtid_strict_mode is off'],
    ['binlog-retention', 'expire_logs_days', '1', '14', 'warning source shop: binary logs are kept for 24 h'],
    ['binlog-retention', 'expire_logs_days', '0', '14', 'notice source shop: binary logs are kept for ever'],
    ['max-allowed-packet', 'max_allowed_packet', '67108864', '16777216', 'notice source shop: max_allowed_packet'],
    ['server-time-zone', 'time_zone', `'+05:30'`, `'+00:00'`, `notice source shop: the server's time zone is +05:30`],
  ])('tells of %s: %s = %s', async (...[check, variable, wrong, right, text]) => {
    await world.source.query(`SET GLOBAL ${variable} = ${wrong}`);
    try {
      const found = told(await world.examine(), check);
      expect(found).toEqual([expect.stringContaining(text)]);
    } finally {
      await world.source.query(`SET GLOBAL ${variable} = ${right}`);
    }
  });

  it('of several replication domains is told to have no order between them', async () => {
    await world.source.query(
      `SET SESSION gtid_domain_id = 7; CREATE DATABASE elsewhere; SET SESSION gtid_domain_id = 0`,
    );
    expect(told(await world.examine(), 'gtid-domains')).toEqual([
      expect.stringMatching(/^notice source shop: transactions of 2 replication domains \(.*7-1-/),
    ]);
  });

  it('tells of a user that may do more than read, and gives no password away', async () => {
    const report = await world.examine({ source: { mariadb: { url: world.mariadb.url } } });
    expect(told(report, 'excess-privileges')).toEqual([
      'notice source shop: user afterimage@% may do more than is needed (ALL PRIVILEGES, GRANT OPTION): reading is enough',
    ]);
    expect(told(report, 'replica')).toEqual([expect.stringContaining('nobody reads the binary log now')]);
    expect(JSON.stringify(report)).not.toContain(new URL(world.mariadb.url).password);
    expect(JSON.stringify(report)).not.toContain('hush');
  });

  it('tells of a replication user that lacks a privilege, or does not exist', async () => {
    const all = { mariadb: { url: world.mariadb.url } };
    await world.source.query(`REVOKE REPLICATION SLAVE ON *.* FROM maxscale@'%'`);
    expect(told(await world.examine({ source: all }), 'replication-user')).toEqual([
      "warning source shop: MaxScale's user maxscale lacks REPLICATION SLAVE",
    ]);
    await world.source.query(`GRANT REPLICATION SLAVE ON *.* TO maxscale@'%'`);
    world.rest.parameters = { ...world.rest.parameters, user: 'nobody' };
    expect(told(await world.examine({ source: all }), 'replication-user')).toEqual([
      expect.stringContaining('MariaDB has no user nobody'),
    ]);
    world.rest.parameters = { ...world.rest.parameters, user: 'maxscale' };
  });

  it('tells of a user without BINLOG MONITOR, and of one that may not read a table', async () => {
    await world.source.query(`REVOKE BINLOG MONITOR ON *.* FROM watcher@'%'; REVOKE SELECT ON shop.* FROM watcher@'%';
      CREATE TABLE shop.allowed (id int PRIMARY KEY); GRANT SELECT ON shop.allowed TO watcher@'%'`);
    const report = await world.examine({ source: { tables: { 'shop.orders': null, 'shop.allowed': null } } });
    expect(told(report, 'log-privilege')).toEqual([
      expect.stringContaining('warning source shop: user watcher@% lacks BINLOG MONITOR'),
    ]);
    expect(told(report, 'table-present')).toEqual([
      'error shop.orders: our user may not read it in MariaDB, or there is no such table',
    ]);
    await world.source.query(`GRANT BINLOG MONITOR ON *.* TO watcher@'%'; GRANT SELECT ON shop.* TO watcher@'%'`);
  });

  it('tells of tables that are not there, are views, are left out, or have a name that never comes through', async () => {
    await world.source.query(`CREATE VIEW shop.open_orders AS SELECT * FROM shop.orders;
      CREATE TABLE shop.\`line-items\` (id int PRIMARY KEY); CREATE TABLE shop.sequence (id int PRIMARY KEY)`);
    const names = ['open_orders', 'nowhere', 'line-items', 'sequence'];
    expect(await toldOf('table-present', names)).toEqual([
      'error shop.open_orders: it is a view: only tables have changes',
      'error shop.nowhere: MariaDB has no such table (names are case-sensitive for MaxScale)',
    ]);
    expect(await toldOf('table-name', names)).toEqual([
      expect.stringContaining('error shop.line-items: MaxScale never has a stream'),
      expect.stringContaining('error shop.sequence: MaxScale never has a stream'),
    ]);
    expect(await toldOf('tables-left-out', names)).toEqual([
      expect.stringMatching(/^notice source shop: \d tables of the same databases are not replicated: .*shop\.orders/),
    ]);
  });

  it('tells of keys: none, not unique, of values that the stream loses or bends', async () => {
    await world.source.query(`CREATE TABLE shop.keyless (a int, b int UNIQUE);
      CREATE TABLE shop.flags (f bit(8) PRIMARY KEY, v int);
      CREATE TABLE shop.devices (id uuid PRIMARY KEY, v int);
      CREATE TABLE shop.named (name varchar(9) CHARACTER SET latin1 PRIMARY KEY)`);
    expect(await toldOf('key', ['keyless', 'orders'])).toEqual([
      expect.stringContaining('warning shop.keyless: it has no primary key and no unique key of NOT NULL columns'),
    ]);
    const wrong = { tables: { 'shop.orders': { key: ['status'] } } };
    expect(told(await world.examine({ source: wrong }), 'key')).toEqual([
      'error shop.orders: the configured key (status) is not unique in MariaDB: rows that share it become one',
    ]);
    expect(await toldOf('key', ['flags', 'devices', 'named', 'orders'])).toEqual(
      ['flags (f)', 'devices (id)', 'named (name)'].map((text): unknown =>
        expect.stringContaining(
          `warning shop.${text.replace(/ .*/, '')}: MariaDB's key ${text.replace(/.* /, '')} is not used, because the stream does not carry every value of it exactly`,
        ),
      ),
    );
    const configured = { 'shop.flags': { key: ['f'] }, 'shop.devices': { key: ['id'] } };
    expect(told(await world.examine({ source: { tables: configured } }), 'key-values')).toEqual([
      expect.stringMatching(/^error shop\.flags: key column f: .*all rows become one/),
      expect.stringMatching(/^warning shop\.devices: key column id: /),
    ]);
  });

  it('tells of columns whose values the stream loses or bends, by reason, in the words of the type mapping', async () => {
    await world.source.query(`CREATE TABLE shop.risky (id int unsigned PRIMARY KEY, flags bit(4), doc json, device uuid,
        address inet6, small decimal(9,2), big decimal(20,10), at time(3), packed text COMPRESSED, digest binary(16),
        name varchar(20), plain enum('a','b'))`);
    const found = (await world.examine({ source: { tables: { 'shop.risky': null } } })).findings
      .filter(({ check }) => check === 'column-values')
      .map(({ severity, detail, text }) => `${severity} ${detail}: ${text}`);
    expect(found).toEqual([
      'warning packed: compressed values arrive as NULL',
      'notice flags: MaxScale sends an empty string for every BIT: looked up in MariaDB by key instead, as the value is then',
      expect.stringMatching(/^notice doc: JSON values arrive empty, .*: looked up/),
      expect.stringMatching(/^notice device, address: the bytes are cut at the first zero byte.*: looked up/),
      expect.stringMatching(/^notice big: a decimal with more than 18 digits before or 9 after.*: looked up/),
      expect.stringMatching(/^notice at: times beyond 185 hours/),
      expect.stringMatching(/^notice digest: /),
    ]);
    const columns = { flags: { lookup: false } };
    const off = await world.examine({ source: { tables: { 'shop.risky': { columns } } } });
    expect(told(off, 'column-values')).toContain('warning shop.risky: MaxScale sends an empty string for every BIT');
  });

  it('tells of tables that make MaxScale abort, wherever they are, unless the service leaves them out', async () => {
    await world.source.query(`CREATE DATABASE maps; GRANT SELECT ON maps.* TO watcher@'%';
      CREATE TABLE maps.places (id int PRIMARY KEY, at point); CREATE TABLE maps.packed (v varchar(99) COMPRESSED)`);
    const [found = ''] = await toldOf('fatal-columns', ['orders']);
    expect(found).toMatch(/^error source shop: MaxScale aborts/);
    expect(found).toContain('maps.places.at point');
    expect(found).toContain('maps.packed.v varchar(99) COMPRESSED');
    world.rest.parameters = { ...world.rest.parameters, exclude: '/^maps\\./' };
    expect(await toldOf('fatal-columns', ['orders'])).toEqual([]);
    world.rest.parameters = { ...world.rest.parameters, exclude: null };
  });

  it('tells of rows that may be longer than block_size, and of columns whose names do not come through', async () => {
    await world.source.query(`CREATE TABLE shop.articles (id int PRIMARY KEY, body mediumtext);
      CREATE TABLE shop.digits (id int PRIMARY KEY, \`2nd\` int);
      CREATE TABLE shop.meeting (id int PRIMARY KEY, \`a b\` int, \`a-b\` int);
      CREATE TABLE shop.signs (id int PRIMARY KEY COMMENT 'order #', v int)`);
    expect(await toldOf('row-size', ['articles', 'orders'])).toEqual([]);
    world.rest.parameters = { ...world.rest.parameters, block_size: 16384 };
    expect(await toldOf('row-size', ['articles', 'orders'])).toEqual([
      expect.stringContaining(
        'rows may be longer than a block (shop.articles 16 MiB); block_size of MaxScale is 16 KiB',
      ),
    ]);
    world.rest.parameters = { ...world.rest.parameters, block_size: '32Mi' };
    const names = ['digits', 'meeting', 'signs'];
    expect(await toldOf('column-digit', names)).toEqual([
      expect.stringContaining('error shop.digits: the name of 2nd'),
    ]);
    expect(await toldOf('column-collision', names)).toEqual([
      expect.stringContaining('error shop.meeting: a b and a-b have the same name in the stream (a_b)'),
    ]);
    expect(await toldOf('comment-sign', names)).toEqual([expect.stringContaining('warning shop.signs: a #')]);
  });

  it('tells of system versioning, cascades, engines without transactions and partitions', async () => {
    await world.source.query(`CREATE TABLE shop.kept (id int PRIMARY KEY) WITH SYSTEM VERSIONING;
      CREATE TABLE shop.items (id int PRIMARY KEY, o int, FOREIGN KEY (o) REFERENCES shop.orders (id) ON DELETE CASCADE);
      CREATE TABLE shop.fast (id int PRIMARY KEY) ENGINE=MyISAM;
      CREATE TABLE shop.parts (id int PRIMARY KEY) PARTITION BY HASH (id) PARTITIONS 2`);
    const names = ['kept', 'items', 'fast', 'parts', 'orders'];
    expect(await toldOf('system-versioned', names)).toEqual([expect.stringContaining('error shop.kept:')]);
    expect(await toldOf('cascades', names)).toEqual([
      expect.stringContaining('warning shop.items: rows that foreign keys change (orders ON DELETE CASCADE)'),
    ]);
    expect(await toldOf('engine', names)).toEqual([expect.stringContaining('notice shop.fast: its engine MyISAM')]);
    expect(await toldOf('partitioned', names)).toEqual([expect.stringContaining('notice shop.parts:')]);
  });

  it('tells of a listener that refuses the password or is away, and asks the other servers all the same', async () => {
    const refused = await world.examine({ source: { password: 'hush-wrong' } });
    expect(told(refused, 'cdc-listener')[0]).toMatch(/^error source shop: the CDC listener at .* cannot be used/);
    expect(refused.findings.find(({ check }) => check === 'cdc-listener')?.fix).toContain('cdcusers');
    expect(JSON.stringify(refused)).not.toContain('hush');
    const port = await findFreePort();
    const url = `mariadb://watcher:hush@127.0.0.1:${port}`;
    const away = await world.examine({ source: { port, mariadb: { url }, rest: { url: `http://127.0.0.1:${port}` } } });
    expect(told(away, 'cdc-listener')).toEqual([
      expect.stringContaining('refused the connection'),
      'unknown source shop: not checked because of that: which tables have a stream',
    ]);
    expect(told(away, 'mariadb-reachable')[0]).toContain('ECONNREFUSED');
    expect(told(away, 'rest-api')[0]).toContain('ECONNREFUSED');
    expect(away.findings.some(({ check, severity }) => check === 'postgres-version' && severity === 'ok')).toBe(true);
    expect(JSON.stringify(away)).not.toContain('hush');
  });

  it('whose MariaDB does not answer costs no more than its time', async () => {
    const { createServer } = await import('node:net');
    const silent = createServer();
    await new Promise<void>((resolve) => {
      silent.listen(0, '127.0.0.1', resolve);
    });
    const { port } = silent.address() as { port: number };
    const url = `mariadb://watcher:hush@127.0.0.1:${port}`;
    const began = Date.now();
    const report = await world.examine(
      { source: { port, mariadb: { url }, rest: { url: `http://127.0.0.1:${port}` } } },
      { timeoutMs: 1000 },
    );
    expect(Date.now() - began).toBeLessThan(4000);
    expect(told(report, 'mariadb-reachable')[0]).toMatch(/no answer|timeout/i);
    silent.close();
  });

  it.each([
    ['maxscale-version', { version: '24.02.1' }, 'error source shop: MaxScale 24.02.1 silently skips rows'],
    [
      'maxscale-version',
      { version: '24.08.2' },
      'notice source shop: MaxScale 24.08.2: its CDC listener is deprecated',
    ],
    ['maxscale-version', { version: '25.10.0' }, 'error source shop: MaxScale 25.10.0 has no CDC listener'],
    ['avro-service', { serviceState: 'Stopped' }, 'error source shop: service avro-service is Stopped'],
    ['cdc-listener-service', { listenerState: 'Stopped' }, 'error source shop: listener avro-listener is Stopped'],
    ['cdc-listener-service', { port: 4999 }, 'warning source shop: no CDC listener of this MaxScale has port'],
    ['block-size', { parameters: { block_size: 16384 } }, 'warning source shop: block_size of avro-service is 16 KiB'],
    [
      'file-age',
      { parameters: { max_data_age: '86400000ms' } },
      'warning source shop: avro-service removes files after',
    ],
    ['group-transactions', { parameters: { group_trx: 50 } }, 'notice source shop: avro-service keeps changes back'],
    ['cooperative', { parameters: { cooperative_replication: true } }, 'notice source shop: avro-service takes turns'],
    [
      'maxscale-time-zone',
      { zoneOffsetSeconds: 7200 },
      `error source shop: MaxScale's clock is at UTC+2, but timeZone is UTC`,
    ],
    [
      'maxscale-time-zone',
      { zoneOffsetSeconds: undefined },
      'notice source shop: MaxScale does not tell its time zone',
    ],
    ['conversion', { gtid: '0-1-1' }, ''],
    ['rest-api', { password: 'changed' }, 'warning source shop: MaxScale’s REST API at'],
  ] as const)('tells of MaxScale: %s with %o', async (check, changes, text) => {
    const before = Object.fromEntries(Object.entries(world.rest));
    const config = world.settings();
    Object.assign(world.rest, changes);
    const report = await world.examine({ source: config });
    Object.assign(world.rest, before);
    if (check === 'conversion') {
      const found = report.findings.find((finding) => finding.check === 'conversion');
      expect(found?.text).toMatch(/is \d+ transactions behind MariaDB \(0-1-1 of /);
    } else expect(told(report, check)[0]).toContain(text.replace('’', "'"));
  });
});
