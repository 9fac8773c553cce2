import { CdcConnection } from './connection.js';
import { aborted, dial } from './dialing.js';
import { CdcError } from './errors.js';
import { LineFramer } from './framing.js';
import { performHandshake, type Channel } from './handshake.js';
import { completeOptions, type ConnectOptions } from './options.js';
import { formatAuthentication, formatRegistration } from './requests.js';
import { SocketReader } from './socket-reader.js';

/**
 * Connects to a MaxScale CDC listener, authenticates and registers for JSON. Throws CdcError:
 * INVALID_ARGUMENT, ABORTED, CONNECTION_REFUSED, CONNECTION_FAILED, TLS_FAILED, DIAL_TIMEOUT, AUTH_FAILED,
 * REGISTRATION_FAILED, HANDSHAKE_TIMEOUT, WRITE_TIMEOUT, PROTOCOL_VIOLATION, LINE_TOO_LONG, CLOSED_BY_SERVER,
 * CONNECTION_LOST; nothing is left open then.
 */
export async function connect(options: ConnectOptions): Promise<CdcConnection> {
  const settings = completeOptions(options);
  // What cannot be sent is refused before anything is opened.
  formatAuthentication(settings.user, settings.password);
  formatRegistration(settings.uuid);
  const socket = await dial(settings);
  const channel: Channel = {
    socket,
    reader: new SocketReader(socket),
    framer: new LineFramer(settings.maxLineBytes),
  };
  const { signal } = settings;
  const onAbort = (): void => {
    channel.reader.stop(aborted(signal));
    socket.destroy();
  };
  signal?.addEventListener('abort', onAbort, { once: true });
  try {
    if (signal?.aborted === true) throw aborted(signal);
    await performHandshake(channel, settings);
    return new CdcConnection(channel, settings);
  } catch (error) {
    socket.destroy();
    throw signal?.aborted === true && !(error instanceof CdcError && error.code === 'ABORTED')
      ? aborted(signal)
      : error;
  } finally {
    signal?.removeEventListener('abort', onAbort);
  }
}
