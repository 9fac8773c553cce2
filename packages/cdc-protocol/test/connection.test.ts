import { getEventListeners } from 'node:events';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { CdcConnection, CdcMessage } from '@afterimage/cdc-protocol';
import { deleted, inserted, updated } from '@afterimage/cdc-protocol/testing';
import { createOrders, orderColumns, orders, startServer } from './server-fixture.js';
import { connectTo, drain, eventually, codeOf, take } from './support.js';

function summarize(messages: CdcMessage[]): string[] {
  return messages.map((message) => {
    switch (message.kind) {
      case 'schema':
        return `schema ${message.version}`;
      case 'row':
        return `${message.operation} ${message.row()['id']}`;
      case 'error':
        return `error ${message.code}`;
    }
  });
}

/** Timers and sockets of this process. */
function countHandles(): number {
  return process.getActiveResourcesInfo().filter((name) => /Timeout|TCPSocketWrap|TLSWrap/.test(name)).length;
}

async function openOrders(rows: number): Promise<{ connection: CdcConnection } & Awaited<ReturnType<typeof setUp>>> {
  const setup = await setUp(rows);
  const connection = await connectTo(setup.server);
  await connection.requestData(orders);
  return { connection, ...setup };
}

async function setUp(rows: number) {
  const server = await startServer();
  return { server, table: createOrders(server, rows) };
}

describe('a stream', () => {
  it('gives the schema, the rows so far, then what happens, schema changes included', async () => {
    const { connection, table } = await openOrders(1);
    expect(summarize(await take(connection, 2))).toEqual(['schema 1', 'insert 1']);
    table.append(updated({ id: 1 }, { id: 2 }));
    table.alter([...orderColumns, { name: 'price', realType: 'decimal' }]);
    table.append([...inserted({ id: 3 }), ...deleted({ id: 2 })]);
    expect(summarize(await take(connection, 5))).toEqual([
      'update_before 1',
      'update_after 2',
      'schema 2',
      'insert 3',
      'delete 2',
    ]);
    await connection.close();
  });

  it('gives each row its position, time, operation, line and values', async () => {
    const server = await startServer();
    const table = server.table('shop', 'orders');
    table.create(
      [
        { name: 'id', realType: 'bigint' },
        { name: '__proto__', realType: 'text' },
      ],
      { gtid: '7-3-10' },
    );
    table.append(inserted({ id: 2n ** 63n - 1n, ['__proto__']: 'a\nb' }), {
      gtid: '7-3-4294967290',
      timestamp: 2 ** 31,
    });
    const connection = await connectTo(server);
    await connection.requestData(orders);
    const [schema, row] = await take(connection, 2);
    expect(schema).toMatchObject({
      kind: 'schema',
      namespace: 'MaxScaleChangeDataSchema.avro',
      database: 'shop',
      table: 'orders',
      version: 1,
      gtid: '7-3-10',
      fields: [
        { name: 'id', realType: 'bigint', avroType: 'long', nullable: true, length: -1, unsigned: false },
        { name: '__proto__', realType: 'text', avroType: 'bytes', nullable: true, length: -1, unsigned: false },
      ],
    });
    expect(row).toMatchObject({
      kind: 'row',
      domain: 7,
      serverId: 3,
      sequence: 4294967290,
      eventNumber: 1,
      timestamp: 2 ** 31,
      operation: 'insert',
      raw: '{"domain": 7, "server_id": 3, "sequence": -6, "event_number": 1, "timestamp": -2147483648, "event_type": "insert", "id": 9223372036854775807, "__proto__": "a\\nb"}',
    });
    expect(Object.entries(row?.kind === 'row' ? row.row() : {})).toEqual([
      ['id', 9223372036854775807n],
      ['__proto__', 'a\nb'],
    ]);
    await connection.close();
  });

  it('comes in batches or one by one, and goes on where an iteration was left', async () => {
    const { connection } = await openOrders(5);
    expect(summarize(await take(connection, 1))).toEqual(['schema 1']);
    expect(summarize(await take(connection, 2))).toEqual(['insert 1', 'insert 2']);
    const rest: CdcMessage[] = [];
    for await (const batch of connection.messages()) {
      expect(batch.length).toBeGreaterThan(0);
      rest.push(...batch);
      if (rest.length === 3) break;
    }
    expect(summarize(rest)).toEqual(['insert 3', 'insert 4', 'insert 5']);
    await connection.close();
  });

  it('begins at a version, at a GTID, or both', async () => {
    const server = await startServer();
    const table = createOrders(server, 2);
    table.alter(orderColumns);
    const gtid = table.append(inserted({ id: 3 }));
    table.append(inserted({ id: 4 }));
    const expected: [object, string[]][] = [
      [{ version: 2 }, ['schema 2', 'insert 3', 'insert 4']],
      [{ gtid }, ['schema 1', 'schema 2', 'insert 3', 'insert 4']],
      [{ version: 2, gtid }, ['schema 2', 'insert 3', 'insert 4']],
    ];
    for (const [start, messages] of expected) {
      const connection = await connectTo(server);
      await connection.requestData({ ...orders, ...start });
      expect(summarize(await take(connection, messages.length))).toEqual(messages);
      await connection.close();
    }
  });

  it('strips the NUL that an unknown command leaves before the next row', async () => {
    const server = await startServer();
    server.replay(
      Buffer.from(
        'OK\n\nOK\nERR: Unknown command\n\0{"domain": 0, "server_id": 1, "sequence": 7, "event_number": 1, "timestamp": 1795350683, "event_type": "insert", "id": 2}\n',
      ),
    );
    const connection = await connectTo(server);
    await connection.requestData(orders);
    const [error, row] = await take(connection, 2);
    expect(error).toMatchObject({ kind: 'error', code: 'UNKNOWN_COMMAND', fatal: false });
    expect(row?.kind === 'row' && row.raw.startsWith('{"domain"')).toBe(true);
    await connection.close();
  });
});

