import type { Socket } from 'node:net';
import type { Chunking } from './chunking.js';
import { isAuthentication, isClose, isRegistration, parseRequest, type StartRule } from './client-commands.js';
import type { FaultPlan } from './faults.js';
import { Outlet } from './outlet.js';
import type { Replay } from './replay.js';
import type { ScriptedTable } from './scripted-table.js';
import { streamTable } from './table-stream.js';
import {
  authenticationFailedReply,
  authenticationReply,
  fileNotSpecifiedReply,
  noFileReply,
  registrationFailedReply,
  registrationReply,
  requestWithoutNameReply,
  unknownCommandReply,
} from './wire-messages.js';

/** What a session needs to know of its server. */
export interface SessionContext {
  readonly users: Readonly<Record<string, string>>;
  readonly dialect: 'current' | 'upTo2302';
  readonly faults: FaultPlan;
  readonly chunking: Chunking;
  readonly replay: Replay | undefined;
  /** Undefined for what is no table's name. */
  findTable(name: string): ScriptedTable | undefined;
}

export type SessionState = 'connected' | 'authenticated' | 'registered' | 'streaming';

/** One client's connection. Each packet (one TCP read) is one command, answered before the next is looked at. */
export class Session {
  readonly #socket: Socket;
  readonly #context: SessionContext;
  readonly #outlet: Outlet;
  readonly #gone = new AbortController();
  #state: SessionState = 'connected';
  #request: string | undefined;
  #stream = new AbortController();
  #avro = false;
  #packets = 0;
  #work: Promise<unknown>;

  constructor(socket: Socket, context: SessionContext) {
    this.#socket = socket;
    this.#context = context;
    this.#outlet = new Outlet(socket, context.faults, context.chunking);
    socket.setNoDelay(true);
    // A broken connection is reported by 'close' as well.
    socket.on('error', () => undefined);
    socket.once('close', () => this.#gone.abort());
    // MaxScale has no half-open connections.
    socket.once('end', () => socket.destroy());
    this.#work = this.#outlet.reach('after-accept');
    socket.on('data', (packet: Buffer) => {
      const index = this.#packets++;
      this.#work = this.#work.then(() => this.#answer(packet, index));
    });
  }

  get state(): SessionState {
    return this.#state;
  }

  /** The last REQUEST-DATA that named an existing file. */
  get request(): string | undefined {
    return this.#request;
  }

  /** TCP reads so far, each of which MaxScale takes for one command. */
  get packets(): number {
    return this.#packets;
  }

  /** Bytes handed to the kernel. */
  get bytesSent(): number {
    return this.#socket.bytesWritten - this.#socket.writableLength;
  }

  /** Bytes that wait because the client does not read. */
  get bytesWaiting(): number {
    return this.#socket.writableLength;
  }

  destroy(): void {
    this.#socket.destroy();
  }

  reset(): void {
    this.#socket.resetAndDestroy();
  }

  async #answer(packet: Buffer, index: number): Promise<void> {
    const { replay } = this.#context;
    if (replay !== undefined) return this.#replay(replay, index);
    switch (this.#state) {
      case 'connected':
        return this.#authenticate(packet);
      case 'authenticated':
        return this.#register(packet);
      case 'registered':
      case 'streaming':
        return this.#obey(packet);
    }
  }

  async #replay({ replies, end }: Replay, index: number): Promise<void> {
    const reply = replies[index];
    if (reply === undefined) return;
    await this.#outlet.send(reply);
    if (end && index === replies.length - 1) await this.#outlet.end();
  }

  async #authenticate(packet: Buffer): Promise<void> {
    const { users, dialect } = this.#context;
    if (!isAuthentication(packet, users)) {
      await this.#outlet.send(authenticationFailedReply[dialect]);
      await this.#outlet.end();
      return;
    }
    this.#state = 'authenticated';
    await this.#outlet.send(authenticationReply[dialect]);
    await this.#outlet.reach('after-auth');
  }

  async #register(packet: Buffer): Promise<void> {
    if (isClose(packet)) return void this.#outlet.end();
    if (!isRegistration(packet)) {
      await this.#outlet.send(registrationFailedReply);
      await this.#outlet.end();
      return;
    }
    this.#avro = packet.includes('TYPE=AVRO');
    this.#state = 'registered';
    await this.#outlet.send(registrationReply);
    await this.#outlet.reach('after-register');
  }

  async #obey(packet: Buffer): Promise<void> {
    const request = parseRequest(packet);
    switch (request.kind) {
      case 'none':
        if (isClose(packet)) await this.#outlet.end();
        else await this.#outlet.send(unknownCommandReply);
        return;
      case 'no-name':
        await this.#outlet.send(requestWithoutNameReply);
        return;
      case 'no-file-name':
        await this.#outlet.send(fileNotSpecifiedReply);
        return;
      case 'file':
        // A second request on a streaming connection is ignored, without a word.
        if (this.#state === 'registered') await this.#openStream(request.fileName, request.start);
    }
  }

  async #openStream(fileName: string, start: StartRule): Promise<void> {
    // Avro is not served; a client that asked for it is let go.
    if (this.#avro) return void this.#outlet.end();
    this.#stream.abort();
    this.#stream = new AbortController();
    const { table, version } = this.#findFile(fileName);
    const exists = table?.file(version) !== undefined;
    const onStart = (): void => {
      this.#state = 'streaming';
      this.#request = fileName;
    };
    if (exists) onStart();
    else await this.#outlet.send(noFileReply(fileName));
    if (!(await this.#outlet.reach('after-request')) || table === undefined || start.kind === 'hang') return;
    const signal = AbortSignal.any([this.#gone.signal, this.#stream.signal]);
    void streamTable({ table, version, start, outlet: this.#outlet, signal, onStart }).catch((error: unknown) => {
      // A row source that throws is a mistake of the test: end this connection, and let the process know.
      this.#socket.destroy();
      queueMicrotask(() => {
        throw error;
      });
    });
  }

  /** `db.table.000002.avro` → the table and 2. */
  #findFile(fileName: string): { table: ScriptedTable | undefined; version: number } {
    const parts = /^([^]+)\.(\d{6,})\.avro$/.exec(fileName);
    const [, name = '', version = '0'] = parts ?? [];
    return { table: this.#context.findTable(name), version: Number(version) };
  }
}
