import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseRowPrefix, type RowEvent, type RowValue } from '@afterimage/cdc-protocol';
import { rowLine } from '@afterimage/cdc-protocol/testing';
import { MessageDecoder } from '../src/decoding.js';
import type { CdcMessage } from '../src/messages.js';
import { afterHandshake, readReceived } from './support.js';

function decodeLines(text: string): CdcMessage[] {
  const messages: CdcMessage[] = [];
  new MessageDecoder().decode(text, messages);
  return messages;
}

function decodeRow(line: string): RowEvent {
  const [message] = decodeLines(`${line}\n`);
  if (message?.kind !== 'row') throw new Error('not a row');
  return message;
}

const prefix =
  '{"domain": 0, "server_id": 1, "sequence": 14, "event_number": 1, "timestamp": 1795347409, "event_type": "insert"';

describe('the prefix of a row', () => {
  it('is read without reading the columns', () => {
    expect(parseRowPrefix(`${prefix}, "id": what is this`)).toEqual({
      domain: 0,
      serverId: 1,
      sequence: 14,
      eventNumber: 1,
      timestamp: 1795347409,
      operation: 'insert',
      end: prefix.length,
    });
  });

  it('is read whatever 32-bit values and operation it has, and wrapped values are put right', () => {
    const uint32 = fc.nat({ max: 2 ** 32 - 1 });
    const operations = fc.constantFrom('insert', 'update_before', 'update_after', 'delete');
    fc.assert(
      fc.property(uint32, uint32, uint32, uint32, uint32, operations, (...parts) => {
        const [domain, serverId, sequence, eventNumber, timestamp, operation] = parts;
        const event = { domain, serverId, sequence, eventNumber, timestamp, operation };
        expect(parseRowPrefix(rowLine(event, [], {}))).toMatchObject(event);
      }),
    );
  });

  it('of the recorded wraps has the unsigned values', () => {
    const events = decodeLines(afterHandshake(readReceived('extra', 'wrap')).toString()).filter(
      (message) => message.kind === 'row',
    );
    expect(events.map(({ domain, serverId, sequence }) => [domain, serverId, sequence])).toEqual([
      [0, 1, 6],
      [0, 4294967295, 7],
      [0, 2147483648, 8],
      [4294967295, 1, 1],
      [0, 1, 2147483647],
      [0, 1, 2147483648],
      [0, 1, 3],
    ]);
  });

  it.each([
    ['', 'nothing'],
    [prefix.replace('"domain"', '"Domain"'), 'another key'],
    [prefix.replaceAll(': ', ':'), 'another spacing'],
    [prefix.replace('insert', 'upsert'), 'another operation'],
    [prefix.replace('14', '14.5'), 'a fraction'],
    [prefix.replace('14', '-2147483649'), 'less than 32 bits hold'],
    [prefix.replace('14', '9007199254740993'), 'more than 2^53'],
    [prefix.slice(0, 60), 'half of it'],
  ])('is refused as a protocol violation: %s (%s)', (line) => {
    expect(() => parseRowPrefix(line)).toThrow(expect.objectContaining({ code: 'PROTOCOL_VIOLATION' }));
  });
});

const integers = fc.oneof(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 64n - 1n }), fc.maxSafeInteger());
const values: fc.Arbitrary<RowValue> = fc.oneof(
  integers.map((value) => (Number.isSafeInteger(Number(value)) ? Number(value) : value)),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.string({ unit: 'binary' }),
  fc.constantFrom(null, '\0', '\u2028', '\\', '"', '\\"', '": 1}', '', '\u001f\u007f\ud83d\ude80'),
);
const names = fc.oneof(
  fc.constantFrom('__proto__', 'constructor', 'toString', 'a"b', 'back\\slash', '0', '', 'ünï'),
  fc.string(),
);

function writeValue(value: RowValue): string {
  if (typeof value === 'bigint') return value.toString();
  if (typeof value !== 'number' || Number.isSafeInteger(value))
    return Object.is(value, -0) ? '-0.0' : JSON.stringify(value);
  return Number.isInteger(value) ? value.toExponential() : String(value);
}

