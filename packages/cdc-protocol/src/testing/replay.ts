import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** A recorded connection: the raw bytes of each direction. */
export interface Transcript {
  readonly sent: Buffer;
  readonly received: Buffer;
}

/** Reads `<name>.sent.bin` and `<name>.recv.bin` of a folder. */
export async function loadTranscript(directory: string, name: string): Promise<Transcript> {
  const [sent, received] = await Promise.all([
    readFile(join(directory, `${name}.sent.bin`)),
    readFile(join(directory, `${name}.recv.bin`)),
  ]);
  return { sent, received };
}

/** What is answered to the client's first packet, second packet and so on, whatever they hold. */
export interface Replay {
  readonly replies: readonly Buffer[];
  /** Whether the connection is closed after the last reply. */
  readonly end: boolean;
}

const closingErrors = /(?:^|\n)(?:ERROR: Authentication failed|ERR, code 12|ERR fatal error)[^\n]*\n+$/;

/**
 * Cuts what a server sent into its answers: to the authentication, to REGISTER, and all the rest to
 * REQUEST-DATA. It ends if the recorded one did, as far as its last line tells.
 */
export function createReplay(received: Buffer): Replay {
  const text = received.toString('latin1');
  const head = /^(OK\n\n?)?(OK\n)?/.exec(text);
  const [, authentication = '', registration = ''] = head ?? [];
  const ends = [authentication.length, authentication.length + registration.length, text.length];
  const replies: Buffer[] = [];
  let start = 0;
  for (const end of ends) {
    if (end > start) replies.push(received.subarray(start, end));
    start = end;
  }
  return { replies, end: closingErrors.test(text) };
}
