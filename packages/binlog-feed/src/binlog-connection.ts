import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { ByteReader } from './byte-reader.js';
import { checkForError, encodePacket, type Packet, readPackets } from './wire-packets.js';

export interface BinlogRequest {
  /** `mariadb://user:password@host:port/`. The user needs REPLICATION SLAVE and signs in by mysql_native_password. */
  readonly url: string;
  /** Where to begin, after `0-1-7,1-1-3`; empty: at the first binlog that there is. */
  readonly position: string;
  /** As whom: each replica of a server needs a number of its own. */
  readonly serverId: number;
  /** Ends the connection, and the iteration without an error. */
  readonly signal: AbortSignal;
}

const comQuery = 0x03;
const comBinlogDump = 0x12;
const nativePassword = 'mysql_native_password';

// LONG_PASSWORD, PROTOCOL_41, TRANSACTIONS, SECURE_CONNECTION, PLUGIN_AUTH
const capabilities = 0x1 | 0x200 | 0x2000 | 0x8000 | 0x80000;

/**
 * The events of a server's binlog, without checksums, as a replica gets them, then live ones as they come. Throws
 * ServerRefusal for what the server refuses, the socket's error when the connection breaks or ends.
 */
export async function* readBinlog(request: BinlogRequest): AsyncGenerator<Buffer> {
  const { hostname, port } = new URL(request.url);
  const socket = connect({ host: hostname, port: port === '' ? 3306 : Number(port), noDelay: true });
  const abort = (): void => void socket.destroy();
  request.signal.addEventListener('abort', abort, { once: true });
  try {
    await once(socket, 'connect', { signal: request.signal });
    const packets = readPackets(socket);
    await signIn(socket, packets, request.url);
    await askForBinlog(socket, packets, request);
    let checksumBytes = 0;
    for await (const { payload } of packets) {
      checkForError(payload);
      const event = payload.subarray(1);
      if (event[eventTypeOffset] === formatDescription) checksumBytes = readChecksumBytes(event);
      yield event.subarray(0, event.length - checksumBytes);
    }
    throw new Error('MariaDB has closed the connection');
  } catch (error) {
    if (!request.signal.aborted) throw error;
  } finally {
    request.signal.removeEventListener('abort', abort);
    socket.destroy();
  }
}

const eventTypeOffset = 4;
const formatDescription = 15;

/** A format description ends with the number of the checksum's algorithm (0: none) and always with 4 bytes of checksum. */
function readChecksumBytes(event: Buffer): number {
  return event[event.length - 5] === 0 ? 0 : 4;
}

type Packets = AsyncGenerator<Packet, undefined>;

async function nextPacket(packets: Packets): Promise<Packet> {
  const { value } = await packets.next();
  if (value === undefined) throw new Error('MariaDB has closed the connection');
  checkForError(value.payload);
  return value;
}

/** https://mariadb.com/kb/en/connection/ */
async function signIn(socket: Socket, packets: Packets, url: string): Promise<void> {
  const { username, password } = new URL(url);
  const secret = decodeURIComponent(password);
  const greeting = await nextPacket(packets);
  const body = Buffer.alloc(32);
  body.writeUInt32LE(capabilities, 0);
  body.writeUInt32LE(maxPacketBytes, 4);
  body.writeUInt8(utf8mb4GeneralCi, 8);
  const proof = provePassword(secret, readScramble(greeting.payload));
  const fields = [body, text(decodeURIComponent(username)), Buffer.of(proof.length), proof, text(nativePassword)];
  socket.write(encodePacket(Buffer.concat(fields), greeting.sequence + 1));
  const answer = await nextPacket(packets);
  if (answer.payload[0] !== 0xfe) return;
  const reader = new ByteReader(answer.payload);
  reader.skip(1);
  const plugin = reader.untilNul().toString('latin1');
  if (plugin !== nativePassword) {
    throw new Error(
      `MariaDB wants user ${username} to sign in by ${plugin}: use a user that is IDENTIFIED VIA ${nativePassword}`,
    );
  }
  socket.write(encodePacket(provePassword(secret, reader.untilNul()), answer.sequence + 1));
  await nextPacket(packets);
}

const maxPacketBytes = 2 ** 30;
const utf8mb4GeneralCi = 45;

function text(value: string): Buffer {
  return Buffer.from(`${value}\0`);
}

/** The 20 random bytes of the server's greeting, which stand in two pieces. */
function readScramble(greeting: Buffer): Buffer {
  const reader = new ByteReader(greeting);
  reader.skip(1);
  reader.untilNul();
  reader.skip(4);
  const first = reader.take(8);
  // A filler, capabilities, character set, status, length of the scramble, reserved bytes.
  reader.skip(1 + 2 + 1 + 2 + 2 + 1 + 10);
  return Buffer.concat([first, reader.take(12)]);
}

/** https://mariadb.com/kb/en/authentication-plugin-mysql_native_password/ */
function provePassword(password: string, scramble: Buffer): Buffer {
  if (password === '') return Buffer.alloc(0);
  const once = sha1(Buffer.from(password));
  const mask = sha1(Buffer.concat([scramble, sha1(once)]));
  return Buffer.from(once.map((byte, index) => byte ^ (mask[index] ?? 0)));
}

function sha1(bytes: Buffer): Buffer {
  return createHash('sha1').update(bytes).digest();
}

/** As a replica with GTIDs does: https://mariadb.com/kb/en/com_binlog_dump/, and "5-slave-registration" there. */
async function askForBinlog(socket: Socket, packets: Packets, request: BinlogRequest): Promise<void> {
  if (!/^[\d,-]*$/.test(request.position)) throw new RangeError(`not a GTID position: ${request.position}`);
  const statements = [
    'SET @master_binlog_checksum = @@global.binlog_checksum',
    'SET @mariadb_slave_capability = 4',
    `SET @slave_connect_state = '${request.position}'`,
    'SET @slave_gtid_strict_mode = 0',
    'SET @slave_gtid_ignore_duplicates = 0',
  ];
  for (const statement of statements) {
    socket.write(encodePacket(Buffer.concat([Buffer.of(comQuery), Buffer.from(statement)]), 0));
    await nextPacket(packets);
  }
  const dump = Buffer.alloc(11);
  dump.writeUInt8(comBinlogDump, 0);
  dump.writeUInt32LE(4, 1);
  dump.writeUInt32LE(request.serverId, 7);
  socket.write(encodePacket(dump, 0));
}
