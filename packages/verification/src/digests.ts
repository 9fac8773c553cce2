import { createHash } from 'node:crypto';
import { mirrorRowForm, sourceRowForm } from '@afterimage/mariadb';
import { fixTextForms, inTransaction } from '@afterimage/replica';
import type { Pool } from 'pg';
import type { Chunk } from './chunks.js';
import type { ComparedColumn, ComparedTable, Sides } from './compared-table.js';

/** How many rows, and the sum of 60 bits of each row's MD5, so that their order does not matter. */
export interface Digest {
  readonly rows: number;
  readonly sum: string;
}

/** Parts of a chunk by a hash of the row's identity, each with its digest. */
export type Digests = ReadonlyMap<number, Digest>;

export interface DigestPair {
  readonly source: Digests;
  readonly mirror: Digests;
}

/** Buckets of one part, at most: what the hash of a row's identity gives. */
export const mostBuckets = 65_536;

interface DigestRow {
  readonly bucket: number | string | bigint;
  readonly rows: number | string | bigint;
  readonly sum: string | null;
}

/** Both servers read the chunk at the same time. `buckets` is a power of 2. */
export async function readDigests(
  sides: Sides,
  table: ComparedTable,
  chunk: Chunk,
  buckets: number,
): Promise<DigestPair> {
  const [source, mirror] = await Promise.all([
    sides.source.query<DigestRow[]>(sourceDigest(table, chunk, buckets)),
    queryMirror<DigestRow>(sides.postgres, mirrorDigest(table, chunk, buckets)),
  ]);
  return { source: toDigests(source), mirror: toDigests(mirror) };
}

/** A read of the mirror in the text forms that comparisons want. */
export async function queryMirror<Row extends object>(
  pool: Pool,
  text: string,
  values: readonly unknown[] = [],
): Promise<Row[]> {
  return inTransaction(pool, async (client) => {
    await client.query('SET TRANSACTION READ ONLY');
    await fixTextForms(client);
    // Compiling takes longer than a chunk.
    await client.query('SET LOCAL jit = off');
    return (await client.query<Row>(text, [...values])).rows;
  });
}

function sourceDigest(table: ComparedTable, chunk: Chunk, buckets: number): string {
  const hash = `CAST(CONV(LEFT(MD5(${sourceRowForm(valuesOf(table.columns))}), 15), 16, 10) AS UNSIGNED)`;
  const what = `COUNT(*) AS \`rows\`, CAST(SUM(${hash}) AS CHAR) AS \`sum\` FROM ${table.sourceTable} WHERE ${chunk.inSource}`;
  return buckets === 1
    ? `SELECT 0 AS bucket, ${what}`
    : `SELECT ${sourceBucket(table, buckets)} AS bucket, ${what} GROUP BY bucket ORDER BY NULL`;
}

function mirrorDigest(table: ComparedTable, chunk: Chunk, buckets: number): string {
  const hash = `('x0' || left(md5(${mirrorForm(table.columns)}), 15))::bit(64)::bigint`;
  const what = `count(*) AS rows, sum(${hash})::text AS sum FROM ${table.mirrorTable} AS m WHERE ${chunk.inMirror}`;
  return buckets === 1
    ? `SELECT 0 AS bucket, ${what}`
    : `SELECT ${mirrorBucket(table, buckets)} AS bucket, ${what} GROUP BY 1`;
}

/** Rows of some buckets only. */
export function inBuckets(table: ComparedTable, chunk: Chunk, buckets: number, wanted: readonly number[]): Chunk {
  if (buckets === 1) return chunk;
  const list = wanted.join(', ');
  return {
    inSource: `${chunk.inSource} AND ${sourceBucket(table, buckets)} IN (${list})`,
    inMirror: `${chunk.inMirror} AND ${mirrorBucket(table, buckets)} IN (${list})`,
    isWhole: false,
  };
}

function sourceBucket(table: ComparedTable, buckets: number): string {
  const identity = sourceRowForm(valuesOf(table.key ?? table.columns));
  return `(CONV(LEFT(MD5(${identity}), 4), 16, 10) & ${buckets - 1})`;
}

function mirrorBucket(table: ComparedTable, buckets: number): string {
  return `(('x' || left(md5(${mirrorForm(table.key ?? table.columns)}), 4))::bit(16)::int & ${buckets - 1})`;
}

export function mirrorForm(columns: readonly ComparedColumn[], alias = 'm'): string {
  return mirrorRowForm(
    valuesOf(columns),
    columns.map(({ inMirror }) => `${alias}.${inMirror}`),
  );
}

export function valuesOf(columns: readonly ComparedColumn[]): ComparedColumn['value'][] {
  return columns.map(({ value }) => value);
}

function toDigests(rows: readonly DigestRow[]): Digests {
  return new Map(
    rows.map(({ bucket, rows: count, sum }) => [Number(bucket), { rows: Number(count), sum: sum ?? '0' }]),
  );
}

function isEqual(one: Digest | undefined, other: Digest | undefined): boolean {
  return one?.rows === other?.rows && one?.sum === other?.sum;
}

/** Buckets whose digests differ, with how many rows they have on the side that has more. */
export function findDifferingBuckets({ source, mirror }: DigestPair): { bucket: number; rows: number }[] {
  return [...new Set([...source.keys(), ...mirror.keys()])].flatMap((bucket) => {
    const [one, other] = [source.get(bucket), mirror.get(bucket)];
    const rows = Math.max(one?.rows ?? 0, other?.rows ?? 0);
    return rows === 0 || isEqual(one, other) ? [] : [{ bucket, rows }];
  });
}

/** What PostgreSQL's md5 of the row's form is: see `mirrorRowForm`. */
export function hashForms({ columns }: Pick<ComparedTable, 'columns'>, forms: readonly (string | null)[]): string {
  const parts = forms.map((form, i) => {
    if (form === null) return '~';
    return columns[i]?.value.isOpen === true ? `${Buffer.byteLength(form)}:${form}` : form;
  });
  return createHash('md5').update(parts.join('|')).digest('hex');
}
