import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseMariadbUrl } from '@afterimage/mariadb';
import type pg from 'pg';
import { formatCount, formatSeconds } from '../output.js';
import type { MariadbStage } from './mariadb-stage.js';
import { sqlDatabase } from './sql-shop.js';

export function printHeading(text: string): void {
  console.log(`\n ${text}\n`);
}

/** How to type SQL at one end and read it at the other. Passwords are in files that only this user may read. */
export async function printWhereToType({
  folder,
  configPath,
  mariadbUrl,
  postgresUrl,
}: Pick<MariadbStage, 'folder' | 'configPath' | 'mariadbUrl' | 'postgresUrl'>): Promise<void> {
  const optionFile = join(folder, 'mariadb.cnf');
  const { host = '', port = 3306, user = '', password = '' } = parseMariadbUrl(mariadbUrl);
  const quoted = JSON.stringify(password);
  await writeFile(
    optionFile,
    `[client]\nhost=${host}\nport=${port}\nprotocol=tcp\nuser=${user}\npassword=${quoted}\n`,
    {
      mode: 0o600,
    },
  );
  const passFile = join(folder, 'pgpass');
  const postgres = new URL(postgresUrl);
  const secret = decodeURIComponent(postgres.password).replaceAll(/[\\:]/g, '\\$&');
  await writeFile(passFile, `*:*:*:*:${secret}\n`, { mode: 0o600 });
  const place = `host=${postgres.hostname} port=${postgres.port} user=${postgres.username} dbname=${postgres.pathname.slice(1)}`;
  printHeading('Type SQL in a second terminal, look at its mirror in a third:');
  console.log(`   mariadb --defaults-file=${optionFile} ${sqlDatabase}`);
  console.log(`     UPDATE customers SET tier = 'gold' WHERE id <= 3;`);
  console.log('     TRUNCATE page_views;   -- of which no stream tells: the watcher notices');
  console.log(`\n   psql "${place} passfile=${passFile}"`);
  console.log('     SELECT id, name, tier, balance, settings FROM shop.customers ORDER BY id LIMIT 5;');
  console.log('     SELECT * FROM shop_history.customers WHERE id = 1 ORDER BY stream_ordinal;');
  console.log(`\n   export AFTERIMAGE_CONFIG=${configPath}`);
  console.log('   npm run --silent afterimage -- verify');
  printHeading('What reaches PostgreSQL is shown here. Ctrl-C compares once more and removes everything:');
}

export function printHowToStay(): void {
  console.log('\n To type SQL of your own and see it arrive: npm run demo -- --mariadb --keep');
}

export interface SqlClosing {
  readonly asItMust: boolean;
  readonly orderly: boolean;
  readonly seconds: number;
}

/** The last comparison of each table, all together. */
export async function printSqlClosing(pool: pg.Pool, { asItMust, orderly, seconds }: SqlClosing): Promise<void> {
  if (!orderly) console.log('\n ✗ reader or writer did not stop in order within its time');
  if (!asItMust) {
    console.log('\n ✗ not all was as it must be: see above\n');
    return;
  }
  const { rows } = await pool.query<{ tables: string; rows: string; differences: string }>(
    `SELECT count(*) AS tables, sum(rows) AS rows, sum(missing + extra + different) AS differences
     FROM (SELECT DISTINCT ON (stream_id) * FROM afterimage.verifications ORDER BY stream_id, finished_at DESC) AS last`,
  );
  const { tables, rows: compared, differences } = rows[0] ?? { tables: 0, rows: 0, differences: 0 };
  const counts = `${tables} tables, ${formatCount(compared)} rows compared, ${formatCount(differences)} differences`;
  console.log(`\n ✓ ${counts}; ${formatSeconds(seconds)}\n`);
}
