import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { CdcError, connect } from '@afterimage/cdc-protocol';
import { startFakeMaxScale, type Chunking, type FakeMaxScale } from '@afterimage/cdc-protocol/testing';
import { formatAuthentication } from '../src/requests.js';
import { readPlainly } from './json-oracle.js';
import { afterHandshake, connectTo, describeMessage, codeOf, listTranscripts, readReceived, take } from './support.js';

const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function start(options: Parameters<typeof startFakeMaxScale>[0] = {}): Promise<FakeMaxScale> {
  const server = await startFakeMaxScale(options);
  cleanups.push(() => server.close());
  return server;
}

/** A server that answers every packet with the given bytes. */
async function startPlainServer(
  answer: (packet: Buffer, socket: Socket) => void,
): Promise<{ host: string; port: number }> {
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('data', (packet: Buffer) => answer(packet, socket));
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  cleanups.push(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => {
      server.close(resolve);
    });
  });
  return { host: '127.0.0.1', port: (server.address() as AddressInfo).port };
}

const login = { user: 'maxuser', password: 'maxpwd' };

function expectedFailure(received: Buffer): string | undefined {
  const text = received.toString('latin1');
  if (text.startsWith('ERROR: Authentication failed')) return 'AUTH_FAILED';
  if (text.startsWith('OK\n\nERR')) return 'REGISTRATION_FAILED';
  return text.startsWith('OK\n\nOK\n') ? undefined : 'HANDSHAKE_TIMEOUT';
}

describe('every recorded handshake', () => {
  // TYPE=AVRO is something that this client never asks for.
  const names = listTranscripts('handshake').filter((name) => name !== 'register-avro');
  const chunkings: Chunking[] = ['recorded', 1, { seed: 7, maxBytes: 40 }];

  /** What the client makes of a recording: the code of an error, or the lines after the handshake. */
  async function play(server: FakeMaxScale, received: Buffer, count: number): Promise<string | string[]> {
    server.replay(received);
    const handshakeMs = expectedFailure(received) === 'HANDSHAKE_TIMEOUT' ? 50 : 10_000;
    const dialled = connectTo(server, { timeouts: { handshakeMs } });
    const failure = await codeOf(dialled);
    if (failure !== 'no error') return failure;
    const connection = await dialled;
    await connection.requestData({ database: 'smoke', table: 't2' });
    const messages = await take(connection, count);
    await connection.close();
    return messages.map(describeMessage);
  }

  it.each(chunkings)('is understood, cut as %o', async (chunking) => {
    const server = await start({ chunking });
    for (const name of names) {
      const received = readReceived('handshake', name);
      const lines = readPlainly(afterHandshake(received)).map((message) =>
        message.kind === 'error' ? message.text : message.raw,
      );
      const outcome = await play(server, received, lines.length);
      expect({ name, outcome }).toEqual({ name, outcome: expectedFailure(received) ?? lines });
    }
  });
});

