import { readFile } from 'node:fs/promises';
import { connect } from 'node:net';
import type { Connection } from 'mariadb';

/** SQL that was run when a real MaxScale was recorded. */
export interface RecordedCase {
  readonly name: string;
  readonly title: string;
  /** GTID sequence of the first statement of `setup`. */
  readonly first: number;
  readonly setup: readonly string[];
  readonly steps: readonly { readonly statements: readonly string[]; readonly sequence: number }[];
  /** What was asked afterwards, and the recording of the answer; null where it is not kept. */
  readonly streams: readonly { readonly file: string | null; readonly request: string }[];
}

export interface RecordedType {
  readonly name: string;
  readonly type: string;
  readonly create: string;
  /** SQL expressions, each inserted in a transaction of its own. */
  readonly values: readonly string[];
  readonly first: number;
}

export async function readCases<T = RecordedCase>(name: string): Promise<T[]> {
  return JSON.parse(await readFile(new URL(`recorded-sql/${name}.json`, import.meta.url), 'utf8')) as T[];
}

const transcripts = new URL('../../../test/fixtures/transcripts/', import.meta.url);

export async function readRecording(file: string): Promise<string> {
  return readFile(new URL(`${file}.recv.bin`, transcripts), 'utf8');
}

/** Seconds of each transaction in a recording, by sequence. */
export function readTimes(recording: string): Map<number, number> {
  const rows = recording.matchAll(/"sequence": (-?\d+), "event_number": \d+, "timestamp": (\d+)/g);
  return new Map([...rows].map(([, sequence, timestamp]) => [Number(sequence), Number(timestamp)]));
}

/**
 * Runs statements with the GTIDs and at the times at which they were recorded, so that the stream must be the same byte
 * for byte. `first` is the sequence of the first one that writes a GTID.
 */
export class Rerun {
  readonly #connection: Connection;
  readonly #times: ReadonlyMap<number, number>;
  #forced: number | undefined;

  constructor(connection: Connection, times: ReadonlyMap<number, number>) {
    this.#connection = connection;
    this.#times = times;
  }

  /** The next statement that writes a GTID gets this sequence. */
  async beginAt(sequence: number): Promise<void> {
    await this.#connection.query(`SET gtid_seq_no = ${sequence}`);
    this.#forced = sequence;
  }

  async run(statements: readonly string[]): Promise<void> {
    for (const statement of statements) {
      await this.#setTime(this.#forced ?? (await this.readSequence()) + 1);
      this.#forced = undefined;
      await this.#connection.query(statement);
    }
  }

  /** A session as new: without variables that were set, temporary tables, a default database. */
  async beginSession(database: string): Promise<void> {
    await this.#connection.reset();
    await this.#connection.query(`USE ${database}`);
  }

  async readSequence(): Promise<number> {
    const [row] = await this.#connection.query<[string][]>({ sql: 'SELECT @@gtid_binlog_pos', rowsAsArray: true });
    return Number(row?.[0].split('-')[2]);
  }

  async #setTime(sequence: number): Promise<void> {
    const time = this.#times.get(sequence);
    await this.#connection.query(`SET timestamp = ${time ?? 'DEFAULT'}`);
  }
}

// user "maxuser", password "maxpwd"
const authentication = '6d6178757365723a4a8bbec273435b777d0f3d71441e173f8968e2f1';
const unknownCommandReply = 'ERR: Unknown command\n\0';

/** A connection that keeps all that it is sent. */
export class RawConnection {
  readonly #socket;
  #received = Buffer.alloc(0);
  #closed = false;
  #wake = (): void => undefined;

  constructor(port: number) {
    this.#socket = connect({ port, host: '127.0.0.1', noDelay: true });
    this.#socket.on('data', (chunk: Buffer) => {
      this.#received = Buffer.concat([this.#received, chunk]);
      this.#wake();
    });
    this.#socket.on('error', () => undefined);
    this.#socket.on('close', () => {
      this.#closed = true;
      this.#wake();
    });
  }

  get received(): string {
    return this.#received.toString('utf8');
  }

  async request(table: string): Promise<void> {
    this.#socket.write(authentication);
    await this.#until((text) => text === 'OK\n\n');
    this.#socket.write('REGISTER UUID=1, TYPE=JSON');
    await this.#until((text) => text === 'OK\n\nOK\n');
    this.#socket.write(`REQUEST-DATA ${table}`);
    // What is sent before the answer may reach the server in the same packet.
    await this.#until((text) => text.length > 'OK\n\nOK\n'.length);
  }

  /**
   * Waits until as much has come as is expected, then asks for an error message, which comes after whatever else there
   * is to send. Gives everything before it.
   */
  async finish(expectedBytes: number): Promise<string> {
    await this.#until(() => this.#received.length >= expectedBytes);
    this.#socket.write('nonsense');
    await this.#until((text) => text.endsWith(unknownCommandReply));
    this.#socket.destroy();
    return this.received.replace(unknownCommandReply, '');
  }

  /** Gives up in the end: what is missing is told by the comparison that follows. */
  async #until(condition: (received: string) => boolean): Promise<void> {
    const deadline = performance.now() + 10_000;
    while (!this.#closed && !condition(this.received)) {
      const left = deadline - performance.now();
      if (left <= 0) return;
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }
}
