import { readFileSync } from 'node:fs';
import { connect as connectTcp, type Socket } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import {
  inserted,
  loadTranscript,
  rowLine,
  updated,
  type FakeMaxScale,
  type ScriptedTable,
} from '@afterimage/cdc-protocol/testing';
import { createOrders, orderColumns, orders, startServer } from './server-fixture.js';
import {
  afterHandshake,
  connectTo,
  drain,
  eventually,
  listTranscripts,
  readReceived,
  take,
  transcripts,
} from './support.js';

/** A client of bare packets and bytes. */
class RawClient {
  readonly #socket: Socket;
  #received = Buffer.alloc(0);
  #ended = false;
  #waiter = (): void => undefined;

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (bytes: Buffer) => {
      this.#received = Buffer.concat([this.#received, bytes]);
      this.#waiter();
    });
    socket.on('close', () => {
      this.#ended = true;
      this.#waiter();
    });
  }

  static async open({ host, port }: FakeMaxScale): Promise<RawClient> {
    const socket = connectTcp({ host, port, noDelay: true });
    await new Promise<void>((resolve) => {
      socket.once('connect', resolve);
    });
    onTestFinished(() => void socket.destroy());
    return new RawClient(socket);
  }

  get received(): Buffer {
    return this.#received;
  }

  get ended(): boolean {
    return this.#ended;
  }

  send(packet: string | Buffer): Promise<void> {
    return new Promise((resolve) => {
      this.#socket.write(packet, () => resolve());
    });
  }

  shutDownWriting(): void {
    this.#socket.end();
  }

  async waitFor(condition: (client: RawClient) => boolean): Promise<void> {
    while (!condition(this)) {
      await new Promise<void>((resolve) => {
        this.#waiter = resolve;
      });
    }
  }
}

interface RecordedCase {
  packets: { send: string; replyBytes: number }[];
  end: 'open' | 'closed';
}

const recordedCases = JSON.parse(readFileSync(join(transcripts, 'handshake', 'packets.json'), 'utf8')) as Record<
  string,
  RecordedCase
>;
const authentication = Buffer.from('6d6178757365723a4a8bbec273435b777d0f3d71441e173f8968e2f1');
const registration = 'REGISTER UUID=11ec2300-2e23-11e6-8308-0002a5d5c51b, TYPE=JSON';

/** Sends recorded packets, each when the answer to the one before has come in its recorded length. */
async function converse(server: FakeMaxScale, packets: RecordedCase['packets']): Promise<RawClient> {
  const client = await RawClient.open(server);
  let expected = 0;
  let sent = 0;
  for (const { send, replyBytes } of packets) {
    await client.send(Buffer.from(send, 'latin1'));
    expected += replyBytes;
    sent++;
    await client.waitFor(({ received, ended }) => received.length >= expected || ended);
    // Packets that follow one without an answer must not reach the server in one read with it.
    await eventually(() => client.ended || server.connections.at(-1)?.packets === sent);
  }
  return client;
}

/** A round trip on the same connection: what was going to come before its answer has come. */
async function provoke(client: RawClient): Promise<Buffer> {
  const answer = Buffer.from('ERR: Unknown command\n\0');
  await client.send('FOO');
  await client.waitFor(({ received, ended }) => ended || received.includes(answer));
  const before = client.received.indexOf(answer);
  return client.received.subarray(0, before === -1 ? undefined : before);
}

describe('for the packets of every recorded handshake the fake server', () => {
  const names = Object.keys(recordedCases).filter((name) => name !== 'register-avro');

  it.each(names)('sends the recorded bytes and ends as recorded: %s', async (name) => {
    const { packets, end } = recordedCases[name] ?? { packets: [], end: 'open' };
    const recorded = readReceived('handshake', name);
    const server = await startServer();
    const stream = afterHandshake(recorded);
    // Some cases ended with an unknown command; that is not part of the table.
    server
      .table('smoke', 't2')
      .load(stream.includes('"namespace"') ? stream : afterHandshake(readReceived('handshake', 'request-ok')));
    server.table('smoke', 'norows').create(orderColumns);
    const client = await converse(server, packets);
    if (name === 'half-close') client.shutDownWriting();
    if (end === 'closed') await client.waitFor(({ ended }) => ended);
    expect(client.received.toString()).toBe(recorded.toString());
    expect(client.ended).toBe(end === 'closed');
  });

  it('covers the recordings that have their packets listed', () => {
    const unlisted = listTranscripts('handshake').filter((name) => recordedCases[name] === undefined);
    expect(unlisted.sort()).toEqual(['request-two-tables', 'unknown-then-row']);
  });
});

