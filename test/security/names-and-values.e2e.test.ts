import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { queueBackends } from '../harness/databases.js';
import { hostileTexts } from './hostile-names.js';
import {
  dictionaryTables,
  expectedRows,
  type HostileTable,
  hostileTables,
  nameOf,
  playTable,
  readStored,
  tableSettings,
} from './hostile-tables.js';
import { findForeignLines, findObeyed, SecurityRig } from './security-rig.js';

const seed = fc.readConfigureGlobal().seed ?? Math.floor(Math.random() * 2 ** 31);
const systemColumns = ['tableoid', 'xmin', 'cmin', 'xmax', 'cmax', 'ctid'];

// Several programs at once: a busy machine takes its time.
vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

describe.each(queueBackends())('hostile names and values on $backend', (queue) => {
  describe.skipIf(queue.missing)(`with seed ${seed}`, () => {
    let rig: SecurityRig;
    let tables: HostileTable[];

    beforeAll(async () => {
      const [random = []] = fc.sample(hostileTables, { seed, numRuns: 1 });
      const known = new Set<string>();
      tables = [...dictionaryTables(), ...random].filter(
        (table) => !known.has(nameOf(table)) && known.add(nameOf(table)),
      );
      const entries = tables.map((table): [string, object] => [nameOf(table), tableSettings(table)]);
      rig = await SecurityRig.create({ queue, source: { tables: Object.fromEntries(entries) } });
      await rig.pool.query('CREATE TABLE public.canary AS SELECT 1 AS alive');
      const events = new Map(tables.map((table) => [nameOf(table), playTable(rig.server, table)]));
      rig.start();
      await rig.waitForEvents(events);
    });

    afterAll(() => rig?.close());

    it('every value arrives as it was sent, in mirror, history and as-of functions', async () => {
      for (const table of tables) {
        const expected = expectedRows(table);
        const stored = await readStored(rig.pool, table);
        const where = JSON.stringify(table);
        expect(stored.mirror, where).toEqual(expected.mirror);
        expect(stored.history, where).toEqual(expected.history);
        expect(stored.asOf, where).toEqual(expected.mirror);
        expect(stored.asOfGtid, where).toEqual(expected.mirror);
      }
    });

    it('columns keep their names, unless PostgreSQL has no room for them or another column has them', async () => {
      for (const table of tables) {
        const { columns } = await readStored(rig.pool, table);
        expect(new Set(columns).size).toBe(table.columns.length);
        table.columns.forEach((name, i) => {
          const isOwn =
            Buffer.byteLength(name) <= 63 && !systemColumns.includes(name) && !columns.slice(0, i).includes(name);
          expect(Buffer.byteLength(columns[i] ?? '')).toBeLessThanOrEqual(63);
          if (isOwn) expect(columns[i]).toBe(name);
        });
      }
    });

    it('nothing that a name or value says is executed', async () => {
      expect((await rig.pool.query('SELECT alive FROM public.canary')).rows).toEqual([{ alive: 1 }]);
      const { rows } = await rig.pool.query<{ relation: string }>(
        `SELECT c.relname AS relation FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'public'`,
      );
      const expected = tables.filter(({ database, as }) => (as?.schema ?? database) === 'public').length;
      expect(rows.map(({ relation }) => relation)).toContain('canary');
      expect(rows.length).toBeLessThanOrEqual(1 + expected * 2);
      const { rows: streams } = await rig.pool.query<{ state: string }>(
        'SELECT DISTINCT state FROM afterimage.streams',
      );
      expect(streams).toEqual([{ state: 'active' }]);
    });

    it.skipIf(queue.backend === 'redis')(
      'a mirror can be rebuilt from its history and its history read, whatever it is called',
      async () => {
        for (const table of tables.slice(0, 3)) {
          const rebuilt = await rig.cli('rebuild', nameOf(table), '--json');
          expect(rebuilt.code, rebuilt.stderr).toBe(0);
          const history = await rig.cli('history', nameOf(table), '--json', '--where', `${table.columns[0]}=1`);
          const rows = JSON.parse(history.stdout) as Record<string, string | null>[];
          expect(rows).toHaveLength(1);
          expect(Object.values(rows[0] ?? {}).slice(-table.columns.length + 1)).toEqual(table.rows[0]);
        }
      },
    );

    // The same on every queue, but for status.
    it.skipIf(queue.backend === 'redis')('the command line prints nothing that a terminal would obey', async () => {
      const worst = tables.find(({ columns }) => columns.includes('\u001b[2J\u001b[31mred'));
      const name = worst === undefined ? '' : nameOf(worst);
      const commands = [
        ['status', '--sample', '0.1'],
        ['status', '--sample', '0.1', '--json'],
        ['streams'],
        ['schema-versions', name],
        ['schema-versions', name, '--json'],
        ['history', name],
        ['history', name, '--json'],
        ['history', name, '--where', 'none\u001b[2J=1'],
        ['as-of', name, '--gtid', '0-1-1000'],
        ['rebuild', name],
        ['rebuild', 'no such\n\u001b[31mtable\u202e'],
        ['config'],
        ['config', '--check'],
        ['dead-letter', 'show', '1\u001b[31m'],
      ];
      const results = await Promise.all(commands.map(async (command) => ({ command, ...(await rig.cli(...command)) })));
      for (const { command, stdout, stderr } of results) {
        expect(findObeyed(`${stdout}\n${stderr}`), command.join(' ')).toEqual([]);
        expect(stderr).toContain('prototypes as before');
      }
    });

    it('no log line holds a raw control character, and none is forged', async () => {
      await rig.stop();
      expect(rig.output).toContain('stream is streaming');
      expect(findObeyed(rig.output)).toEqual([]);
      expect(findForeignLines(rig.output)).toEqual([]);
    });

    it('no name pollutes the prototypes of reader and writer', () => {
      expect(hostileTexts).toContain('__proto__');
      expect(rig.output.match(/prototypes as before/g)).toHaveLength(2);
    });
  });
});
