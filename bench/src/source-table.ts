import { once } from 'node:events';
import type { Pool as SourcePool } from 'mariadb';
import type { Pool } from 'pg';
import { from as copyFrom } from 'pg-copy-streams';

/** The table of narrow rows in MariaDB that is copied and compared. */
export const database = 'bench';
export const table = 'customers';

export async function fillSource(pool: SourcePool, rows: number): Promise<void> {
  const connection = await pool.getConnection();
  await connection.query('SET SESSION TRANSACTION READ WRITE');
  await connection.query(`CREATE DATABASE ${database}`);
  await connection.query(
    `CREATE TABLE ${database}.${table} (id bigint PRIMARY KEY, name varchar(32), quantity int, seen datetime, price decimal(10,2))`,
  );
  await connection.query(
    `INSERT INTO ${database}.${table} SELECT seq, CONCAT('customer ', seq), seq % 1000, '2024-01-01' + INTERVAL seq SECOND, seq / 7
     FROM ${database}.seq_1_to_${rows}`,
  );
  await connection.query(`ANALYZE TABLE ${database}.${table}`);
  await connection.release();
}

/** The plain limit: SELECT piped into COPY of a bare table `plain`. One connection to each server, values as they come. */
export async function copyPlain(pool: Pool, source: SourcePool): Promise<void> {
  await pool.query('DROP TABLE IF EXISTS plain');
  await pool.query(`CREATE TABLE plain (id bigint, name text, quantity integer, seen timestamp, price numeric(10,2))`);
  const client = await pool.connect();
  const connection = await source.getConnection();
  const target = client.query(copyFrom('COPY plain FROM STDIN'));
  let block: string[] = [];
  const rows = connection.queryStream({ sql: `SELECT * FROM ${database}.${table}`, rowsAsArray: true });
  for await (const row of rows) {
    block.push((row as unknown[]).join('\t'));
    if (block.length < 1000) continue;
    if (!target.write(`${block.join('\n')}\n`)) await once(target, 'drain');
    block = [];
  }
  target.end(block.length === 0 ? '' : `${block.join('\n')}\n`);
  await once(target, 'finish');
  await connection.release();
  client.release();
}
