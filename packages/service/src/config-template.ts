import { stringify } from 'yaml';
import { descendSettings, readSettingTree, type SettingNode } from './setting-tree.js';

const lineWidth = 110;

const header = `Afterimage keeps PostgreSQL tables in sync with MariaDB tables and remembers every change.

Fill in postgres, queue and one source; then run \`afterimage config --check\` and \`afterimage migrate\`.
All other settings stand here as comments with their defaults.

Secrets are better kept in the environment, which goes before this file:
AFTERIMAGE_POSTGRES_URL, AFTERIMAGE_REDIS_URL, AFTERIMAGE_REDIS_PASSWORD, AFTERIMAGE_SOURCE_SHOP_PASSWORD.`;

type Example = { readonly [name: string]: Example | string | number | readonly string[] | null };

/** What the file says without being touched; everything else is written as a comment. */
const written: Example = {
  postgres: { url: 'postgres://afterimage:secret@localhost:5432/afterimage' },
  queue: { backend: 'redis', url: 'redis://localhost:6379' },
  sources: {
    shop: {
      host: 'maxscale.example',
      user: 'cdc',
      password: 'secret',
      tables: { 'shop.customers': { key: ['id'] }, 'shop.orders': { key: ['id'] } },
    },
  },
  reader: {},
  writer: {},
  watcher: {},
  service: {},
};

/** What a comment shows for a setting that has no default. */
const shown: Readonly<Record<string, unknown>> = {
  as: 'shop.customers',
  redis: { password: 'secret' },
  columns: { price: { type: 'decimal(10,2)' } },
  partitions: 4,
  labels: 'check',
  indexes: 'none',
  rename: 'infer',
  onRefused: 'dead-letter',
  mariadb: { url: 'mariadb://afterimage:secret@mariadb.example:3306' },
  rest: { url: 'http://maxscale.example:8989', user: 'admin' },
  tls: {},
  readerPort: 9401,
  writerPort: 9402,
  watcherPort: 9403,
};

/**
 * The commented `afterimage.yaml` that `afterimage init` writes, made from the schema. It is valid as it stands,
 * and stays so when any `#setting: value` line loses its `#`.
 */
export function renderConfigTemplate(): string {
  const lines = wrap(header, 0);
  for (const [name, value] of Object.entries(written)) {
    lines.push('', ...renderSetting(name, descendSettings(readSettingTree(), name), value, 0));
  }
  return `${lines.join('\n')}\n`;
}

function renderSetting(name: string, node: SettingNode, value: Example[string] | undefined, depth: number): string[] {
  const indent = '  '.repeat(depth);
  const comment = describe(node);
  const lines = comment === '' ? [] : wrap(comment, depth);
  if (value === undefined) return [...lines, `${indent}#${name}: ${inline(exampleOf(name, node))}`];
  if (!isGroup(value)) return [...lines, `${indent}${quoteKey(name)}: ${inline(value)}`];
  return [...lines, `${indent}${quoteKey(name)}:`, ...renderGroup(node, value, depth + 1)];
}

/** What a comment shows: the default, a group's as a whole. */
function exampleOf(name: string, node: SettingNode): unknown {
  if (node.default === undefined || node.properties === undefined) return node.default ?? shown[name] ?? '';
  return Object.fromEntries(Object.entries(node.properties).map(([key, child]) => [key, exampleOf(key, child)]));
}

function renderGroup(node: SettingNode, values: Example, depth: number): string[] {
  const names = Object.keys(node.properties ?? values);
  return names.flatMap((name, index) => {
    // The second of two like entries needs no explanation again.
    const repeated = node.properties === undefined && index > 0;
    const child = descendSettings(node, name);
    return renderSetting(name, child, values[name], depth).filter(
      (line) => !repeated || !line.trimStart().startsWith('#'),
    );
  });
}

function isGroup(value: unknown): value is Example {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function describe(node: SettingNode): string {
  const choices = node.enum === undefined ? '' : ` (${node.enum.join(' | ')})`;
  return `${node.description ?? ''}${choices}`.trim();
}

function wrap(text: string, depth: number): string[] {
  const prefix = `${'  '.repeat(depth)}#`;
  return text.split('\n').flatMap((paragraph) => {
    const lines: string[] = [];
    let line = prefix;
    for (const word of paragraph.split(' ')) {
      if (line.length + 1 + word.length > lineWidth && line !== prefix) {
        lines.push(line);
        line = prefix;
      }
      line += word === '' ? '' : ` ${word}`;
    }
    return [...lines, line];
  });
}

function quoteKey(name: string): string {
  return stringify(name).trimEnd();
}

function inline(value: unknown): string {
  return stringify(value, { collectionStyle: 'flow', flowCollectionPadding: false, lineWidth: 0 }).trimEnd();
}
