import { readFile } from 'node:fs/promises';
import { inserted } from '@afterimage/cdc-protocol/testing';
import { migrate } from '@afterimage/replica';
import { Redis } from 'ioredis';
import { Client, escapeIdentifier, escapeLiteral } from 'pg';
import { afterAll, beforeAll, describe, expect, inject, it, vi } from 'vitest';
import { queueBackends, type TestQueueBackend, uniqueName } from '../harness/databases.js';
import { SecurityRig } from './security-rig.js';

const special = ` :@/?#%&'"\\$(){}[]äé😀`;
const secrets = {
  postgres: `hushPostgres${special}`,
  redis: `hushRedis${special}`,
  maxScale: `hushMaxScale${special}`,
};
/** What docs/security.md says that the queue's user needs; queues of these tests have this prefix. */
const leastPrivileges = ['resetchannels', '~security_*', '+@all', '-@dangerous', '+info', '+config|get'];
const role = uniqueName('security');

function withUser(url: string, password: string, user = role): string {
  const parsed = new URL(url);
  parsed.username = user;
  parsed.password = encodeURIComponent(password);
  return parsed.href;
}

async function runAdmin(statement: string): Promise<void> {
  const client = new Client({ connectionString: inject('postgresAdminUrl') });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}

async function withRedis<T>(url: string, work: (redis: Redis) => Promise<T>): Promise<T> {
  const redis = new Redis(url);
  return work(redis).finally(() => redis.disconnect());
}

async function databaseOf({ pool }: SecurityRig): Promise<string> {
  const { rows } = await pool.query<{ name: string }>('SELECT current_database() AS name');
  return rows[0]?.name ?? '';
}

/** Everything in the queue's store, as text. */
async function dumpQueue(rig: SecurityRig, { redisUrl }: TestQueueBackend): Promise<string> {
  if (redisUrl === null) return dumpSchema(rig, rig.prefix);
  return withRedis(redisUrl, async (redis) => {
    const keys = await redis.keys(`${rig.prefix}:*`);
    const dumps = keys.map(async (key) =>
      (await redis.type(key)) === 'hash' ? JSON.stringify(await redis.hgetall(key)) : String(await redis.dump(key)),
    );
    return [...keys, ...(await Promise.all(dumps))].join('\n');
  });
}

async function dumpSchema(rig: SecurityRig, schema: string): Promise<string> {
  const { rows: tables } = await rig.pool.query<{ name: string }>(
    `SELECT tablename AS name FROM pg_tables WHERE schemaname = $1`,
    [schema],
  );
  const dumps = tables.map(async ({ name }) => {
    const { rows } = await rig.pool.query(
      `SELECT to_json(t)::text AS row FROM ${escapeIdentifier(schema)}.${escapeIdentifier(name)} AS t`,
    );
    return JSON.stringify([name, rows]);
  });
  return (await Promise.all(dumps)).join('\n');
}

// Several programs at once: a busy machine takes its time.
vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

