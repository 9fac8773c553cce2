import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MessageDecoder } from '../src/decoding.js';
import { LineFramer } from '../src/framing.js';
import { schemaLine, rowLine, type Column } from '@afterimage/cdc-protocol/testing';
import type { CdcMessage, SchemaMessage } from '@afterimage/cdc-protocol';
import { readPlainly, type PlainMessage } from './json-oracle.js';
import { afterHandshake, listTranscripts, readReceived } from './support.js';

const folders = ['types', 'types-show-create', 'dml', 'ddl', 'resume', 'ops', 'extra'];
const recordings = folders.flatMap((folder) =>
  listTranscripts(folder).map((name) => ({ folder, name, stream: afterHandshake(readReceived(folder, name)) })),
);

function decode(chunks: Iterable<Buffer>): CdcMessage[] {
  const framer = new LineFramer(1 << 20);
  const decoder = new MessageDecoder();
  const messages: CdcMessage[] = [];
  for (const chunk of chunks) framer.push(chunk, (lines) => decoder.decode(lines, messages));
  return messages;
}

function simplify(message: CdcMessage): PlainMessage {
  switch (message.kind) {
    case 'schema':
      return {
        kind: 'schema',
        version: message.version,
        gtid: message.gtid,
        columns: message.fields.map(({ name }) => name),
        types: message.fields.map(({ avroType }) => avroType),
        raw: message.raw,
      };
    case 'row': {
      const { domain, serverId, sequence, eventNumber, timestamp, operation, raw } = message;
      const columns = Object.entries(message.row());
      return { kind: 'row', prefix: [domain, serverId, sequence, eventNumber, timestamp], operation, columns, raw };
    }
    case 'error':
      return { kind: 'error', text: message.text };
  }
}

describe.each(folders)('recordings of %s', (folder) => {
  const streams = recordings.filter((recording) => recording.folder === folder);

  it('decode to what a plain reading of their JSON gives', () => {
    for (const { name, stream } of streams) {
      expect([name, decode([stream]).map(simplify)]).toEqual([name, readPlainly(stream)]);
    }
  });

  it('decode the same byte by byte', () => {
    for (const { name, stream } of streams.filter(({ stream: { length } }) => length < 50_000)) {
      const bytes = Array.from(stream, (byte) => Buffer.from([byte]));
      expect([name, decode(bytes).map(simplify)]).toEqual([name, readPlainly(stream)]);
    }
  });

  it('decode the same cut at random places', () => {
    fc.assert(
      fc.property(fc.constantFrom(...streams), fc.array(fc.nat(), { maxLength: 12 }), ({ stream }, cuts) => {
        const ends = [...cuts.map((cut) => cut % (stream.length + 1)), stream.length].sort((a, b) => a - b);
        const chunks = ends.map((end, index) => stream.subarray(ends[index - 1] ?? 0, end));
        expect(decode(chunks).map(simplify)).toEqual(readPlainly(stream));
      }),
    );
  });
});

describe('the builders of the fake server', () => {
  /** The schema of each row of a stream. */
  function* pairRows(messages: CdcMessage[]): Generator<{ message: CdcMessage; schema: SchemaMessage | undefined }> {
    let schema: SchemaMessage | undefined;
    for (const message of messages) {
      if (message.kind === 'schema') schema = message;
      yield { message, schema };
    }
  }

  it('write every recorded schema line and row as MaxScale wrote it, byte for byte', () => {
    let compared = 0;
    for (const { folder, name, stream } of recordings) {
      for (const { message, schema } of pairRows(decode([stream]))) {
        if (message.kind === 'error' || schema === undefined) continue;
        const columns: readonly Column[] = schema.fields;
        const built =
          message.kind === 'schema' ? schemaLine({ ...message, columns }) : rowLine(message, columns, message.row());
        expect([folder, name, built]).toEqual([folder, name, `${message.raw}\n`]);
        compared++;
      }
    }
    expect(compared).toBeGreaterThan(5000);
  });

  it('give a column the Avro type that avrorouter gave it', () => {
    const wrong = new Set<string>();
    for (const { stream } of recordings) {
      for (const message of decode([stream])) {
        if (message.kind !== 'schema') continue;
        const columns = message.fields.map(({ name, realType, unsigned }) => ({ name, realType, unsigned }));
        if (schemaLine({ ...message, columns }) !== `${message.raw}\n`) {
          for (const { realType, avroType } of message.fields) wrong.add(`${realType} ${avroType}`);
        }
      }
    }
    expect([...wrong]).toEqual([]);
  });
});
