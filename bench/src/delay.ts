import { once } from 'node:events';
import { type Socket, connect, createServer } from 'node:net';

export interface DelayedServer {
  /** The URL it was given, through the delay. */
  readonly url: string;
  close(): Promise<void>;
}

/**
 * A server further away: everything that is sent to it arrives so many milliseconds later, in order and without limit of
 * bandwidth; its answers come at once. So each round trip takes that much longer.
 */
export async function startDelayed(url: string, milliseconds: number): Promise<DelayedServer> {
  const target = new URL(url);
  const sockets = new Set<Socket>();
  const server = createServer({ noDelay: true }, (near) => {
    const far = connect({ host: target.hostname, port: Number(target.port), noDelay: true });
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        sockets.delete(socket);
        other.destroy();
      });
    }
    near.on('data', (chunk: Buffer) => setTimeout(() => far.write(chunk), milliseconds));
    far.on('data', (chunk: Buffer) => near.write(chunk));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port to listen on');
  const delayed = new URL(url);
  delayed.hostname = '127.0.0.1';
  delayed.port = String(address.port);
  return {
    url: delayed.href,
    close: async () => {
      const closed = once(server, 'close');
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}