describe('the handshake', () => {
  it.each(['current', 'upTo2302'] as const)('works with the answers of both generations: %s', async (dialect) => {
    const server = await start({ dialect });
    const connection = await connectTo(server);
    expect(server.connections.map(({ state }) => state)).toEqual(['registered']);
    await connection.close();
    expect(await codeOf(connectTo(server, { password: 'wrong' }))).toBe('AUTH_FAILED');
  });

  it('does not take the blank line after the authentication for the answer to REGISTER', async () => {
    let packets = 0;
    const address = await startPlainServer((_packet, socket) => {
      // The second newline comes only when REGISTER has been sent, and the answer to that only after it.
      if (packets++ === 0) socket.write('OK\n');
      else socket.write('\n', () => socket.write('ERR, code 12, msg: Registration failed\n'));
    });
    expect(await codeOf(connect({ ...address, ...login }))).toBe('REGISTRATION_FAILED');
  });

  it('sends each command as one packet, without a terminator, and waits for its answer', async () => {
    const packets: string[] = [];
    const address = await startPlainServer((packet, socket) => {
      packets.push(packet.toString());
      socket.write('OK\n');
    });
    const connection = await connect({ ...address, ...login, uuid: 'me' });
    await connection.close();
    expect(packets.slice(0, 2)).toEqual([
      '6d6178757365723a4a8bbec273435b777d0f3d71441e173f8968e2f1',
      'REGISTER UUID=me, TYPE=JSON',
    ]);
  });

  it('fails with AUTH_FAILED for an unknown user and for a wrong password', async () => {
    const server = await start({ users: { bob: 'secret' } });
    expect(await codeOf(connectTo(server, { password: 'bad' }))).toBe('AUTH_FAILED');
    expect(await codeOf(connectTo(server, { user: 'alice' }))).toBe('AUTH_FAILED');
    await (await connectTo(server)).close();
  });

  it('fails with CONNECTION_REFUSED while nothing listens, and works once it does', async () => {
    const server = await start();
    server.refuse();
    expect(await codeOf(connectTo(server))).toBe('CONNECTION_REFUSED');
    await server.accept();
    await (await connectTo(server)).close();
  });

  it('fails with CONNECTION_FAILED for a host that does not exist', async () => {
    expect(await codeOf(connect({ host: 'maxscale.invalid', port: 4001, ...login }))).toBe('CONNECTION_FAILED');
  });

  it.each([
    ['after-accept', 'drop', 'CLOSED_BY_SERVER'],
    ['after-auth', 'drop', 'CLOSED_BY_SERVER'],
    ['after-auth', 'reset', 'CONNECTION_LOST'],
    ['after-auth', 'garbage', 'PROTOCOL_VIOLATION'],
    ['after-accept', 'garbage', 'PROTOCOL_VIOLATION'],
  ] as const)('whose server fails %s with %s ends in %s, and leaves no socket', async (at, kind, code) => {
    const server = await start();
    server.inject({ at, action: { kind } });
    expect(await codeOf(connectTo(server))).toBe(code);
    await server.waitForConnections((count) => count === 0);
  });

  it('of a port that speaks another protocol is a protocol violation', async () => {
    const address = await startPlainServer((_packet, socket) => void socket.write('HTTP/1.1 400 Bad Request\r\n\r\n'));
    expect(await codeOf(connect({ ...address, ...login }))).toBe('PROTOCOL_VIOLATION');
  });

  it('accepts an answer of any chunking but not one without an end', async () => {
    const address = await startPlainServer((_packet, socket) => void socket.write('O'.repeat(2000)));
    expect(await codeOf(connect({ ...address, ...login, maxLineBytes: 1000 }))).toBe('LINE_TOO_LONG');
  });
});

describe('the password', () => {
  const secret = 'p4ssw0rd-of-the-operator';
  const authentication = formatAuthentication('maxuser', secret);

  function everythingIn(error: unknown, depth = 0): string {
    if (!(error instanceof Error) || depth > 5) return String(error);
    return [error.message, error.stack, JSON.stringify(error), everythingIn(error.cause, depth + 1)].join('\n');
  }

  it('is in no error, and neither is what was sent for it, even if the server sends it back', async () => {
    const answers: ((packet: Buffer, socket: Socket) => void)[] = [
      (packet, socket) => void socket.write(`${packet.toString()}\n`),
      (packet, socket) => void socket.write(`ERROR ${packet.toString()}\n`),
      (packet, socket) => void socket.write(`OK\n${packet.toString()}\n`),
      (_packet, socket) => void socket.destroy(),
      () => undefined,
    ];
    for (const answer of answers) {
      const address = await startPlainServer(answer);
      const error = await connect({
        ...address,
        user: 'maxuser',
        password: secret,
        timeouts: { handshakeMs: 50 },
      }).then(
        () => undefined,
        (thrown: unknown) => thrown,
      );
      expect(error).toBeInstanceOf(CdcError);
      expect(everythingIn(error)).not.toContain(secret);
      expect(everythingIn(error)).not.toContain(authentication);
    }
  });
});
