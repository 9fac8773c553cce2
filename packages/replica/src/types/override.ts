import type { MappingDraft } from './column-mapping.js';

/** The configured PostgreSQL type is not written as one: a name, perhaps with a schema, numbers, a zone clause, []. */
export class PostgresTypeError extends Error {
  readonly code = 'POSTGRES_TYPE_INVALID';

  constructor(text: string) {
    super(
      `${JSON.stringify(text)} is not a PostgreSQL type name: write it like numeric(12,2), timestamptz(3) or my_schema.mood`,
    );
    this.name = 'PostgresTypeError';
  }
}

const NAME = '(?:[a-z_][a-z0-9_$]*|"(?:[^"\\0]|"")+")';
const TYPE_NAME = new RegExp(
  `^${NAME}(?:\\.${NAME})?(?: (?:precision|varying))?(?: ?\\( ?\\d+(?: ?, ?\\d+)? ?\\))?(?: with(?:out)? time zone)?(?:\\[\\])?$`,
  'i',
);

/**
 * The mapping with its result cast to another type.
 *
 * @throws PostgresTypeError when the text is not a type name; whether the type exists, PostgreSQL will say.
 */
export function overrideType(draft: MappingDraft, postgres: string | undefined): MappingDraft {
  if (postgres === undefined) {
    return draft;
  }
  const target = checkPostgresType(postgres);
  return {
    ...draft,
    postgresType: target,
    value: (ref, nul) => castTo(draft.value(ref, nul), draft.postgresType, target),
  };
}

/** The type name with single spaces; throws PostgresTypeError when it is not written as one. */
export function checkPostgresType(text: string): string {
  const target = text.trim().replaceAll(/\s+/g, ' ');
  if (!TYPE_NAME.test(target)) throw new PostgresTypeError(text);
  return target;
}

const NUMBERS = new Set([
  'smallint',
  'int2',
  'integer',
  'int',
  'int4',
  'bigint',
  'int8',
  'numeric',
  'decimal',
  'real',
  'float4',
  'double precision',
  'float8',
  'float',
]);
const MOMENTS = new Set([
  'date',
  'timestamp',
  'timestamptz',
  'timestamp with time zone',
  'timestamp without time zone',
]);
const TEXTS = new Set(['text', 'varchar', 'character varying', 'char', 'character', 'bpchar', 'citext']);
const BOOLEANS = new Set(['boolean', 'bool']);

/** A direct cast where PostgreSQL has one that keeps the meaning, else by way of text. */
function castTo(value: string, from: string, target: string): string {
  const [source, goal] = [baseOf(from), baseOf(target)];
  if (NUMBERS.has(source) && BOOLEANS.has(goal)) {
    return `((${value}) <> 0)`;
  }
  if (source === 'bytea' && goal === 'uuid') {
    return `encode(${value}, 'hex')::${target}`;
  }
  if (source === 'bytea' && TEXTS.has(goal)) {
    return `convert_from(${value}, 'UTF8')::${target}`;
  }
  const direct = [NUMBERS, MOMENTS].some((kind) => kind.has(source) && kind.has(goal)) || source === goal;
  return direct ? `(${value})::${target}` : `(${value})::text::${target}`;
}

/** The type without its numbers: `timestamp(3) with time zone` → `timestamp with time zone`. */
function baseOf(type: string): string {
  return type.toLowerCase().replace(/ ?\([^)]*\)/, '');
}
