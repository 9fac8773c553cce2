/** What a column of the mirror can hold, as far as the text that it takes depends on it. */
export type PostgresTarget =
  | 'boolean'
  | 'integer'
  | 'numeric'
  | 'real'
  | 'double'
  | 'text'
  | 'date'
  | 'timestamp'
  | 'timestamptz'
  | 'bytea'
  | 'uuid'
  | 'inet'
  | 'jsonb'
  | 'other';

const targets: Readonly<Record<string, PostgresTarget>> = {
  boolean: 'boolean',
  bool: 'boolean',
  smallint: 'integer',
  int2: 'integer',
  integer: 'integer',
  int: 'integer',
  int4: 'integer',
  bigint: 'integer',
  int8: 'integer',
  numeric: 'numeric',
  decimal: 'numeric',
  real: 'real',
  float4: 'real',
  'double precision': 'double',
  float8: 'double',
  float: 'double',
  text: 'text',
  varchar: 'text',
  'character varying': 'text',
  char: 'text',
  character: 'text',
  bpchar: 'text',
  citext: 'text',
  date: 'date',
  timestamp: 'timestamp',
  'timestamp without time zone': 'timestamp',
  timestamptz: 'timestamptz',
  'timestamp with time zone': 'timestamptz',
  bytea: 'bytea',
  uuid: 'uuid',
  inet: 'inet',
  cidr: 'inet',
  jsonb: 'jsonb',
};

/** The target for a type as PostgreSQL writes it: `timestamp(3) with time zone`, `numeric(10,2)`. */
export function findTarget(postgresType: string): PostgresTarget {
  return targets[withoutNumbers(postgresType)] ?? 'other';
}

/** Decimal places of a `numeric(p,s)`; null for a numeric without. */
export function findScale(postgresType: string): number | null {
  const [, digits, scale] = /\( ?(\d+)(?: ?, ?(\d+))? ?\)/.exec(postgresType) ?? [];
  return digits === undefined ? null : Number(scale ?? 0);
}

function withoutNumbers(type: string): string {
  return type.toLowerCase().replace(/ ?\([^)]*\)/, '');
}
