import type { Connection } from 'mariadb';
import type { Pool } from 'pg';

interface Column {
  readonly name: string;
  readonly type: string;
}

/**
 * What MariaDB's table and its mirror hold, each as sorted lines, by ways of reading them that nothing of the product takes
 * part in.
 */
export async function readBothSides(
  { source, postgres }: { source: Connection; postgres: Pool },
  table: string,
): Promise<{ expected: string[]; actual: string[] }> {
  const columns = await source.query<Column[]>(
    `SELECT COLUMN_NAME AS name, DATA_TYPE AS type FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = 'shop' AND TABLE_NAME = ? ORDER BY 1`,
    [table],
  );
  const rows = await source.query<(string | null)[][]>({
    sql: `SELECT ${columns.map(readInSource).join(', ')} FROM shop.\`${table}\``,
    rowsAsArray: true,
  });
  const { rows: mirrored } = await postgres.query<{ name: string; type: string }>(
    `SELECT attname AS name, atttypid::regtype::text AS type FROM pg_attribute
     WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attname COLLATE "C"`,
    [`shop.${table}`],
  );
  const sorted = columns.toSorted((a, b) => (a.name < b.name ? -1 : 1));
  const head = sorted.map(({ name }) => name).join();
  const typeAt = (place: number): string => (mirrored[place]?.type === 'jsonb' ? 'json' : (sorted[place]?.type ?? ''));
  const order = sorted.map((column) => columns.indexOf(column));
  const expected = rows.map((row) => JSON.stringify(order.map((at, place) => print(typeAt(place), row[at] ?? null))));
  const { rows: found } = await postgres.query<(string | null)[]>({
    text: `SELECT ${mirrored.map(readInMirror).join(', ')} FROM shop."${table}"`,
    rowMode: 'array',
  });
  const actual = found.map((row) => JSON.stringify(row.map((value, place) => print(typeAt(place), value))));
  const there = mirrored.map(({ name }) => name).join();
  return { expected: [head, ...expected.sort()], actual: [there, ...actual.sort()] };
}

function readInSource({ name, type }: Column): string {
  const column = `\`${name}\``;
  if (/^(?:tiny|small|medium|big)?int$|^decimal$|^year$|^date|^time|^uuid$|^inet/.test(type))
    return `CAST(${column} AS CHAR)`;
  // MariaDB prints a float with six digits.
  if (type === 'float') return `CAST(CAST(${column} AS DOUBLE) AS CHAR)`;
  if (type === 'double') return `CAST(${column} AS CHAR)`;
  if (type === 'bit') return `BIN(${column} + 0)`;
  if (/blob$|binary$/.test(type)) return `HEX(${column})`;
  return `HEX(CONVERT(${column} USING utf8mb4))`;
}

function readInMirror({ name, type }: Column): string {
  const column = `"${name}"`;
  if (type === 'bytea') return `upper(encode(${column}, 'hex'))`;
  const isLabels = type.includes('$');
  if (type === 'text' || type === 'jsonb' || isLabels)
    return `upper(encode(convert_to(${column}::text, 'UTF8'), 'hex'))`;
  if (type === 'timestamp with time zone') return `(${column} AT TIME ZONE 'UTC')::text`;
  if (type === 'real') return `${column}::float8::text`;
  if (type === 'inet') return `host(${column})`;
  return `${column}::text`;
}

/** The same for values that are the same. Zero dates are NULL in a mirror, and NULs are not in its texts: both by default. */
function print(type: string, value: string | null): string | null {
  if (value === null) return null;
  if (/int$|^year$|^decimal$|^bit$/.test(type)) return printDigits(value);
  if (type === 'float' || type === 'double') return Object.is(Number(value), -0) ? '-0' : String(Number(value));
  if (/^date|^timestamp/.test(type)) return /^0000|-00/.test(value) ? null : dropZeros(value);
  if (type === 'time') return dropZeros(value);
  if (type === 'json') return printJson(JSON.parse(Buffer.from(value, 'hex').toString()) as unknown);
  if (/text$|char$|^enum$|^set$/.test(type)) return (value.match(/../g) ?? []).filter((pair) => pair !== '00').join('');
  return value;
}

function printJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(printJson).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const entries = Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return `{${entries.map(([name, member]) => `${JSON.stringify(name)}:${printJson(member)}`).join(',')}}`;
}

function printDigits(value: string): string {
  const [, sign = '', digits = ''] = /^(-?)(.*)$/s.exec(value) ?? [];
  const plain = dropZeros(digits.replace(/^0+(?=\d)/, ''));
  return plain === '0' ? '0' : `${sign}${plain}`;
}

function dropZeros(value: string): string {
  return value.includes('.') ? value.replace(/\.?0+$/, '') : value;
}
