import { createServer, type AddressInfo, type Socket } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { connect } from '@afterimage/cdc-protocol';
import { inserted } from '@afterimage/cdc-protocol/testing';
import { createOrders, orders, startServer } from './server-fixture.js';
import { connectTo, drain, codeOf, take } from './support.js';

/** A listener that accepts and reads nothing, or whatever `onSocket` does. */
async function listen(onSocket: (socket: Socket) => void): Promise<{ host: string; port: number }> {
  const sockets: Socket[] = [];
  const server = createServer({ pauseOnConnect: true }, (socket) => {
    sockets.push(socket);
    socket.on('error', () => undefined);
    onSocket(socket);
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  onTestFinished(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => {
      server.close(resolve);
    });
  });
  return { host: '127.0.0.1', port: (server.address() as AddressInfo).port };
}

async function measure<T>(work: Promise<T>): Promise<{ ms: number; result: T }> {
  const start = performance.now();
  const result = await work;
  return { ms: performance.now() - start, result };
}

const login = { user: 'maxuser', password: 'maxpwd' };
const patient = { dialMs: 60_000, handshakeMs: 60_000, writeMs: 60_000 };

describe('time-outs', () => {
  it('dialMs ends a dial whose TLS handshake is not answered', async () => {
    const address = await listen(() => undefined);
    const dialled = connect({ ...address, ...login, tls: {}, timeouts: { ...patient, dialMs: 80 } });
    const { ms, result } = await measure(codeOf(dialled));
    expect(result).toBe('DIAL_TIMEOUT');
    expect(ms).toBeGreaterThan(70);
    expect(ms).toBeLessThan(5000);
  });

  it('handshakeMs ends the wait for the answer to the authentication', async () => {
    const address = await listen(() => undefined);
    const dialled = connect({ ...address, ...login, timeouts: { ...patient, handshakeMs: 80 } });
    const { ms, result } = await measure(codeOf(dialled));
    expect(result).toBe('HANDSHAKE_TIMEOUT');
    expect(ms).toBeGreaterThan(70);
  });

  it('handshakeMs ends the wait for the answer to REGISTER', async () => {
    const server = await startServer();
    server.inject({ at: 'after-auth', action: { kind: 'stall' } });
    expect(await codeOf(connectTo(server, { timeouts: { ...patient, handshakeMs: 80 } }))).toBe('HANDSHAKE_TIMEOUT');
    await server.waitForConnections((count) => count === 0);
  });

  it('handshakeMs does not end a stream that is silent', async () => {
    const server = await startServer();
    const table = createOrders(server, 1);
    const connection = await connectTo(server, { timeouts: { dialMs: 1000, handshakeMs: 60, writeMs: 60 } });
    await connection.requestData(orders);
    await take(connection, 2);
    const late = take(connection, 1);
    setTimeout(() => table.append(inserted({ id: 2 })), 200);
    expect(await late).toHaveLength(1);
    await connection.close();
  });

  it('writeMs ends a command that the server does not take', async () => {
    const address = await listen(() => undefined);
    // Far more than the kernel buffers of both sides hold.
    const user = 'u'.repeat(30_000_000);
    const dialled = connect({ ...address, ...login, user, timeouts: { ...patient, writeMs: 200 } });
    expect(await codeOf(dialled)).toBe('WRITE_TIMEOUT');
  });

  it('idleMs ends a stream without a byte for so long', async () => {
    const server = await startServer();
    createOrders(server, 1);
    const connection = await connectTo(server, { timeouts: { idleMs: 100 } });
    await connection.requestData(orders);
    const { messages, error } = await drain(connection);
    expect(messages).toHaveLength(2);
    expect(error).toMatchObject({ code: 'IDLE_TIMEOUT' });
    await server.waitForConnections((count) => count === 0);
  });

  it('idleMs does not end a stream that this side does not read', async () => {
    const server = await startServer();
    const table = createOrders(server, 1);
    const block = Buffer.from(
      '{"domain": 0, "server_id": 1, "sequence": 2, "event_number": 1, "timestamp": 1, "event_type": "insert", "id": 1}\n'.repeat(
        500,
      ),
    );
    table.source(function* () {
      for (let i = 0; i < 400; i++) yield block;
    });
    const connection = await connectTo(server, { timeouts: { idleMs: 400 } });
    await connection.requestData(orders);
    await take(connection, 1);
    await new Promise((resolve) => {
      setTimeout(resolve, 900);
    });
    let rows = 0;
    for await (const batch of connection.messages()) {
      rows += batch.length;
      if (rows === 400 * 500 + 1) break;
    }
    expect(rows).toBe(200_001);
    await connection.close();
  });
});
