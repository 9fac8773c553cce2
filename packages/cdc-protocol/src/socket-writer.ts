import type { Socket } from 'node:net';
import { withDeadline } from './deadline.js';
import { CdcError } from './errors.js';

/**
 * Sends one command with one write, which with TCP_NODELAY is one segment: MaxScale buffers nothing, so a
 * command in two pieces is two wrong commands. Throws CdcError WRITE_TIMEOUT or CONNECTION_LOST; the socket is
 * destroyed then.
 */
export async function writeCommand(socket: Socket, command: string, writeMs: number): Promise<void> {
  const written = new Promise<void>((resolve, reject) => {
    socket.write(command, 'utf8', (error) => (error ? reject(writeFailed(error)) : resolve()));
  });
  try {
    await withDeadline(
      written,
      writeMs,
      () => new CdcError('WRITE_TIMEOUT', `the server did not take a command within ${writeMs} ms`),
    );
  } catch (error) {
    socket.destroy();
    throw error;
  }
}

function writeFailed(error: Error & { code?: string }): CdcError {
  return new CdcError('CONNECTION_LOST', `a command could not be sent: ${error.code ?? error.message}`, {
    cause: error,
  });
}