describe('TCP keep-alive', () => {
  /** Whether the kernel runs a keep-alive timer for a connection to that port (`tr` = 02 in /proc/net/tcp). */
  function hasKeepAliveTimer(port: number): boolean {
    const hexPort = port.toString(16).toUpperCase().padStart(4, '0');
    const toPort = new RegExp(`^ *\\d+: [0-9A-F:]+ [0-9A-F]+:${hexPort} 01 [0-9A-F:]+ 02:`, 'm');
    return toPort.test(readFileSync('/proc/net/tcp', 'latin1'));
  }

  it.runIf(process.platform === 'linux')('is on unless it is turned off', async () => {
    const { server } = await setUp(1);
    const off = await connectTo(server, { keepAliveMs: 0 });
    expect(hasKeepAliveTimer(server.port)).toBe(false);
    await off.close();
    const on = await connectTo(server, { keepAliveMs: 5000 });
    await eventually(() => hasKeepAliveTimer(server.port));
    await on.close();
  });
});

describe('requests', () => {
  it('for a table without a file are answered with NO_SUCH_FILE, and another may follow', async () => {
    const { server } = await setUp(1);
    const connection = await connectTo(server);
    await connection.requestData({ database: 'shop', table: 'customers' });
    expect(await take(connection, 1)).toEqual([
      {
        kind: 'error',
        code: 'NO_SUCH_FILE',
        fatal: false,
        text: "ERR NO-FILE File 'shop.customers.000001.avro' not found.",
      },
    ]);
    await connection.requestData({ ...orders, version: 2 });
    expect(summarize(await take(connection, 1))).toEqual(['error NO_SUCH_FILE']);
    await connection.requestData(orders);
    expect(summarize(await take(connection, 2))).toEqual(['schema 1', 'insert 1']);
    await connection.close();
  });

  it('that were refused begin to stream with the table’s first row, without a schema', async () => {
    const server = await startServer();
    const connection = await connectTo(server);
    const table = server.table('shop', 'orders');
    table.create(orderColumns);
    await connection.requestData(orders);
    expect(summarize(await take(connection, 1))).toEqual(['error NO_SUCH_FILE']);
    table.append(inserted({ id: 1 }));
    table.append(inserted({ id: 2 }));
    expect(summarize(await take(connection, 2))).toEqual(['insert 1', 'insert 2']);
    expect(await codeOf(connection.requestData(orders))).toBe('REQUEST_ACTIVE');
    await connection.close();
  });

  it('are refused while one is unanswered or streaming', async () => {
    const { connection } = await openOrders(1);
    expect(await codeOf(connection.requestData(orders))).toBe('REQUEST_ACTIVE');
    await take(connection, 2);
    expect(await codeOf(connection.requestData(orders))).toBe('REQUEST_ACTIVE');
    await connection.close();
  });

  it('that are invalid send nothing and leave the connection usable', async () => {
    const { server } = await setUp(1);
    const connection = await connectTo(server);
    expect(await codeOf(connection.requestData({ ...orders, gtid: '0-1-7-9' }))).toBe('INVALID_ARGUMENT');
    await connection.requestData(orders);
    expect(summarize(await take(connection, 1))).toEqual(['schema 1']);
    await connection.close();
  });
});

