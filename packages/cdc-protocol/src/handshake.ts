import type { Socket } from 'node:net';
import { withDeadline } from './deadline.js';
import { CdcError } from './errors.js';
import type { LineFramer } from './framing.js';
import type { Settings } from './options.js';
import { formatAuthentication, formatRegistration } from './requests.js';
import { readServerError } from './server-error.js';
import type { SocketReader } from './socket-reader.js';
import { writeCommand } from './socket-writer.js';

export interface Channel {
  readonly socket: Socket;
  readonly reader: SocketReader;
  readonly framer: LineFramer;
}

/**
 * Authenticates and registers, one command at a time:
 *
 *     client                          server
 *     hex(user ":" SHA1(password))    "OK\n\n"   (up to MaxScale 23.02: "OK\n")
 *     REGISTER UUID=…, TYPE=JSON      "OK\n"
 *
 * The blank line may arrive before or after REGISTER is sent and answers nothing. Throws CdcError AUTH_FAILED,
 * REGISTRATION_FAILED, HANDSHAKE_TIMEOUT, WRITE_TIMEOUT, PROTOCOL_VIOLATION, CLOSED_BY_SERVER, CONNECTION_LOST.
 */
export async function performHandshake(channel: Channel, settings: Settings): Promise<void> {
  const { user, password, uuid, writeMs } = settings;
  await writeCommand(channel.socket, formatAuthentication(user, password), writeMs);
  const authentication = await readReply(channel, settings, 'authentication');
  if (authentication.startsWith('ERR')) {
    throw new CdcError('AUTH_FAILED', `MaxScale refused user ${JSON.stringify(user)}`);
  }
  // The text is not quoted: a server that echoes would put the authentication message into logs.
  if (authentication !== 'OK') throw unexpected('authentication', 'neither OK nor an error');
  await writeCommand(channel.socket, formatRegistration(uuid), writeMs);
  const registration = await readReply(channel, settings, 'REGISTER');
  if (registration.startsWith('ERR')) throw registrationRefused(registration);
  if (registration !== 'OK') throw unexpected('REGISTER', 'neither OK nor an error');
}

async function readReply(channel: Channel, settings: Settings, command: string): Promise<string> {
  const { handshakeMs } = settings;
  return withDeadline(
    readOneLine(channel, command),
    handshakeMs,
    () => new CdcError('HANDSHAKE_TIMEOUT', `no answer to ${command} within ${handshakeMs} ms`),
  );
}

async function readOneLine({ reader, framer }: Channel, command: string): Promise<string> {
  for (;;) {
    const chunk = await reader.read();
    if (chunk === undefined) throw new CdcError('ABORTED', 'aborted by the caller');
    const lines: string[] = [];
    framer.push(chunk, (text) => lines.push(...text.split('\n').filter((line) => line !== '')));
    const [reply, ...more] = lines;
    if (reply === undefined) continue;
    if (more.length > 0) throw unexpected(command, `${more.length} more lines after it`);
    return reply;
  }
}

function registrationRefused(text: string): CdcError {
  const { code } = readServerError(text);
  return new CdcError('REGISTRATION_FAILED', `MaxScale refused REGISTER (${code})`);
}

function unexpected(command: string, what: string): CdcError {
  return new CdcError('PROTOCOL_VIOLATION', `unexpected answer to ${command}: ${what}`);
}
