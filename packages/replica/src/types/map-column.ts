import type { Field } from '@afterimage/change-events';
import type {
  ColumnKnowledge,
  ColumnMapping,
  MappingDraft,
  SourceColumn,
  TypeFamily,
  TypeSettings,
} from './column-mapping.js';
import { findFamily } from './families.js';
import { type MariaType, parseMariaType } from './maria-type.js';
import { unknownFamily } from './others.js';
import { overrideType } from './override.js';
import { textFamily } from './texts.js';

/**
 * How a column of the stream becomes a column of the mirror. What the stream says wins: a known type that does not fit
 * it (the column was altered since) is ignored, and `notice` says so.
 *
 * @throws MariaTypeError when the known type cannot be read; PostgresTypeError when the overriding type cannot.
 */
export function mapColumn(field: Field, knowledge: ColumnKnowledge | undefined, settings: TypeSettings): ColumnMapping {
  const { type, charset, postgres } = knowledge ?? {};
  const given = type === undefined ? null : parseMariaType(type);
  const family = chooseFamily(field, given);
  const known = given !== null && findFamily(given.word) === family ? given : null;
  const draft = overrideType(family.map(describeSource(field, { known, charset, settings })), postgres);
  const sourceType = sourceTypeOf(field, known);
  const ignored = given !== null && known === null;
  return finishMapping(draft, {
    sourceType,
    notice: ignored
      ? `the configured type ${given.text} does not fit what arrives, ${sourceType}, and is ignored`
      : null,
  });
}

interface ColumnContext {
  readonly known: MariaType | null;
  readonly charset: string | undefined;
  readonly settings: TypeSettings;
}

function describeSource(field: Field, { known, charset, settings }: ColumnContext): SourceColumn {
  return {
    field,
    known,
    unsigned: field.unsigned || (known?.unsigned ?? false),
    charset: (charset ?? known?.charset ?? '').toLowerCase(),
    settings,
  };
}

/** The stream's family, except where its word is unknown, or longtext stands for JSON. */
function chooseFamily(field: Field, given: MariaType | null): TypeFamily {
  const told = findFamily(field.realType);
  if (given === null) {
    return told;
  }
  const family = findFamily(given.word);
  const refines = told === unknownFamily || (told === textFamily && given.word === 'json');
  return refines ? family : told;
}

function sourceTypeOf(field: Field, known: MariaType | null): string {
  if (known !== null) {
    return known.text;
  }
  const word = field.realType.toLowerCase();
  return `${word === 'timestamp_' ? 'timestamp' : word}${field.unsigned ? ' unsigned' : ''}`;
}

function finishMapping(draft: MappingDraft, names: { sourceType: string; notice: string | null }): ColumnMapping {
  return {
    postgresType: draft.postgresType,
    jsonType: draft.jsonType,
    sourceType: names.sourceType,
    unreliable: draft.unreliable ?? null,
    notice: names.notice ?? draft.notice ?? null,
    identity: hasHash(draft.postgresType),
    value: draft.value,
    lost: (ref) => draft.lost?.(ref) ?? null,
  };
}

/** Types with both a hash and an equality operator, so not json, xml, point, bit. */
const HASHED =
  /^(?:smallint|int[248]?|integer|bigint|numeric|decimal|real|float[48]?|double precision|boolean|bool|text|varchar|character varying|char|character|bpchar|citext|bytea|uuid|inet|cidr|macaddr|date|time|timetz|timestamp|timestamptz|interval|jsonb)\b(?:\s*\(|\s+with(?:out)?\s+time\s+zone$|$)/;

function hasHash(postgresType: string): boolean {
  return HASHED.test(postgresType.toLowerCase());
}