describe('for a request with a GTID the fake server', () => {
  /** Rows that were there when the case was recorded. */
  const groups: Record<string, { folder: string; table: [string, string]; rows: string; cases: string[] }> = {
    'early cases': {
      folder: 'resume',
      table: ['res', 't'],
      rows: 'none',
      cases: ['none', 'first', 'middle', 'middle-update', 'last', 'other-table', 'before-first', 'zero'],
    },
    'odd forms': {
      folder: 'resume',
      table: ['res', 't'],
      rows: 'form-two',
      cases: listTranscripts('resume').filter((name) => name.startsWith('form-') && !name.endsWith('-long')),
    },
    'several domains': {
      folder: 'resume',
      table: ['res', 'm'],
      rows: 'multi-none',
      cases: ['multi-none', 'multi-1', 'multi-3', 'multi-4', 'multi-5'],
    },
    'wrapped sequences': {
      folder: 'extra',
      table: ['ex', 'w'],
      rows: 'wrap',
      cases: listTranscripts('extra').filter((name) => name.startsWith('wrap')),
    },
  };

  it.each(Object.entries(groups))('sends the recorded bytes: %s', async (_group, { folder, table, rows, cases }) => {
    const server = await startServer();
    server.table(...table).load(readReceived(folder, rows));
    for (const name of cases) {
      const { sent, received } = await loadTranscript(join(transcripts, folder), name);
      const request = sent.subarray(authentication.length + registration.length);
      const client = await converse(server, [
        { send: authentication.toString(), replyBytes: 4 },
        { send: registration, replyBytes: 3 },
        { send: request.toString('latin1'), replyBytes: received.length - 7 },
      ]);
      expect([name, (await provoke(client)).toString()]).toEqual([name, received.toString()]);
    }
  });

  it.each(['future', 'far-future', 'wrong-server', 'wrong-domain'])(
    'is silent, or begins later, as recorded: %s',
    async (name) => {
      const { sent, received } = await loadTranscript(join(transcripts, 'resume'), name);
      const server = await startServer();
      const table = server.table('res', 't');
      table.load(readReceived('resume', 'none'));
      const schemaBytes = afterHandshake(readReceived('resume', 'none')).indexOf(10) + 1;
      const client = await converse(server, [
        { send: authentication.toString(), replyBytes: 4 },
        { send: registration, replyBytes: 3 },
        { send: sent.subarray(authentication.length + registration.length).toString(), replyBytes: schemaBytes },
      ]);
      const later = readReceived('resume', 'form-two').subarray(readReceived('resume', 'none').length).toString();
      for (const line of later.split(/(?<=\n)/)) table.appendLines(line);
      // The recording of `future` ends with sequence 15; later rows came after it.
      await client.waitFor((current) => current.received.length >= received.length);
      const got = await provoke(client);
      expect(got.subarray(0, received.length).toString()).toBe(received.toString());
      expect(name === 'future' || got.length === received.length).toBe(true);
    },
  );
});

describe('recorded DDL', () => {
  it('gives fresh connections the recorded bytes for every version and GTID asked for', async () => {
    const names = listTranscripts('ddl');
    const server = await startServer();
    let compared = 0;
    for (const name of names.filter((candidate) => candidate.endsWith('-fresh0'))) {
      const full = await loadTranscript(join(transcripts, 'ddl'), name);
      const [, database = '', table = ''] = /REQUEST-DATA (\w+)\.(\w+)$/.exec(full.sent.toString()) ?? [];
      if (database === '' || !full.received.includes('"namespace"')) continue;
      server.table(database, table).load(full.received);
      const siblings = names.filter((candidate) => candidate.replace(/\d+$/, '0') === name);
      for (const sibling of siblings) {
        const { sent, received } = await loadTranscript(join(transcripts, 'ddl'), sibling);
        const request = sent.subarray(authentication.length + registration.length).toString();
        if (!new RegExp(`^REQUEST-DATA ${database}\\.${table}(\\W|$)`).test(request)) continue;
        const client = await converse(server, [
          { send: authentication.toString(), replyBytes: 4 },
          { send: registration, replyBytes: 3 },
          { send: request, replyBytes: received.length - 7 },
        ]);
        expect([sibling, (await provoke(client)).toString()]).toEqual([sibling, received.toString()]);
        compared++;
      }
    }
    expect(compared).toBeGreaterThan(150);
  });
});

