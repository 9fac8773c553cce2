import type pg from 'pg';
import { formatCount, formatSeconds, renderTable } from '../output.js';
import type { TableCheck } from './checker.js';

/** The result per table, and every problem in full. */
export function printChecks(checks: readonly TableCheck[]): void {
  console.log('\n PostgreSQL against the source’s own model:\n');
  const right = (title: string) => ({ title, align: 'right' as const });
  const columns = [
    ' TABLE',
    right('ROWS'),
    right('EVENTS IN HISTORY'),
    right('MOMENTS'),
    right('SCHEMA VERSIONS'),
    'RESULT',
  ];
  const rows = checks.map((check) => [
    ` ${check.table}`,
    formatCount(check.rows),
    formatCount(check.events),
    check.moments === 0 ? '' : `${check.moments} × 2`,
    formatCount(check.schemaVersion),
    check.problems.length === 0 ? '✓ equal' : `✗ ${check.problems.length} problems`,
  ]);
  console.log(renderTable(columns, rows));
  for (const { table, problems } of checks) for (const problem of problems) console.log(`\n ✗ ${table}: ${problem}`);
}

const storyQuery = `SELECT to_char("timestamp", 'HH24:MI:SS') AS at, domain || '-' || server_id || '-' || sequence AS gtid, event_type, status, coupon, tracking
FROM shop_history.orders
WHERE id = (SELECT id FROM shop_history.orders WHERE coupon IS NOT NULL GROUP BY id ORDER BY count(*) DESC, id DESC LIMIT 1)
ORDER BY stream_ordinal LIMIT 9`;

/** One order's life, out of the history. */
export async function printStory(pool: pg.Pool): Promise<void> {
  const types = { getTypeParser: () => (value: unknown) => value };
  const { rows, fields } = await pool.query<(string | null)[]>({ text: storyQuery, rowMode: 'array', types });
  if (rows.length === 0) return;
  console.log('\n The life of one order, from its history (shop_history.orders):\n');
  const shown = rows.map((row) => row.map((value, index) => `${index === 0 ? ' ' : ''}${value ?? '–'}`));
  console.log(
    renderTable(
      fields.map(({ name }, index) => `${index === 0 ? ' ' : ''}${name}`),
      shown,
    ),
  );
}

export interface WhereToLook {
  readonly postgresUrl: string;
  readonly configPath: string;
  readonly folder: string;
  readonly kept: boolean;
}

/** How to look around. */
export function printWhereToLook({ postgresUrl, configPath, folder, kept }: WhereToLook): void {
  const queries = [
    'SELECT * FROM shop.orders ORDER BY id DESC LIMIT 5;',
    'SELECT * FROM shop_history.orders WHERE id = 42 ORDER BY stream_ordinal;',
    `SELECT count(*) FROM shop_history.orders_as_of(now() - interval '15 s');`,
    'SELECT version, source_gtid, steps FROM afterimage.schema_versions;',
  ];
  if (!kept) {
    console.log('\n To look around: npm run demo -- --keep; and then in SQL, for example:');
    console.log(queries.map((query) => `   ${query}`).join('\n'));
    return;
  }
  console.log(`\n Look around:\n\n   psql ${postgresUrl}\n${queries.map((query) => `     ${query}`).join('\n')}`);
  console.log(
    `\n   export AFTERIMAGE_CONFIG=${configPath}\n   npm run --silent afterimage -- status\n   npm run --silent afterimage -- history shop.orders --where id=42`,
  );
  console.log(`\n Logs: ${folder}/logs\n Everything runs until Ctrl-C, which removes it all.`);
}

export interface Closing {
  readonly checks: readonly TableCheck[];
  readonly equal: boolean;
  readonly orderly: boolean;
  readonly seconds: number;
}

export function printClosing({ checks, equal, orderly, seconds }: Closing): void {
  const events = checks.reduce((sum, check) => sum + check.events, 0);
  if (!orderly) console.log('\n ✗ reader or writer did not stop in order within its time');
  if (equal) {
    const tables = `${checks.length} of ${checks.length} tables equal`;
    console.log(
      `\n ✓ ${formatCount(events)} events, each in history exactly once; ${tables}; ${formatSeconds(seconds)}\n`,
    );
  } else {
    const wrong = checks.filter(({ problems }) => problems.length > 0).length;
    console.log(`\n ✗ ${wrong} of ${checks.length} tables differ from the source.\n`);
  }
}
