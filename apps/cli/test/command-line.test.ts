import { readFileSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { findFreePort } from '@afterimage/local-servers';
import { ConfigFolder, configFor, runCli } from './run-cli.js';

let folder: ConfigFolder;

beforeEach(() => {
  folder = new ConfigFolder();
});
afterEach(() => folder.remove());

const here = () => ({ cwd: folder.path });

const introduction = `# Command line

<!-- Made from the help of the commands; a test compares. After a change there: npx vitest run apps/cli -u -->

In a checkout the program is \`npm run --silent afterimage --\` (after \`npm run build\`), for example
\`npm run --silent afterimage -- status\`. What a script may want has \`--json\`; exit codes are below. An error is one line
on standard error that says what to do; \`--debug\` adds the stack.
`;

describe('help', () => {
  const commands = [
    ['init'],
    ['config'],
    ['migrate'],
    ['doctor'],
    ['reader'],
    ['writer'],
    ['status'],
    ['streams'],
    ['schema-versions'],
    ['history'],
    ['as-of'],
    ['rebuild'],
    ['verify'],
    ['repair'],
    ['demo'],
    ['dead-letter', 'list'],
    ['dead-letter', 'show'],
    ['dead-letter', 'retry'],
    ['dead-letter', 'discard'],
  ];

  it('of every command has an example and the exit codes, and stands in docs/command-line.md', async () => {
    const sections: string[] = [];
    for (const words of commands) {
      const name = words.join(' ');
      const { code, stdout } = await runCli([...words, '--help']);
      expect(code).toBe(0);
      expect(stdout).toContain(`Example:\n  $ afterimage ${name}`);
      expect(stdout).toMatch(/Exit codes: 0 done, 1 error, 2 wrong command line or configuration/);
      sections.push(`## afterimage ${name}\n\n\`\`\`text\n${stdout.trimEnd()}\n\`\`\`\n`);
    }
    const { stdout } = await runCli(['--help']);
    const reference = [introduction, `\`\`\`text\n${stdout.trimEnd()}\n\`\`\`\n`, ...sections].join('\n');
    await expect(reference).toMatchFileSnapshot('../../../docs/command-line.md');
  });

  it('of the program lists every command but the internal one', async () => {
    const { code, stdout } = await runCli(['--help']);
    expect(code).toBe(0);
    for (const [word = ''] of commands) expect(stdout).toMatch(new RegExp(`^ {2}${word}\\b`, 'm'));
    expect(stdout).not.toContain('demo-source');
  });
});

describe('a wrong command line', () => {
  it.each([
    [['bogus'], "unknown command 'bogus'"],
    [['status', '--bogus'], "unknown option '--bogus'"],
    [['history'], "missing required argument 'table'"],
    [['history', 'shop.orders', '--from', 'yesterday'], 'Write a moment like 2026-11-22T14:00:00Z.'],
    [['history', 'shop.orders', '--where', 'id'], 'Write column=value.'],
    [['as-of', 'shop.orders'], 'say which moment: either --at <moment> or --gtid <gtid>'],
    [['as-of', 'shop.orders', '--gtid', '0-1'], 'write the GTID as domain-server-sequence, such as 0-1-1234'],
    [['writer', '--count', '0'], 'Write a whole number from 1.'],
  ])('%j ends with 2 and says why', async (args, why) => {
    const { code, stderr, stdout } = await runCli(args, here());
    expect(stderr).toContain(why);
    expect(stdout).toBe('');
    expect(code).toBe(2);
  });
});

describe('the configuration file', () => {
  it('is written by init, for its owner only, and never over another', async () => {
    const first = await runCli(['init'], here());
    expect(first.code).toBe(0);
    const file = join(folder.path, 'afterimage.yaml');
    expect(statSync(file).mode & 0o777).toBe(0o600);
    folder.write('# mine\n');
    const second = await runCli(['init'], here());
    expect(second).toMatchObject({
      code: 2,
      stderr: 'afterimage: afterimage.yaml is there already: name another path, or overwrite it with --force\n',
    });
    expect(readFileSync(file, 'utf8')).toBe('# mine\n');
    expect((await runCli(['init', '--force'], here())).code).toBe(0);
    expect((await runCli(['config', '--check'], here())).code).toBe(0);
  });

  it.each([['status'], ['migrate'], ['reader'], ['writer'], ['config']])(
    'that is missing makes %s end with 2 and name init',
    async (command) => {
      const { code, stderr } = await runCli([command], here());
      expect(code).toBe(2);
      expect(stderr).toBe(
        `afterimage: no configuration file ${join(folder.path, 'afterimage.yaml')}: write one with \`afterimage init\`, or name yours with --config or AFTERIMAGE_CONFIG\n`,
      );
    },
  );

  it('with several mistakes is refused with all of them', async () => {
    folder.write('postgres:\n  url: nowhere\nqueue:\n  backend: kafka\nsources: {}\n');
    const { code, stderr } = await runCli(['status'], here());
    expect(code).toBe(2);
    expect(stderr.trimEnd().split('\n')).toEqual([
      'afterimage: 3 problems in the configuration:',
      '  afterimage.yaml:2  postgres.url: write postgres://user:password@host:5432/database; write special characters of the password as %20 and the like',
      '  afterimage.yaml:4  queue.backend must be one of redis, postgres, but is "kafka"',
      '  afterimage.yaml:5  sources: name at least one source',
    ]);
  });

  it('is not blamed for what the environment says', async () => {
    folder.write(configFor('postgres://h/d', { 'shop.orders': null }));
    const env = { AFTERIMAGE_POSTGRES_URL: 'db1:5432' };
    expect((await runCli(['config'], { ...here(), env })).stderr.trimEnd().split('\n')).toEqual([
      'afterimage: 1 problem in the configuration:',
      '  afterimage.yaml  postgres.url (from AFTERIMAGE_POSTGRES_URL in the environment): write postgres://user:password@host:5432/database; write special characters of the password as %20 and the like',
    ]);
  });

  it('with column types that no writer could read fails its check', async () => {
    const columns = { total: { type: 'decimal(9' }, mood: { type: "enum('a','b')", postgres: 'text; DROP' } };
    folder.write(configFor('postgres://h/d', { 'shop.orders': { key: ['id'], columns } }));
    const { code, stderr } = await runCli(['config', '--check'], here());
    expect(code).toBe(2);
    expect(stderr).toContain(
      'sources.main.tables."shop.orders".columns.total: "decimal(9" is not a MariaDB column type',
    );
    expect(stderr).toContain('columns.mood: "text; DROP" is not a PostgreSQL type name');
  });

  it('without tables is valid, with a warning', async () => {
    folder.write(configFor('postgres://h/d', {}));
    const { code, stdout } = await runCli(['config', '--check'], here());
    expect(code).toBe(0);
    expect(stdout).toContain('warning: source main: no tables, nothing will be read');
  });

  it('is found by --config, else by AFTERIMAGE_CONFIG', async () => {
    const file = folder.write(configFor('postgres://h/d', { 'shop.orders': null }));
    expect((await runCli(['config', '--config', file])).code).toBe(0);
    expect((await runCli(['config'], { env: { AFTERIMAGE_CONFIG: file } })).code).toBe(0);
  });

  it('is shown with its defaults and without its secrets', async () => {
    folder.write(configFor('postgres://u:hush@h/d', { 'shop.orders': { key: ['id'] } }));
    const { code, stdout } = await runCli(['config', '--json'], here());
    expect(code).toBe(0);
    expect(stdout).not.toContain('hush');
    expect(JSON.parse(stdout)).toMatchObject({
      postgres: { url: 'postgres://u:***@h/d' },
      reader: { maxBatchEvents: 2000 },
    });
  });

  it('is explained by --check: tables, names, keys and warnings', async () => {
    const tables = { 'shop.orders': { key: ['id'], as: 'mirror.orders' }, 'shop.*': null };
    const config = configFor('postgres://u:hush@h/d', tables) as { sources: { main: object } };
    folder.write({
      ...config,
      sources: { main: { ...config.sources.main, knownTables: ['shop.orders', 'shop.carts'] } },
    });
    const { code, stdout } = await runCli(['config', '--check', '--json'], here());
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toEqual({
      tables: [
        {
          source: 'main',
          table: 'shop.orders',
          entry: 'shop.orders',
          mirror: 'mirror.orders',
          history: 'mirror_history.orders',
          key: ['id'],
          keyFrom: 'configuration',
        },
        {
          source: 'main',
          table: 'shop.carts',
          entry: 'shop.*',
          mirror: 'shop.carts',
          history: 'shop_history.carts',
          key: null,
          keyFrom: null,
        },
      ],
      warnings: [
        expect.stringContaining('shop.carts of main has no key'),
        expect.stringContaining('the queue shares the PostgreSQL'),
      ],
    });
    const text = await runCli(['config', '--check'], here());
    expect(text.stdout).toContain('The configuration is valid: 2 tables, 2 warnings.');
    expect(text.stdout).not.toContain('hush');
  });
});

describe('a PostgreSQL that is not there', () => {
  it('ends with 1 and one line that says what to do', async () => {
    const port = await findFreePort();
    folder.write(configFor(`postgres://u:hush@127.0.0.1:${port}/d`, { 'shop.orders': null }));
    for (const args of [['status'], ['migrate'], ['streams'], ['history', 'shop.orders'], ['dead-letter', 'list']]) {
      const { code, stderr } = await runCli(args, here());
      expect(stderr).toBe(
        `afterimage: no PostgreSQL answers at u@127.0.0.1:${port}/d: start it, or correct postgres.url (AFTERIMAGE_POSTGRES_URL)\n`,
      );
      expect(code).toBe(1);
    }
  });

  it('shows a stack only when asked to', async () => {
    const port = await findFreePort();
    folder.write(configFor(`postgres://u:hush@127.0.0.1:${port}/d`, { 'shop.orders': null }));
    const { stderr } = await runCli(['status', '--debug'], here());
    expect(stderr).toMatch(/\n\s+at /);
    expect(stderr).not.toContain('hush');
  });
});

it('a port on which something else answers is told from PostgreSQL', async () => {
  const server = createServer((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'));
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as { port: number };
  folder.write(configFor(`postgres://u@127.0.0.1:${port}/d`, { 'shop.orders': null }));
  const { code, stderr } = await runCli(['status'], here());
  server.close();
  expect(code).toBe(1);
  expect(stderr.trimEnd().split('\n')).toHaveLength(1);
  expect(stderr).toContain(`127.0.0.1:${port}`);
});
