import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, type TlsOptions } from 'node:tls';
import type { Change } from './changes.js';
import type { Chunking } from './chunking.js';
import { FaultPlan, type Fault, type FaultOptions } from './faults.js';
import { createReplay, type Replay } from './replay.js';
import { ReplicationClock } from './replication-clock.js';
import { ScriptedTable, type TransactionOptions } from './scripted-table.js';
import { Session } from './session.js';
import { formatGtid } from './wire-messages.js';

export interface FakeMaxScaleOptions {
  /** Default 127.0.0.1. */
  host?: string;
  /** Default: any free port. */
  port?: number;
  /** User → password. Default `{ maxuser: 'maxpwd' }`. */
  users?: Record<string, string>;
  /** Node's TLS server options (key, cert, and ca with requestCert); without them plain TCP. */
  tls?: TlsOptions;
  /** Answers of 23.08 and later (default), or of MaxScale up to 23.02. */
  dialect?: 'current' | 'upTo2302';
  chunking?: Chunking;
}

/** One client, as the server sees it. */
export type ConnectionView = Pick<Session, 'state' | 'request' | 'packets' | 'bytesSent' | 'bytesWaiting'>;

/**
 * Starts a server that behaves on the wire like MaxScale 24.02.4's CDC listener: scripted tables, recorded
 * connections, and faults on demand.
 */
export async function startFakeMaxScale(options: FakeMaxScaleOptions = {}): Promise<FakeMaxScale> {
  const server = new FakeMaxScale(options);
  await server.accept();
  return server;
}

export class FakeMaxScale {
  readonly host: string;
  /** Domain and server id of the GTIDs it hands out. */
  readonly clock = new ReplicationClock();
  readonly #options: FakeMaxScaleOptions;
  readonly #tables = new Map<string, ScriptedTable>();
  readonly #sessions = new Set<Session>();
  readonly #faults = new FaultPlan();
  #port: number;
  #chunking: Chunking;
  #replay: Replay | undefined;
  #listener: Server | undefined;
  #waiters: (() => void)[] = [];

  constructor(options: FakeMaxScaleOptions) {
    this.#options = options;
    this.host = options.host ?? '127.0.0.1';
    this.#port = options.port ?? 0;
    this.#chunking = options.chunking ?? 'recorded';
  }

  get port(): number {
    return this.#port;
  }

  /** What a client needs to connect. */
  get address(): { host: string; port: number; user: string; password: string } {
    const [[user, password] = ['', '']] = Object.entries(this.#users);
    return { host: this.host, port: this.#port, user, password };
  }

  get connections(): readonly ConnectionView[] {
    return [...this.#sessions];
  }

  /** The table of that name; a new one has no columns and no file until `create` or `load`. */
  table(database: string, table: string): ScriptedTable {
    const name = `${database}.${table}`;
    const known = this.#tables.get(name) ?? new ScriptedTable(database, table, this.clock);
    this.#tables.set(name, known);
    return known;
  }

  /** One transaction over several tables: event numbers run through all its changes. Gives its GTID. */
  commit(changes: readonly (Change & { readonly table: ScriptedTable })[], options: TransactionOptions = {}): string {
    const gtid = this.clock.take(options.gtid);
    const numbered = changes.map((change, index) => ({ ...change, eventNumber: index + 1 }));
    for (const table of new Set(changes.map((change) => change.table))) {
      table.appendNumbered(
        numbered.filter((change) => change.table === table),
        gtid,
        options.timestamp,
      );
    }
    return formatGtid(gtid);
  }

  /** From the next connection on, answers with recorded bytes instead of the tables; undefined ends that. */
  replay(received: Buffer | undefined): void {
    this.#replay = received === undefined ? undefined : createReplay(received);
  }

  /** How the next connections are sent their bytes. */
  setChunking(chunking: Chunking): void {
    this.#chunking = chunking;
  }

  inject(fault: FaultOptions): Fault {
    return this.#faults.inject(fault);
  }

  /** New connections are refused from now on, as while MaxScale restarts; those that are open stay. */
  refuse(): void {
    this.#listener?.close();
    this.#listener = undefined;
  }

  /** Listens (again), on the same port. */
  async accept(): Promise<void> {
    if (this.#listener !== undefined) return;
    const listener = this.#createListener();
    this.#listener = listener;
    await new Promise<void>((resolve, reject) => {
      listener.once('error', reject);
      listener.listen(this.#port, this.host, () => {
        listener.off('error', reject);
        resolve();
      });
    });
    this.#port = (listener.address() as AddressInfo).port;
  }

  /** Ends all connections, in good order or with a reset. */
  disconnectAll(how: 'close' | 'reset' = 'close'): void {
    for (const session of this.#sessions) {
      if (how === 'reset') session.reset();
      else session.destroy();
    }
  }

  /** Resolves when the number of open connections satisfies the condition. */
  async waitForConnections(condition: (count: number) => boolean): Promise<void> {
    while (!condition(this.#sessions.size)) {
      await new Promise<void>((resolve) => {
        this.#waiters.push(resolve);
      });
    }
  }

  /** Stops listening and ends all connections; resolves when they are gone. */
  async close(): Promise<void> {
    const listener = this.#listener;
    const closed = new Promise<void>((resolve) => {
      if (listener === undefined) resolve();
      else listener.once('close', () => resolve());
    });
    this.refuse();
    this.#faults.releaseAll();
    this.disconnectAll();
    await this.waitForConnections((count) => count === 0);
    await closed;
  }

  get #users(): Record<string, string> {
    return this.#options.users ?? { maxuser: 'maxpwd' };
  }

  #createListener(): Server {
    const onSocket = (socket: Socket): void => this.#open(socket);
    const { tls } = this.#options;
    return tls === undefined ? createServer({ noDelay: true }, onSocket) : createTlsServer(tls, onSocket);
  }

  #open(socket: Socket): void {
    const session = new Session(socket, {
      users: this.#users,
      dialect: this.#options.dialect ?? 'current',
      faults: this.#faults,
      chunking: this.#chunking,
      replay: this.#replay,
      findTable: (name) => this.#findTable(name),
    });
    this.#sessions.add(session);
    socket.once('close', () => {
      this.#sessions.delete(session);
      this.#wake();
    });
    this.#wake();
  }

  /** A table that nothing is known of may come yet; whoever asked for it is woken then. */
  #findTable(name: string): ScriptedTable | undefined {
    const [, database, table] = /^([^.]+)\.([^]+)$/.exec(name) ?? [];
    return database === undefined || table === undefined ? undefined : this.table(database, table);
  }

  #wake(): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiters) waiter();
  }
}