describe('the columns of a row', () => {
  it('come without loss: integers of 64 bits, any text, any column name', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.tuple(names, values), { selector: ([name]) => name, maxLength: 8 }), (columns) => {
        const text = columns.map(([name, value]) => `, ${JSON.stringify(name)}: ${writeValue(value)}`).join('');
        const row = decodeRow(`${prefix}${text}}`).row();
        expect(Object.getPrototypeOf(row)).toBeNull();
        expect(new Map(Object.entries(row))).toEqual(new Map(columns));
      }),
      { numRuns: 500 },
    );
  });

  it('are read anew at each call, so that a caller may change what it got', () => {
    const event = decodeRow(`${prefix}, "id": 1}`);
    event.row()['id'] = 2;
    expect({ ...event.row() }).toEqual({ id: 1 });
  });

  it.each(['', ', "a"}', ', "a": }', ', "a": tru}', ', "a": [1]}', ', "a": "x}', ', "a": "\\x"}', ', "a": 01}', '} x'])(
    'are refused as a protocol violation when they are not flat JSON: %s',
    (text) => {
      const event = decodeRow(`${prefix}${text}`);
      expect(() => event.row()).toThrow(expect.objectContaining({ code: 'PROTOCOL_VIOLATION' }));
    },
  );
});

describe('lines that are not rows', () => {
  it('are errors with a code, fatal or not', () => {
    const texts = [
      'ERR NO-FILE Filename not specified.',
      "ERR NO-FILE File 'a.b.000001.avro' not found.",
      'ERR: Unknown command',
      'ERR fatal error: MAXAVRO_ERR_IO',
      'ERR REQUEST-DATA with no data.',
      'ERR, code 12, msg: Registration failed',
      'ERROR: Authentication failed',
      'ERR something new',
    ];
    const messages = decodeLines(texts.map((text) => `${text}\n`).join(''));
    expect(messages.map((message) => message.kind === 'error' && [message.code, message.fatal])).toEqual([
      ['NO_SUCH_FILE', false],
      ['NO_SUCH_FILE', false],
      ['UNKNOWN_COMMAND', false],
      ['FATAL', true],
      ['REQUEST_WITHOUT_NAME', false],
      ['REGISTRATION_FAILED', true],
      ['AUTH_FAILED', true],
      ['OTHER', false],
    ]);
  });

  it('may be one error text that holds newlines', () => {
    const text = "ERR NO-FILE File 'smoke.t2\n\n.000001.avro' not found.";
    expect(decodeLines(`${text}\n${prefix}}\n`).map((message) => message.kind === 'error' && message.text)).toEqual([
      text,
      false,
    ]);
  });

  it('end an error text that was cut for good', () => {
    const messages = decodeLines(`ERR NO-FILE File 'smoke.t2\n${prefix}}\n`);
    expect(messages.map(({ kind }) => kind)).toEqual(['error', 'row']);
  });

  it('are protocol violations otherwise, after the messages before them', () => {
    for (const line of ['HTTP/1.1 400 Bad Request', '{"a":1}', '{', '[]', '"ERR"']) {
      const messages: CdcMessage[] = [];
      expect(() => new MessageDecoder().decode(`${prefix}}\n${line}\n`, messages)).toThrow(
        expect.objectContaining({ code: 'PROTOCOL_VIOLATION' }),
      );
      expect(messages).toHaveLength(1);
    }
  });

  it('may describe a field with its Avro type in any of its three JSON shapes', () => {
    const types = [
      '"int"',
      '["null","long"]',
      '{"type":"enum","name":"E","symbols":[]}',
      '["null",{"type":"array"}]',
      '["string"]',
    ];
    const fields = types.map((type, index) => `{"name":"c${index}","type":${type}}`).join(',');
    const [schema] = decodeLines(
      `{"namespace":"n","database":"d","table":"t","version":3,"gtid":"0-1-2","fields":[${fields}]}\n`,
    );
    expect(schema?.kind === 'schema' && schema.fields).toEqual(
      [
        ['int', false],
        ['long', true],
        ['enum', false],
        ['array', true],
        ['string', false],
      ].map(([avroType, nullable], index) => ({
        name: `c${index}`,
        realType: '',
        avroType,
        nullable,
        length: -1,
        unsigned: false,
      })),
    );
  });
});