describe('scripted tables', () => {
  async function readAll(server: FakeMaxScale, request: object, count: number): Promise<string[]> {
    const connection = await connectTo(server);
    await connection.requestData({ ...orders, ...request });
    const messages = await take(connection, count);
    await connection.close();
    return messages.map((message) => {
      if (message.kind === 'error') return message.text;
      return message.kind === 'schema'
        ? `v${message.version} ${message.gtid}`
        : `${message.sequence}#${message.eventNumber}`;
    });
  }

  it('number the events of a transaction over all its tables', async () => {
    const server = await startServer();
    const table = server.table('shop', 'orders');
    const other = server.table('shop', 'customers');
    table.create(orderColumns);
    other.create(orderColumns);
    const changes = [...inserted({ id: 1 }), ...updated({ id: 1 }, { id: 2 })];
    const gtid = server.commit([
      ...inserted({ id: 9 }).map((change) => ({ ...change, table: other })),
      ...changes.map((change) => ({ ...change, table })),
    ]);
    expect(gtid).toBe('0-1-3');
    expect(await readAll(server, {}, 4)).toEqual(['v1 0-1-1', '3#2', '3#3', '3#4']);
  });

  it('make one version of two ALTERs without rows between, and two of CREATE, DROP, CREATE', async () => {
    const server = await startServer();
    const table = createOrders(server, 1);
    table.alter(orderColumns);
    table.alter(orderColumns);
    table.append(inserted({ id: 2 }));
    table.create(orderColumns);
    table.create(orderColumns);
    table.append(inserted({ id: 3 }));
    expect(await readAll(server, {}, 4)).toEqual(['v1 0-1-1', '2#1', 'v2 0-1-4', '5#1']);
    expect(await readAll(server, { version: 3 }, 1)).toEqual(["ERR NO-FILE File 'shop.orders.000003.avro' not found."]);
    expect(await readAll(server, { version: 4 }, 2)).toEqual(['v4 0-1-7', '8#1']);
  });

  it('rotate into a new version of the same fields and GTID with the next row', async () => {
    const server = await startServer();
    const table = createOrders(server, 1);
    table.rotate();
    table.append(inserted({ id: 2 }));
    expect(await readAll(server, {}, 4)).toEqual(['v1 0-1-1', '2#1', 'v2 0-1-1', '3#1']);
  });

  it('have a schema line before any row where somebody else opens the version', async () => {
    const server = await startServer();
    const table = createOrders(server, 1);
    table.open({ version: 4, gtid: '7-1-9', columns: orderColumns });
    expect(await readAll(server, { version: 4 }, 1)).toEqual(['v4 7-1-9']);
    table.append(inserted({ id: 2 }));
    table.alter(orderColumns);
    table.append(inserted({ id: 3 }));
    expect(await readAll(server, { version: 4 }, 4)).toEqual(['v4 7-1-9', '3#1', 'v5 0-1-4', '5#1']);
  });

  it('are sent, without their schema line, to whoever asked before anything was known of them', async () => {
    const server = await startServer();
    const early = await connectTo(server);
    await early.requestData(orders);
    expect((await take(early, 1))[0]).toMatchObject({ kind: 'error', code: 'NO_SUCH_FILE' });
    createOrders(server, 1);
    expect((await take(early, 1))[0]).toMatchObject({ kind: 'row' });
  });

  it('answer NO-FILE for a pruned version and go on from a later one', async () => {
    const server = await startServer();
    const table = createOrders(server, 1);
    table.rotate();
    table.append(inserted({ id: 2 }));
    table.prune(1);
    expect(await readAll(server, {}, 1)).toEqual(["ERR NO-FILE File 'shop.orders.000001.avro' not found."]);
    expect(await readAll(server, { version: 2 }, 2)).toEqual(['v2 0-1-1', '3#1']);
  });

  it('that failed end every stream after their rows: twice told to a live one, once to a fresh one', async () => {
    const server = await startServer();
    const table = createOrders(server, 1);
    const live = await connectTo(server);
    await live.requestData(orders);
    await take(live, 2);
    table.fail('MAXAVRO_ERR_IO');
    table.append(inserted({ id: 2 }));
    expect((await drain(live)).messages).toHaveLength(2);
    const fresh = await connectTo(server);
    await fresh.requestData(orders);
    const { messages, error } = await drain(fresh);
    expect(messages.map(({ kind }) => kind)).toEqual(['schema', 'row', 'error']);
    expect(error).toMatchObject({ code: 'CLOSED_BY_SERVER' });
  });

  it('hand out GTIDs of another server after a failover', async () => {
    const server = await startServer();
    const table = createOrders(server, 1);
    server.clock.serverId = 2;
    expect(table.append(inserted({ id: 2 }))).toBe('0-2-3');
    server.clock.domain = 7;
    expect(table.append(inserted({ id: 3 }))).toBe('7-2-1');
    expect(table.append(inserted({ id: 4 }), { gtid: '7-2-100' })).toBe('7-2-100');
    expect(table.append(inserted({ id: 5 }))).toBe('7-2-101');
  });

  it('may be generated: 200,000 rows in little memory, resumable by GTID, and live after them', async () => {
    const server = await startServer();
    const table: ScriptedTable = server.table('shop', 'orders');
    table.create(orderColumns);
    table.source(function* () {
      for (let block = 0; block < 200; block++) {
        let lines = '';
        for (let row = 1; row <= 1000; row++) {
          const event = {
            domain: 0,
            serverId: 1,
            sequence: 2 + block,
            eventNumber: row,
            timestamp: 1,
            operation: 'insert',
          } as const;
          lines += rowLine(event, orderColumns, { id: block * 1000 + row, note: 'x'.repeat(100) });
        }
        yield Buffer.from(lines);
      }
    });
    table.append(inserted({ id: -1 }), { gtid: '0-1-1000' });
    const connection = await connectTo(server);
    await connection.requestData({ ...orders, gtid: '0-1-100' });
    let rows = 0;
    let first: number | undefined;
    let peak = 0;
    for await (const batch of connection.messages()) {
      for (const message of batch) {
        if (message.kind !== 'row') continue;
        first ??= message.sequence;
        rows++;
      }
      peak = Math.max(peak, process.memoryUsage().arrayBuffers);
      if (rows === 102_001) break;
    }
    expect([first, rows]).toEqual([100, 102_001]);
    expect(peak).toBeLessThan(100 * 1024 * 1024);
    await connection.close();
  });
});

