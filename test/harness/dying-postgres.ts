import { type AddressInfo, createServer } from 'node:net';

export interface DyingPostgres {
  readonly url: string;
  /** Connections so far. */
  readonly connections: number;
  close(): void;
}

/**
 * A PostgreSQL that is killed at the moment at which it is ready for a connection's first query: client and server
 * agree on the connection, and its end comes in the same packet (PostgreSQL manual, "Message Formats").
 */
export async function startDyingPostgres(): Promise<DyingPostgres> {
  let connections = 0;
  const server = createServer((socket) => {
    connections += 1;
    socket.on('error', () => undefined);
    const error = 'SFATAL\0VFATAL\0C57P01\0Mterminating connection due to unexpected postmaster exit\0\0';
    socket.once('data', () =>
      socket.end(Buffer.concat([message('R', Buffer.alloc(4)), message('Z', 'I'), message('E', error)])),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `postgres://nobody@127.0.0.1:${port}/none`,
    get connections() {
      return connections;
    },
    close: () => server.close(),
  };
}

function message(type: string, body: Buffer | string): Buffer {
  const bytes = Buffer.from(body);
  const head = Buffer.alloc(5);
  head.write(type, 'latin1');
  head.writeInt32BE(bytes.length + 4, 1);
  return Buffer.concat([head, bytes]);
}
