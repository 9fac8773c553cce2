import { entryNode, readSettingTree, type SettingNode } from './setting-tree.js';

const introduction = `# Configuration

<!-- Made from packages/service/src/config-schema.ts; a test compares. After a change there: npx vitest run packages/service -u -->

Afterimage reads one YAML file: the one that \`--config\` names, else the one that \`AFTERIMAGE_CONFIG\` names, else
\`./afterimage.yaml\`. \`afterimage init\` writes one with every setting as a comment, \`afterimage config --check\` tells
what a file will do. A file with mistakes is refused with all of them in one message, each with its line.

These come from the environment when they are set there, before the file:

| variable | setting |
|---|---|
| \`AFTERIMAGE_POSTGRES_URL\` | \`postgres.url\` |
| \`AFTERIMAGE_REDIS_URL\` | \`queue.url\`, with the Redis backend |
| \`AFTERIMAGE_REDIS_PASSWORD\` | \`queue.redis.password\` |
| \`AFTERIMAGE_REDIS_SENTINEL_PASSWORD\` | \`queue.redis.sentinelPassword\` |
| \`AFTERIMAGE_SOURCE_<NAME>_PASSWORD\` | \`sources.<name>.password\`; the name in capitals, \`_\` for everything but letters and digits |
| \`AFTERIMAGE_SOURCE_<NAME>_MARIADB_URL\` | \`sources.<name>.mariadb.url\` |
| \`AFTERIMAGE_SOURCE_<NAME>_REST_PASSWORD\` | \`sources.<name>.rest.password\` |

In the tables, \`<name>\` is a name of your own, and a setting without a default may be left out unless it says required.
`;

/** The text of docs/configuration.md: every setting with its type, default and description. */
export function renderConfigReference(): string {
  const sections = Object.entries(readSettingTree().properties ?? {}).map(
    ([name, node]) =>
      `## ${name}\n\n${capitalize(node.description ?? '')}.\n\n${renderTable(collectSettings(node, name))}\n`,
  );
  return [introduction, ...sections].join('\n');
}

interface Setting {
  readonly name: string;
  readonly node: SettingNode;
  readonly required: boolean;
}

function collectSettings(node: SettingNode, prefix: string): Setting[] {
  const entry = entryNode(node);
  if (entry !== undefined) return collectEntry(entry, prefix);
  return Object.entries(node.properties ?? {}).flatMap(([key, child]) => {
    const name = `${prefix}.${key}`;
    const setting = { name, node: child, required: node.required?.includes(key) ?? false };
    return [setting, ...collectSettings(child, name)];
  });
}

function collectEntry(entry: SettingNode, prefix: string): Setting[] {
  const placeholder = prefix.endsWith('.tables')
    ? '<database.table>'
    : prefix.endsWith('.columns')
      ? '<column>'
      : '<name>';
  const group = entry.anyOf?.find((option) => option.properties !== undefined) ?? entry;
  return collectSettings(group, `${prefix}.${placeholder}`);
}

function renderTable(settings: readonly Setting[]): string {
  const rows = settings.map(({ name, node, required }) => {
    const fallback = required ? 'required' : formatDefault(node.default);
    return `| \`${name}\` | ${formatType(node)} | ${fallback} | ${escapeCell(node.description ?? '')} |`;
  });
  return ['| setting | type | default | what it is |', '|---|---|---|---|', ...rows].join('\n');
}

function formatType(node: SettingNode): string {
  if (node.enum !== undefined) return node.enum.map((choice) => `\`${choice}\``).join(', ');
  switch (node.type) {
    case 'integer':
      return 'whole number';
    case 'boolean':
      return '`true`, `false`';
    case 'array':
      return 'list of texts';
    case 'object':
      return 'group';
    default:
      return 'text';
  }
}

function formatDefault(value: unknown): string {
  if (value === undefined || (typeof value === 'object' && value !== null && !Array.isArray(value))) return '';
  return `\`${typeof value === 'string' ? value : JSON.stringify(value)}\``;
}

function escapeCell(text: string): string {
  return text.replaceAll('|', String.raw`\|`).replaceAll('<', '&lt;');
}

function capitalize(text: string): string {
  return `${text.slice(0, 1).toUpperCase()}${text.slice(1)}`;
}
