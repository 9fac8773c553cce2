import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { CdcError, connect, type CdcConnection, type CdcMessage, type ConnectOptions } from '@afterimage/cdc-protocol';
import type { FakeMaxScale } from '@afterimage/cdc-protocol/testing';

export const fixtures = join(import.meta.dirname, 'fixtures');
export const transcripts = join(fixtures, 'transcripts');

export function readReceived(folder: string, name: string): Buffer {
  return readFileSync(join(transcripts, folder, `${name}.recv.bin`));
}

/** The names of all recordings in a folder. */
export function listTranscripts(folder: string): string[] {
  return readdirSync(join(transcripts, folder))
    .filter((file) => file.endsWith('.recv.bin'))
    .map((file) => file.slice(0, -'.recv.bin'.length));
}

/** What a server sent after the handshake. */
export function afterHandshake(received: Buffer): Buffer {
  let start = 0;
  for (const reply of ['OK\n\n', 'OK\n']) {
    if (received.subarray(start).toString('latin1').startsWith(reply)) start += reply.length;
  }
  return received.subarray(start);
}

export function connectTo(server: FakeMaxScale, options: Partial<ConnectOptions> = {}): Promise<CdcConnection> {
  return connect({ ...server.address, ...options });
}

/** Reads the next `count` messages and leaves the connection open. */
export async function take(connection: CdcConnection, count: number): Promise<CdcMessage[]> {
  const messages: CdcMessage[] = [];
  if (count === 0) return messages;
  for await (const message of connection) {
    messages.push(message);
    if (messages.length === count) break;
  }
  return messages;
}

/** Reads until the stream ends; gives the error that ended it, if one did. */
export async function drain(connection: CdcConnection): Promise<{ messages: CdcMessage[]; error: unknown }> {
  const messages: CdcMessage[] = [];
  try {
    for await (const batch of connection.messages()) messages.push(...batch);
    return { messages, error: undefined };
  } catch (error) {
    return { messages, error };
  }
}

/** A message as plain text, to compare streams with: what it is and the line it came from. */
export function describeMessage(message: CdcMessage): string {
  return message.kind === 'error' ? message.text : message.raw;
}

/** The code of the CdcError with which a call fails; anything else as text. */
export async function codeOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return 'no error';
  } catch (error) {
    return error instanceof CdcError ? error.code : String(error);
  }
}

/** Polls, for conditions of the operating system that raise no event. */
export async function eventually(condition: () => boolean): Promise<void> {
  while (!condition()) {
    await new Promise((resolve) => {
      setTimeout(resolve, 5);
    });
  }
}
