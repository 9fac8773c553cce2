import { CdcError } from './errors.js';
import type { SchemaField, SchemaMessage } from './messages.js';

/** The fields that avrorouter puts before the columns; a column of such a name gets a `_` appended. */
const reserved = new Set(['domain', 'server_id', 'sequence', 'event_number', 'timestamp', 'event_type']);

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
type JsonObject = { [key: string]: Json };

/** Reads a schema line. Throws CdcError PROTOCOL_VIOLATION when it is not one. */
export function parseSchemaLine(line: string): SchemaMessage {
  const schema = parseObject(line);
  const { fields, version } = schema;
  if (!Array.isArray(fields)) throw malformed('it has no list of fields');
  if (!isFileVersion(version)) throw malformed('its version is not the number of a file');
  return {
    kind: 'schema',
    namespace: readText(schema, 'namespace'),
    database: readText(schema, 'database'),
    table: readText(schema, 'table'),
    version,
    gtid: readText(schema, 'gtid'),
    fields: fields.map(readField).filter((field) => !reserved.has(field.name)),
    raw: line,
  };
}

function parseObject(line: string): JsonObject {
  let value: Json;
  try {
    value = JSON.parse(line) as Json;
  } catch (cause) {
    throw malformed('it is not JSON', cause);
  }
  if (!isObject(value)) throw malformed('it is not an object');
  return value;
}

function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** `t.000001.avro` has version 1. */
function isFileVersion(version: Json | undefined): version is number {
  return typeof version === 'number' && Number.isInteger(version) && version >= 1 && version < 2 ** 31;
}

function readText(object: JsonObject, key: string): string {
  const value = object[key];
  if (typeof value !== 'string') throw malformed(`its ${key} is not text`);
  return value;
}

function readField(field: Json): SchemaField {
  if (!isObject(field)) throw malformed('a field is not an object');
  const { real_type: realType, length, unsigned } = field;
  const name = readText(field, 'name');
  if (name === '') throw malformed('a field has no name');
  return {
    name,
    realType: typeof realType === 'string' ? realType : '',
    ...readAvroType(field['type']),
    length: typeof length === 'number' ? length : -1,
    unsigned: unsigned === true,
  };
}

/**
 * An Avro type comes in three JSON shapes: a name (`"int"`), a union (`["null","int"]`), an object
 * (`{"type":"enum",…}`), the last also inside a union. Avro 1.11 specification, "Schema Declaration".
 */
function readAvroType(type: Json | undefined): Pick<SchemaField, 'avroType' | 'nullable'> {
  if (typeof type === 'string') return { avroType: type, nullable: type === 'null' };
  if (isObject(type)) return readAvroType(type['type']);
  if (!Array.isArray(type)) throw malformed('a field has no type');
  const branches = type.map((branch) => readAvroType(branch).avroType);
  return { avroType: branches.find((branch) => branch !== 'null') ?? 'null', nullable: branches.includes('null') };
}

function malformed(reason: string, cause?: unknown): CdcError {
  return new CdcError('PROTOCOL_VIOLATION', `a schema line cannot be read: ${reason}`, { cause });
}
