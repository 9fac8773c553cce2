import { connect as connectTcp, isIP, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { withDeadline } from './deadline.js';
import { CdcError } from './errors.js';
import type { Settings } from './options.js';

/**
 * Opens the TCP or TLS connection. TCP_NODELAY is on, because MaxScale takes one TCP read for one command.
 * Throws CdcError CONNECTION_REFUSED, CONNECTION_FAILED, TLS_FAILED, DIAL_TIMEOUT or ABORTED, with no socket
 * left behind.
 */
export async function dial(settings: Settings): Promise<Socket> {
  const { host, port, signal, dialMs, keepAliveMs } = settings;
  if (signal?.aborted === true) throw aborted(signal);
  const socket = openSocket(settings);
  const onAbort = (): void => void socket.destroy(aborted(signal));
  signal?.addEventListener('abort', onAbort, { once: true });
  try {
    await withDeadline(
      waitUntilConnected(socket, settings),
      dialMs,
      () => new CdcError('DIAL_TIMEOUT', `no connection to ${host}:${port} within ${dialMs} ms`),
    );
  } catch (error) {
    socket.destroy();
    throw error;
  } finally {
    signal?.removeEventListener('abort', onAbort);
  }
  if (keepAliveMs > 0) socket.setKeepAlive(true, keepAliveMs);
  return socket;
}

export function aborted(signal: AbortSignal | undefined): CdcError {
  return new CdcError('ABORTED', 'aborted by the caller', { cause: signal?.reason });
}

function openSocket({ host, port, tls }: Settings): Socket {
  if (tls === undefined) return connectTcp({ host, port, noDelay: true });
  const servername = tls.servername ?? (isIP(host) === 0 ? host : undefined);
  const socket = connectTls({ ...tls, host, port, ...(servername === undefined ? {} : { servername }) });
  socket.setNoDelay(true);
  return socket;
}

function waitUntilConnected(socket: Socket, settings: Settings): Promise<void> {
  return new Promise((resolve, reject) => {
    let tcpConnected = false;
    socket.once('connect', () => {
      tcpConnected = true;
    });
    socket.once(settings.tls === undefined ? 'connect' : 'secureConnect', () => resolve());
    socket.on('error', (error) => reject(explain(error, tcpConnected, settings)));
    socket.once('close', () => reject(new CdcError('CONNECTION_FAILED', 'closed while connecting')));
  });
}

function explain(error: Error & { code?: string }, tcpConnected: boolean, { host, port }: Settings): CdcError {
  if (error instanceof CdcError) return error;
  const address = `${host}:${port}`;
  if (tcpConnected) {
    return new CdcError('TLS_FAILED', `TLS handshake with ${address} failed: ${error.message}`, { cause: error });
  }
  if (error.code === 'ECONNREFUSED') {
    return new CdcError('CONNECTION_REFUSED', `${address} refused the connection`, { cause: error });
  }
  return new CdcError('CONNECTION_FAILED', `cannot connect to ${address}: ${error.code ?? error.message}`, {
    cause: error,
  });
}
