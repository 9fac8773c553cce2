import type { Socket } from 'node:net';
import { ByteReader } from './byte-reader.js';

/*
 * Packets of MariaDB's client protocol: three bytes of length, one of sequence, then the payload; a payload of
 * 16 MiB - 1 goes on in the next packet. https://mariadb.com/kb/en/0-packet/
 */

const headerBytes = 4;
const maxPayload = 0xff_ff_ff;

export interface Packet {
  readonly sequence: number;
  readonly payload: Buffer;
}

export function encodePacket(payload: Buffer, sequence: number): Buffer {
  const header = Buffer.alloc(headerBytes);
  header.writeUIntLE(payload.length, 0, 3);
  header.writeUInt8(sequence, 3);
  return Buffer.concat([header, payload]);
}

/** The packets that a server sends, joined where they are parts of one. Ends when the server closes. */
export async function* readPackets(socket: Socket): AsyncGenerator<Packet, undefined> {
  let pending: Buffer = Buffer.alloc(0);
  let parts: Buffer[] = [];
  for await (const chunk of socket) {
    pending = pending.length === 0 ? (chunk as Buffer) : Buffer.concat([pending, chunk as Buffer]);
    while (pending.length >= headerBytes) {
      const length = pending.readUIntLE(0, 3);
      if (pending.length < headerBytes + length) break;
      parts.push(pending.subarray(headerBytes, headerBytes + length));
      const sequence = pending.readUInt8(3);
      pending = pending.subarray(headerBytes + length);
      if (length === maxPayload) continue;
      const [only] = parts;
      yield { sequence, payload: parts.length === 1 && only !== undefined ? only : Buffer.concat(parts) };
      parts = [];
    }
  }
  return undefined;
}

/** What the server refused: its error number and text, e.g. 1236 where a binlog is no longer there. */
export class ServerRefusal extends Error {
  readonly errno: number;

  constructor(errno: number, message: string) {
    super(`MariaDB refused (${errno}): ${message}`);
    this.name = 'ServerRefusal';
    this.errno = errno;
  }
}

/** Throws ServerRefusal when the payload is an error packet. */
export function checkForError(payload: Buffer): void {
  if (payload[0] !== 0xff) return;
  const reader = new ByteReader(payload);
  reader.skip(1);
  const errno = reader.uint(2);
  const text = reader.rest().toString('utf8');
  throw new ServerRefusal(errno, text.replace(/^#.{5}/, ''));
}