describe('faults', () => {
  it('after a number of bytes cut the stream exactly there', async () => {
    const server = await startServer();
    createOrders(server, 3);
    server.inject({ at: { bytes: 100 }, action: { kind: 'drop' } });
    const client = await converse(server, [
      { send: authentication.toString(), replyBytes: 4 },
      { send: registration, replyBytes: 3 },
      { send: 'REQUEST-DATA shop.orders', replyBytes: 1000 },
    ]);
    await client.waitFor(({ ended }) => ended);
    expect(client.received.length).toBe(100);
  });

  it('strike the given number of connections and then no more', async () => {
    const server = await startServer();
    createOrders(server, 1);
    server.inject({ at: 'after-schema', action: { kind: 'drop' }, connections: 2 });
    const counts: number[] = [];
    for (let i = 0; i < 3; i++) {
      const connection = await connectTo(server);
      await connection.requestData(orders);
      if (i < 2) counts.push((await drain(connection)).messages.length);
      else counts.push((await take(connection, 2)).length);
      if (i === 2) await connection.close();
    }
    expect(counts).toEqual([1, 1, 2]);
  });

  it('that stall hold the stream until they are released', async () => {
    const server = await startServer();
    createOrders(server, 2);
    const stall = server.inject({ at: 'mid-row', occurrence: 2, action: { kind: 'stall' } });
    const connection = await connectTo(server);
    await connection.requestData(orders);
    expect(await take(connection, 2)).toHaveLength(2);
    await stall.struck;
    const rest = take(connection, 1);
    stall.release();
    expect(await rest).toHaveLength(1);
    await connection.close();
  });

  it('that delay only delay', async () => {
    const server = await startServer();
    createOrders(server, 2);
    server.inject({ at: 'after-request', action: { kind: 'delay', ms: 50 } });
    const connection = await connectTo(server);
    const start = performance.now();
    await connection.requestData(orders);
    expect(await take(connection, 3)).toHaveLength(3);
    expect(performance.now() - start).toBeGreaterThan(45);
    await connection.close();
  });
});
