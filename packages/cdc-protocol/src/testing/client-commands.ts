import { createHash } from 'node:crypto';

/*
 * How MaxScale 24.02.4 takes a client's packets apart. One TCP read is one packet; nothing is buffered and
 * nothing is split at newlines.
 */

const maxAuthenticationLength = 128;

/**
 * Whether a packet is `hex(user ":" SHA1(password))` for one of the users. One "\n" at its end is tolerated.
 */
export function isAuthentication(packet: Buffer, users: Readonly<Record<string, string>>): boolean {
  const text = packet.toString('latin1').replace(/\n$/, '');
  if (text.length > maxAuthenticationLength || !/^(?:[0-9a-fA-F]{2})+$/.test(text)) return false;
  const bytes = Buffer.from(text, 'hex');
  const colon = bytes.indexOf(':');
  if (colon === -1) return false;
  const password = users[bytes.toString('utf8', 0, colon)];
  return (
    password !== undefined &&
    createHash('sha1')
      .update(password)
      .digest()
      .equals(bytes.subarray(colon + 1))
  );
}

/** Whether a packet registers: a non-empty UUID, then somewhere a type that begins with JSON or AVRO. */
export function isRegistration(packet: Buffer): boolean {
  return /^REGISTER UUID=[^,]+.*TYPE=(?:JSON|AVRO)/s.test(packet.toString('latin1'));
}

/** `CLOSE`, or any beginning of it. */
export function isClose(packet: Buffer): boolean {
  return 'CLOSE'.startsWith(packet.toString('latin1'));
}

export type RequestCommand =
  | { readonly kind: 'none' }
  | { readonly kind: 'no-name' }
  | { readonly kind: 'no-file-name' }
  | { readonly kind: 'file'; readonly fileName: string; readonly start: StartRule };

/** Where a stream begins: at the file's start, at a GTID, never, or (too many numbers) not even with a schema. */
export type StartRule =
  | { readonly kind: 'beginning' }
  | { readonly kind: 'gtid'; readonly domain: bigint; readonly serverId: bigint; readonly sequence: bigint }
  | { readonly kind: 'never' }
  | { readonly kind: 'hang' };

/**
 *     anything "REQUEST-DATA" any-character spaces file-name [space gtid]
 *
 * The name gets `.000001` unless it has two dots, and `.avro`. A NUL ends the packet.
 */
export function parseRequest(packet: Buffer): RequestCommand {
  const [text = ''] = packet.toString('utf8').split('\0');
  const found = text.indexOf('REQUEST-DATA');
  if (found === -1) return { kind: 'none' };
  const rest = text.slice(found + 'REQUEST-DATA'.length + 1);
  if (rest === '') return { kind: 'no-name' };
  const parts = /^ *([^ ]+)(?: (.*))?$/s.exec(rest);
  if (parts === null) return { kind: 'no-file-name' };
  const [, name = '', gtid = ''] = parts;
  const version = name.split('.').length > 2 ? '' : '.000001';
  return { kind: 'file', fileName: `${name}${version}.avro`, start: parseStart(gtid) };
}

const maxUint64 = 2n ** 64n - 1n;

/** Any text: its runs of digits are the numbers, what stands between them does not matter. */
function parseStart(gtid: string): StartRule {
  if (gtid.trim() === '') return { kind: 'beginning' };
  const numbers = (gtid.match(/\d+/g) ?? []).map((digits) => minimum(BigInt(digits), maxUint64));
  const [domain, serverId, sequence = 0n] = numbers;
  if (numbers.length > 3) return { kind: 'hang' };
  if (domain === undefined || serverId === undefined) return { kind: 'never' };
  return { kind: 'gtid', domain, serverId, sequence };
}

function minimum(a: bigint, b: bigint): bigint {
  return a < b ? a : b;
}