describe.each(queueBackends())('passwords of PostgreSQL, queue and MaxScale, with $backend as the queue', (queue) => {
  describe.skipIf(queue.missing)('and special characters in them', () => {
    /** As deploy/postgres-roles.sql has it, the role owns the database and what it makes there, and nothing else. */
    const createRig = async (wrong: Partial<typeof secrets> = {}, config: object = {}) => {
      const { postgres, redis, maxScale } = { ...secrets, ...wrong };
      const rig = await SecurityRig.create({
        queue: queue.redisUrl === null ? queue : { ...queue, redisUrl: withUser(queue.redisUrl, redis) },
        users: { cdc: secrets.maxScale },
        postgresUrl: ({ url }) => withUser(url, postgres),
        source: { tables: { 'shop.orders': { key: ['id'] } }, password: maxScale },
        config: () => ({ service: { logLevel: 'debug', readerPort: 0, writerPort: 0 }, ...config }),
      });
      const owner = `ALTER DATABASE ${escapeIdentifier(await databaseOf(rig))} OWNER TO ${escapeIdentifier(role)}`;
      await rig.pool.query(`DROP SCHEMA afterimage CASCADE; ${owner}`);
      await migrate(withUser(rig.database.url, secrets.postgres));
      return rig;
    };

    beforeAll(async () => {
      await runAdmin(`CREATE ROLE ${escapeIdentifier(role)} LOGIN PASSWORD ${escapeLiteral(secrets.postgres)}`);
      if (queue.redisUrl !== null) {
        await withRedis(queue.redisUrl, (redis) =>
          redis.call('ACL', 'SETUSER', role, 'on', `>${secrets.redis}`, ...leastPrivileges),
        );
      }
    });
    afterAll(async () => {
      await runAdmin(`DROP ROLE IF EXISTS ${escapeIdentifier(role)}`);
      if (queue.redisUrl !== null) await withRedis(queue.redisUrl, (redis) => redis.call('ACL', 'DELUSER', role));
    });

    it('are used, by roles with the least privileges, and are in no log, job, table, metric, process title or output of the command line', async () => {
      const rig = await createRig();
      try {
        const migrated = await rig.cli('migrate');
        expect(migrated.code, migrated.stderr).toBe(0);
        const table = rig.server.table('shop', 'orders');
        table.create([{ name: 'id', realType: 'int' }]);
        table.append(inserted({ id: 1 }));
        rig.start();
        await rig.waitForEvents(new Map([['shop.orders', 1]]));
        const seen = [migrated.stdout, migrated.stderr, await dumpSchema(rig, 'afterimage')];
        for (const url of rig.output.match(/http:\/\/127\.0\.0\.1:\d+/g) ?? []) {
          for (const path of ['/healthz', '/readyz', '/metrics']) seen.push(await (await fetch(url + path)).text());
        }
        expect(seen).toHaveLength(9);
        for (const pid of rig.pids) seen.push(await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => ''));
        const commands = [
          'status --sample 0.1',
          'status --sample 0.1 --json',
          'config',
          'config --json',
          'config --check',
        ];
        for (const { stdout, stderr, code } of await Promise.all(commands.map((line) => rig.cli(...line.split(' '))))) {
          expect(code, stderr).toBe(0);
          seen.push(stdout, stderr);
        }
        const { rows } = await rig.pool.query(
          'SELECT application_name, query FROM pg_stat_activity WHERE datname = current_database()',
        );
        seen.push(JSON.stringify(rows));
        await rig.stop();
        // With no writer the jobs stay.
        table.append(inserted({ id: 2 }));
        rig.start(['reader']);
        await rig.withQueue('orders', (jobs) => rig.waitFor(async () => (await jobs.depth()) > 0));
        seen.push(await dumpQueue(rig, queue), rig.output);
        expect(seen.at(-2)).toMatch(/stream-[\da-f-]{36}-0/);
        expect(seen.join('\n')).not.toMatch(/hush/i);
      } finally {
        await rig.close();
      }
    });

    it('are not shown when they are wrong, or the server cannot be reached', async () => {
      const nowhere = (scheme: string) => `${scheme}://user:${encodeURIComponent(secrets.postgres)}@127.0.0.1:1/none`;
      const rigs: [tells: RegExp, rig: Promise<SecurityRig>][] =
        queue.redisUrl === null
          ? [
              [/28P01|password authentication failed/, createRig({ postgres: `hushWrong${special}` })],
              [/ECONNREFUSED/, createRig({}, { postgres: { url: nowhere('postgres') } })],
              [/AUTH_FAILED/, createRig({ maxScale: `hushWrong${special}` })],
              [/ECONNREFUSED/, createRig({}, { queue: { backend: 'postgres', url: nowhere('postgres') } })],
            ]
          : [
              [/WRONGPASS/, createRig({ redis: `hushWrong${special}` })],
              [/ECONNREFUSED/, createRig({}, { queue: { backend: 'redis', url: nowhere('redis') } })],
            ];
      const cases = await Promise.all(rigs.map(async ([tells, rig]) => ({ tells, rig: await rig })));
      try {
        for (const { rig } of cases) rig.start();
        await Promise.all(
          cases.map(async ({ tells, rig }) => {
            await rig.waitFor(() => tells.test(rig.output));
            const { stdout, stderr } = await rig.cli('status', '--sample', '0.1', '--debug');
            const { rows } = await rig.pool.query('SELECT * FROM afterimage.streams');
            expect(`${rig.output}\n${stdout}\n${stderr}\n${JSON.stringify(rows)}`).not.toMatch(/hush/i);
          }),
        );
      } finally {
        await Promise.all(cases.map(({ rig }) => rig.close()));
      }
    });
  });
});
