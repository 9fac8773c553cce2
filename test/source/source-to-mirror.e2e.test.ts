import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startBinlogFeed } from '@afterimage/binlog-feed';
import { type FakeMaxScale, startFakeMaxScale } from '@afterimage/cdc-protocol/testing';
import { startMariadb } from '@afterimage/local-servers';
import { parseMariadbUrl } from '@afterimage/mariadb';
import { type Connection, createConnection } from 'mariadb';
import { expect, it, vi } from 'vitest';
import { Dice } from '../faults/dice.js';
import { createDatabase, type TestDatabase, uniqueName } from '../harness/databases.js';
import { mariadbMissing } from '../harness/mariadb.js';
import { ServiceProcess } from '../replay/service-process.js';
import { createTable, plainColumns, type PlainColumn, type PlainTable, printRow, randomChange } from './random-sql.js';

const id: PlainColumn = {
  name: 'id',
  definition: 'int NOT NULL',
  value: (dice) => String(dice.below(40)),
  mariadb: 'CAST(`id` AS char)',
  postgres: '"id"::text',
};
const part: PlainColumn = {
  name: 'part',
  definition: 'varchar(5) NOT NULL COLLATE utf8mb4_bin',
  value: (dice) => dice.pick([`'a'`, `'A'`, `'é'`]),
  mariadb: '`part`',
  postgres: '"part"',
};

const tables: readonly PlainTable[] = [
  { name: 'every_type', columns: [id, ...plainColumns], key: ['id'] },
  { name: 'two_keys', columns: [id, ...plainColumns.slice(0, 4), part], key: ['part', 'id'] },
  // Two of a kind happen here, and are told apart by nothing.
  { name: 'no_key', columns: [{ ...id, definition: 'int' }, ...plainColumns.slice(0, 2)], key: [] },
];

/** After the ALTER TABLE in the middle. */
const altered = tables.map((table) => {
  if (table.name !== 'two_keys') return table;
  const [key, , unsigned, moved, other, last] = table.columns;
  const added = plainColumns.find(({ name }) => name === 'da');
  return { ...table, columns: [added, key, unsigned, other, last, moved].filter((column) => column !== undefined) };
});

it.skipIf(await mariadbMissing('private'))(
  'every row of a MariaDB is in PostgreSQL as the source shows it, after random changes in random transactions',
  async () => {
    const mariadb = await startMariadb({ env: { PATH: process.env['PATH'] } });
    const maxscale = await startFakeMaxScale();
    const feed = await startBinlogFeed({ maxscale, mariadbUrl: mariadb.url, blockBytes: 2 ** 20 });
    const source = await createConnection(parseMariadbUrl(mariadb.url));
    const database = await createDatabase();
    const folder = await mkdtemp(join(tmpdir(), 'afterimage-source-'));
    const configPath = join(folder, 'afterimage.yaml');
    await writeFile(configPath, JSON.stringify(describeConfig(maxscale, database)));
    await source.query('CREATE DATABASE shop');
    await source.query('USE shop');
    for (const table of tables) await source.query(createTable(table));
    const processes = (['reader', 'writer', 'writer'] as const).map((app) => new ServiceProcess(app, configPath));
    const output = (): string => processes.map((process) => process.output).join('\n');
    try {
      const dice = new Dice(4);
      await changeRandomly(source, dice, tables);
      await source.query('ALTER TABLE two_keys DROP ti, MODIFY si bigint AFTER part, ADD da date FIRST');
      await changeRandomly(source, dice, altered);
      await feed.catchUp();
      for (const table of altered) {
        const expected = await readSource(source, table);
        expect(expected.length, table.name).toBeGreaterThan(5);
        const mirrored = async (): Promise<void> =>
          expect(await readMirror(database, table), output()).toEqual(expected);
        await vi.waitFor(mirrored, { timeout: 60_000, interval: 100 });
      }
      const { rows } = await database.pool.query('SELECT * FROM afterimage.dead_letters');
      expect(rows).toEqual([]);
    } finally {
      await Promise.all(processes.map((process) => process.stop()));
      await feed.stop();
      await source.end();
      await Promise.all([maxscale.close(), mariadb.stop(), database.drop()]);
      await rm(folder, { recursive: true });
    }
  },
  180_000,
);

function describeConfig(maxscale: FakeMaxScale, database: TestDatabase): object {
  const columns = Object.fromEntries(
    plainColumns.map(({ name, definition }) => [name, { type: definition.replace(/ NULL$/, '') }]),
  );
  return {
    postgres: { url: database.url },
    queue: { backend: 'postgres', prefix: uniqueName('source') },
    sources: {
      shop: {
        ...maxscale.address,
        tables: Object.fromEntries(
          altered.map(({ name, key, columns: known }) => [
            `shop.${name}`,
            {
              ...(key.length === 0 ? {} : { key }),
              columns: Object.fromEntries(
                Object.entries(columns).filter(([column]) => known.some(({ name: other }) => other === column)),
              ),
            },
          ]),
        ),
      },
    },
    service: { logLevel: 'warn' },
  };
}

async function changeRandomly(source: Connection, dice: Dice, among: readonly PlainTable[]): Promise<void> {
  for (let transaction = 0; transaction < 150; transaction++) {
    await source.beginTransaction();
    for (let change = dice.between(1, 4); change > 0; change--) {
      await source.query(randomChange(dice, dice.pick(among)));
    }
    if (dice.chance(0.1)) await source.rollback();
    else await source.commit();
  }
}

async function readSource(source: Connection, table: PlainTable): Promise<string[]> {
  const list = table.columns.map((column) => column.mariadb).join(', ');
  const sql = `SELECT ${list} FROM ${table.name}`;
  const rows = await source.query<(string | null)[][]>({ sql, rowsAsArray: true });
  return rows.map((row) => printRow(table, row)).sort();
}

async function readMirror({ pool }: TestDatabase, table: PlainTable): Promise<string[]> {
  const list = table.columns.map((column) => column.postgres).join(', ');
  const text = `SELECT ${list} FROM shop.${table.name}`;
  const { rows } = await pool.query<(string | null)[]>({ text, rowMode: 'array' });
  return rows.map((row) => printRow(table, row)).sort();
}
