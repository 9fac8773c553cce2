import { type Json, itemsOf, membersOf, numberTextOf, readObject, stringOf } from './lossless-json.js';

/** One column of a schema line. */
export interface OracleField {
  readonly name: string;
  readonly realType: string;
  readonly avroType: string;
  readonly unsigned: boolean;
}

/** A schema that took effect: rows came under it and its fields differ from those before. */
export interface OracleSchema {
  readonly fields: readonly OracleField[];
  /** Number of the first event under it, from 1. */
  readonly firstEvent: number;
}

export interface OracleEvent {
  readonly operation: string;
  readonly domain: bigint;
  readonly serverId: bigint;
  readonly sequence: bigint;
  readonly eventNumber: bigint;
  /** Unix seconds. */
  readonly timestamp: bigint;
  readonly values: ReadonlyMap<string, Json>;
  readonly schema: OracleSchema;
}

export interface OracleStream {
  readonly database: string;
  readonly table: string;
  readonly schemas: readonly OracleSchema[];
  readonly events: readonly OracleEvent[];
}

const prefixLength = 6;
const schemaStart = '{"namespace"';
const rowStart = '{"domain"';
const newline = 0x0a;

/**
 * Reads the bytes that a MaxScale once sent as one table's stream. Lines that are neither schema nor row (greetings,
 * errors) are passed over, as is a last line without its end. Events at or before one of the same domain that came
 * earlier are repetitions and dropped.
 */
export function readRecordedStream(bytes: Buffer): OracleStream {
  const schemas: OracleSchema[] = [];
  const events: OracleEvent[] = [];
  const progress = new Map<bigint, EventPlace>();
  let identity = { database: '', table: '' };
  let announced: readonly OracleField[] = [];
  for (const line of splitLines(bytes)) {
    if (line.startsWith(schemaStart)) {
      const members = readObject(line);
      identity = { database: stringOf(members.get('database')), table: stringOf(members.get('table')) };
      announced = itemsOf(members.get('fields')).slice(prefixLength).map(readField);
    } else if (line.startsWith(rowStart)) {
      const members = readObject(line);
      const place = placeOf(members, progress);
      if (place === null) continue;
      progress.set(place.domain, place);
      if (!sameFields(schemas.at(-1)?.fields, announced)) {
        schemas.push({ fields: announced, firstEvent: events.length + 1 });
      }
      events.push(readEvent(members, place, schemas.at(-1)));
    }
  }
  return { ...identity, schemas, events };
}

function* splitLines(bytes: Buffer): Generator<string> {
  let start = 0;
  for (let end = bytes.indexOf(newline); end !== -1; end = bytes.indexOf(newline, start)) {
    // A NUL follows the newline of "ERR: Unknown command" and so begins the line after it.
    const text = bytes.toString('utf8', start, end);
    yield text.startsWith('\0') ? text.slice(1) : text;
    start = end + 1;
  }
}

function readField(value: Json): OracleField {
  const members = membersOf(value);
  const [, avroType] = itemsOf(members.get('type'));
  return {
    name: stringOf(members.get('name')),
    realType: stringOf(members.get('real_type')),
    avroType: stringOf(avroType),
    unsigned: readFlag(members.get('unsigned')),
  };
}

function readFlag(value: Json | undefined): boolean {
  return value?.kind === 'boolean' && value.value;
}

function sameFields(before: readonly OracleField[] | undefined, now: readonly OracleField[]): boolean {
  const textOf = (fields: readonly OracleField[]) =>
    JSON.stringify(fields.map((field) => [field.name, field.realType.toLowerCase(), field.avroType, field.unsigned]));
  return before !== undefined && textOf(before) === textOf(now);
}

interface EventPlace {
  readonly domain: bigint;
  readonly serverId: bigint;
  readonly sequence: bigint;
  readonly eventNumber: bigint;
}

/**
 * Where an event stands; null for a repetition. Sequences come modulo 2^32: what lies less than a quarter of that
 * behind the last one (counting round) was there before, and anything else is newer.
 */
function placeOf(members: ReadonlyMap<string, Json>, progress: ReadonlyMap<bigint, EventPlace>): EventPlace | null {
  const unsigned = (name: string) => BigInt.asUintN(32, BigInt(numberTextOf(members.get(name))));
  const domain = unsigned('domain');
  const place = { domain, serverId: unsigned('server_id'), eventNumber: unsigned('event_number') };
  const last = progress.get(domain);
  if (last === undefined) return { ...place, sequence: unsigned('sequence') };
  const ahead = BigInt.asUintN(32, unsigned('sequence') - last.sequence);
  const isNewer = ahead === 0n ? place.eventNumber > last.eventNumber : ahead < 3n * 2n ** 30n;
  return isNewer ? { ...place, sequence: last.sequence + ahead } : null;
}

function readEvent(
  members: ReadonlyMap<string, Json>,
  place: EventPlace,
  schema: OracleSchema | undefined,
): OracleEvent {
  if (schema === undefined) throw new Error('the recording holds rows before any schema');
  return {
    ...place,
    operation: stringOf(members.get('event_type')),
    timestamp: BigInt(numberTextOf(members.get('timestamp'))),
    values: new Map([...members].slice(prefixLength)),
    schema,
  };
}
