import type { ConfiguredTable, SourceConfig } from '@afterimage/service';
import type { CdcFacts } from '../facts/cdc.js';
import type { FatalColumn, MariadbFacts } from '../facts/mariadb.js';
import type { AvroService } from '../facts/rest.js';
import { type Check, failure, notice, ok, type Outcome, unknown, warning } from '../finding.js';
import { longestRow } from '../row-size.js';
import { countOf, formatBytes, listSome } from '../texts.js';

/** All tables of a source together. */
export interface SourceTablesSubject {
  readonly config: SourceConfig;
  readonly tables: readonly ConfiguredTable[];
  readonly server: MariadbFacts | undefined;
  readonly cdc: CdcFacts | undefined;
  /** Undefined where MaxScale's REST API was not asked or did not answer. */
  readonly services: readonly AvroService[] | undefined;
}

const defaultBlockSize = 16 * 1024;

export const sourceTablesChecks: readonly Check<SourceTablesSubject>[] = [
  {
    name: 'tables',
    look: ({ tables }) =>
      tables.length === 0
        ? warning('no table is configured: nothing will be read', 'name tables under sources.<name>.tables')
        : ok(`${countOf(tables.length, 'table')} configured`),
  },
  { name: 'fatal-columns', look: checkFatalColumns },
  { name: 'row-size', look: checkRowSize },
  {
    name: 'tables-left-out',
    look: ({ tables, server }) => {
      const configured = new Set(tables.map(({ database, table }) => `${database}.${table}`));
      const left = (server?.tables ?? [])
        .map(({ database, table }) => `${database}.${table}`)
        .filter((name) => !configured.has(name));
      if (left.length === 0) return null;
      return notice(
        `${countOf(left.length, 'table')} of the same databases ${left.length === 1 ? 'is' : 'are'} not replicated: ${listSome(left)}`,
        'add them under tables (knownTables for a pattern), or leave it so',
      );
    },
  },
  {
    name: 'streams-asked',
    look: ({ tables, cdc }) => {
      const left = cdc === undefined ? 0 : tables.length - cdc.streams.size;
      if (left === 0) return null;
      return unknown(`${countOf(left, 'table')} could not be asked for in the time`, 'give more --timeout, or --table');
    },
  },
];

/** MaxScale 24.02 aborts at the first row of such a table, and again after each restart. */
function checkFatalColumns({ server, services }: SourceTablesSubject): Outcome[] {
  if (server === undefined) return [];
  if (server.fatalColumns === null) {
    return [
      unknown(
        'whether a table has columns that make MaxScale abort (geometry, compressed varchar): MariaDB took too long to tell',
      ),
    ];
  }
  const columns = server.fatalColumns.filter((column) => !isLeftOut(column, services ?? []));
  if (columns.length === 0) return [ok('no table has columns that make MaxScale abort')];
  const names = columns.map(({ database, table, column, definition }) => {
    return `${database}.${table}.${column} ${definition.replace(/\s*\/\*.*$/s, ' COMPRESSED')}`;
  });
  const tables = [...new Set(columns.map(({ database, table }) => `${database}\\.${table}`))];
  return [
    failure(
      `MaxScale aborts, and all streams with it, at the first row of a table with ${listSome(names)}`,
      `exclude=/^(${tables.slice(0, 20).join('|')})$/ of the avrorouter service in maxscale.cnf, before such a row is written`,
    ),
  ];
}

/** By the `match` and `exclude` of every avrorouter service; a pattern that cannot be read leaves nothing out. */
function isLeftOut({ database, table }: FatalColumn, services: readonly AvroService[]): boolean {
  const name = `${database}.${table}`;
  return (
    services.length > 0 &&
    services.every(({ parameters: { match, exclude } }) => {
      const isMatched = match === undefined || fits(match, name) !== false;
      return !isMatched || (exclude !== undefined && fits(exclude, name) === true);
    })
  );
}

function fits(pattern: string, name: string): boolean | undefined {
  try {
    return new RegExp(pattern.replace(/^\/(.*)\/$/s, '$1')).test(name);
  } catch {
    return undefined;
  }
}

function checkRowSize({ tables, server, services }: SourceTablesSubject): Outcome | null {
  if (server === undefined) return null;
  const configured = new Set(tables.map(({ database, table }) => `${database}.${table}`));
  const sizes = (services ?? []).map(({ parameters }) => parseSize(parameters['block_size']) || defaultBlockSize);
  const blockSize = sizes.length === 0 ? undefined : Math.min(...sizes);
  const packet = Number(server.variables['max_allowed_packet'] ?? 0);
  const long = server.tables
    .filter(({ database, table }) => configured.has(`${database}.${table}`))
    .map((table) => ({ name: `${table.database}.${table.table}`, bytes: longestRow(table, packet) }))
    .filter(({ bytes }) => bytes > (blockSize ?? defaultBlockSize))
    .toSorted((one, other) => other.bytes - one.bytes);
  if (long.length === 0)
    return ok(`no row can be longer than block_size (${formatBytes(blockSize ?? defaultBlockSize)})`);
  const names = listSome(long.map(({ name, bytes }) => `${name} ${formatBytes(bytes)}`));
  const said =
    blockSize === undefined
      ? 'if block_size of MaxScale is its default of 16 KiB'
      : `block_size of MaxScale is ${formatBytes(blockSize)}`;
  return warning(
    `rows may be longer than a block (${names}); ${said}, the first such row ends its table's stream for good`,
    `block_size=${Math.max(32, Math.ceil((long[0]?.bytes ?? 0) / 2 ** 20))}Mi of the avrorouter service, before the table's first row: a file keeps the size it began with`,
  );
}

/** `32Mi`, `1M`, or bytes. */
export function parseSize(text = ''): number {
  const [, digits = '0', unit = ''] = /^(\d+)\s*([KMGT]i?)?/i.exec(text) ?? [];
  const power = unit === '' ? 0 : 'KMGT'.indexOf(unit.charAt(0).toUpperCase()) + 1;
  return Number(digits) * (unit.endsWith('i') ? 1024 : 1000) ** power;
}