describe('the end of a stream', () => {
  it('by close() ends an iteration that waits, without an error', async () => {
    const { connection } = await openOrders(1);
    await take(connection, 2);
    const waiting = drain(connection);
    await connection.close();
    expect(await waiting).toEqual({ messages: [], error: undefined });
  });

  it('by close() drops what was received and not yet read', async () => {
    const { connection } = await openOrders(50);
    const seen: CdcMessage[] = [];
    for await (const message of connection) {
      seen.push(message);
      if (seen.length === 3) await connection.close();
    }
    expect(seen).toHaveLength(3);
    expect((await drain(connection)).messages).toEqual([]);
  });

  it('makes every later call fail with NOT_OPEN', async () => {
    const { connection } = await openOrders(1);
    await connection.close();
    expect(await codeOf(connection.close())).toBe('NOT_OPEN');
    expect(await codeOf(connection.requestData(orders))).toBe('NOT_OPEN');
  });

  it('by the server throws CLOSED_BY_SERVER after the messages that came first', async () => {
    const { server } = await setUp(3);
    server.inject({ at: 'after-row', occurrence: 2, action: { kind: 'drop' } });
    const connection = await connectTo(server);
    await connection.requestData(orders);
    const { messages, error } = await drain(connection);
    expect(summarize(messages)).toEqual(['schema 1', 'insert 1', 'insert 2']);
    expect(error).toMatchObject({ code: 'CLOSED_BY_SERVER' });
    expect(await codeOf(connection.close())).toBe('NOT_OPEN');
  });

  it('within a line does not give half a row, and says so', async () => {
    const { server } = await setUp(3);
    server.inject({ at: 'mid-row', occurrence: 2, action: { kind: 'drop' } });
    const connection = await connectTo(server);
    await connection.requestData(orders);
    const { messages, error } = await drain(connection);
    expect(summarize(messages)).toEqual(['schema 1', 'insert 1']);
    expect(error).toMatchObject({
      code: 'CLOSED_BY_SERVER',
      message: expect.stringContaining('in the middle of a line') as string,
    });
  });

  it('by a fatal server error gives the error, then CLOSED_BY_SERVER', async () => {
    const { connection, table } = await openOrders(1);
    await take(connection, 2);
    table.fail('MAXAVRO_ERR_MEMORY');
    const { messages, error } = await drain(connection);
    expect(new Set(summarize(messages))).toEqual(new Set(['error FATAL']));
    expect(error).toMatchObject({ code: 'CLOSED_BY_SERVER' });
  });

  it('by a reset is CONNECTION_LOST', async () => {
    const { connection, server } = await openOrders(1);
    await take(connection, 2);
    const waiting = drain(connection);
    server.disconnectAll('reset');
    expect((await waiting).error).toMatchObject({ code: 'CONNECTION_LOST' });
  });

  it('by garbage is a PROTOCOL_VIOLATION after the good messages, and the socket is closed', async () => {
    const { server } = await setUp(2);
    server.inject({ at: 'after-row', action: { kind: 'garbage' } });
    const connection = await connectTo(server);
    await connection.requestData(orders);
    const { messages, error } = await drain(connection);
    expect(summarize(messages)).toEqual(['schema 1', 'insert 1']);
    expect(error).toMatchObject({ code: 'PROTOCOL_VIOLATION' });
    await server.waitForConnections((count) => count === 0);
  });

  it('by a line above the limit is LINE_TOO_LONG', async () => {
    const { server, table } = await setUp(1);
    table.append(inserted({ id: 2, note: 'x'.repeat(5000) }));
    const connection = await connectTo(server, { maxLineBytes: 2000 });
    await connection.requestData(orders);
    const { messages, error } = await drain(connection);
    expect(summarize(messages)).toEqual(['schema 1', 'insert 1']);
    expect(error).toMatchObject({ code: 'LINE_TOO_LONG' });
  });

  it('is told again to an iteration that begins after it', async () => {
    const { connection, server } = await openOrders(1);
    server.disconnectAll();
    expect((await drain(connection)).error).toMatchObject({ name: 'CdcError' });
    expect((await drain(connection)).error).toMatchObject({ name: 'CdcError' });
  });
});

describe('an abort signal', () => {
  it('that has fired keeps connect from dialling', async () => {
    const server = await startServer();
    expect(await codeOf(connectTo(server, { signal: AbortSignal.abort() }))).toBe('ABORTED');
    expect(server.connections).toEqual([]);
  });

  it.each(['after-accept', 'after-auth'] as const)('ends a handshake that stalls %s', async (at) => {
    const server = await startServer();
    const stall = server.inject({ at, action: { kind: 'stall' } });
    const controller = new AbortController();
    const dialled = codeOf(connectTo(server, { signal: controller.signal }));
    await stall.struck;
    controller.abort(new Error('shutting down'));
    expect(await dialled).toBe('ABORTED');
    await server.waitForConnections((count) => count === 0);
  });

  it('ends iterations without an error and leaves neither socket nor timer nor listener', async () => {
    const { server } = await setUp(100);
    const before = countHandles();
    const controller = new AbortController();
    const connection = await connectTo(server, { signal: controller.signal, timeouts: { idleMs: 60_000 } });
    await connection.requestData(orders);
    const seen: CdcMessage[] = [];
    for await (const message of connection) {
      seen.push(message);
      if (seen.length === 10) controller.abort();
    }
    expect(seen).toHaveLength(10);
    expect(await codeOf(connection.close())).toBe('NOT_OPEN');
    await server.waitForConnections((count) => count === 0);
    await eventually(() => countHandles() <= before);
  });

  it('after close() does nothing, and holds no connection any more', async () => {
    const { server } = await setUp(1);
    const controller = new AbortController();
    const connection = await connectTo(server, { signal: controller.signal });
    expect(getEventListeners(controller.signal, 'abort')).toHaveLength(1);
    await connection.close();
    expect(getEventListeners(controller.signal, 'abort')).toHaveLength(0);
    controller.abort();
    expect((await drain(connection)).error).toBeUndefined();
  });
});

describe('back-pressure', () => {
  it('stops the socket of a stream that nobody reads, and nothing is lost when reading goes on', async () => {
    const server = await startServer();
    const table = server.table('shop', 'orders');
    table.create(orderColumns);
    const row =
      '{"domain": 0, "server_id": 1, "sequence": 2, "event_number": 1, "timestamp": 1, "event_type": "insert", "id": 1}\n';
    const block = Buffer.from(row.repeat(500));
    const blocks = 2000;
    table.source(function* () {
      for (let i = 0; i < blocks; i++) yield block;
    });
    const connection = await connectTo(server);
    await connection.requestData(orders);
    await take(connection, 1);
    let sent = 0;
    let unchanged = 0;
    await eventually(() => {
      const now = server.connections[0]?.bytesSent ?? 0;
      unchanged = now === sent ? unchanged + 1 : 0;
      sent = now;
      return unchanged === 40;
    });
    // The socket buffers of both kernels are full, the server waits, and most of the stream was never sent.
    expect(server.connections[0]?.bytesWaiting).toBeGreaterThan(0);
    expect(sent).toBeLessThan((block.length * blocks) / 4);
    let rows = 0;
    for await (const batch of connection.messages()) {
      rows += batch.length;
      if (rows >= 500 * blocks) break;
    }
    expect(rows).toBe(500 * blocks);
    await connection.close();
  });

  it('refuses a second iteration that waits at the same time', async () => {
    const { connection } = await openOrders(1);
    await take(connection, 2);
    const first = drain(connection);
    expect((await drain(connection)).error).toMatchObject({ code: 'CONCURRENT_READ' });
    await connection.close();
    expect((await first).error).toBeUndefined();
  });
});
