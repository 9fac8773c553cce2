import { type AddressInfo, type Server, type Socket, connect, createServer } from 'node:net';
import { Lane, type Weather } from './proxy-lane.js';

export type Direction = 'up' | 'down';

/** Sees every chunk before it goes on; `drop` keeps it, and everything after it, from going on. */
export interface Tap {
  readonly up: (chunk: Buffer) => 'pass' | 'drop';
  readonly down: (chunk: Buffer) => 'pass' | 'drop';
}

export interface FaultProxyOptions {
  /** Port on 127.0.0.1 to which a new connection is carried. */
  readonly targetPort: number;
  /** Makes the tap of each new connection. */
  readonly tap?: () => Tap;
}

/**
 * A TCP proxy on 127.0.0.1 that can do to connections what networks do: delay, throttle, swallow without a word (half-open),
 * cut in the middle of a message, corrupt, refuse. `up` is from the client to the server.
 */
export class FaultProxy {
  /** May be changed: new connections go there. */
  targetPort: number;
  readonly #tap: (() => Tap) | undefined;
  readonly #pairs = new Set<ProxiedConnection>();
  #weather: Weather = {};
  #listener: Server | undefined;
  #port = 0;

  private constructor({ targetPort, tap }: FaultProxyOptions) {
    this.targetPort = targetPort;
    this.#tap = tap;
  }

  static async start(options: FaultProxyOptions): Promise<FaultProxy> {
    const proxy = new FaultProxy(options);
    await proxy.accept();
    return proxy;
  }

  get port(): number {
    return this.#port;
  }

  get connections(): number {
    return this.#pairs.size;
  }

  /** Delay and speed of all connections from now on, those that are open included; `{}` is fair weather. */
  set weather(weather: Weather) {
    this.#weather = weather;
    for (const pair of this.#pairs) pair.setWeather(weather);
  }

  /** Connections that are open now carry nothing any more that way, and do not end either; new ones work. Returns how many. */
  swallow(...directions: readonly Direction[]): number {
    for (const pair of this.#pairs) for (const direction of directions) pair[direction].swallow();
    return this.#pairs.size;
  }

  /** Each open connection breaks (RST) when it has carried this many more bytes that way. */
  cutAfter(direction: Direction, bytes: number): void {
    for (const pair of this.#pairs) pair[direction].cutAfter(bytes);
  }

  /** Puts bytes between what open connections carry. */
  inject(direction: Direction, bytes: Buffer): void {
    for (const pair of this.#pairs) pair[direction].push(bytes);
  }

  /** Breaks all connections. */
  cut(): void {
    for (const pair of this.#pairs) pair.destroy();
  }

  /** New connections are refused from now on. */
  refuse(): void {
    this.#listener?.close();
    this.#listener = undefined;
  }

  /** Listens (again), always on the same port. */
  async accept(): Promise<void> {
    if (this.#listener !== undefined) return;
    const listener = createServer({ noDelay: true, allowHalfOpen: true }, (client) => this.#carry(client));
    this.#listener = listener;
    await new Promise<void>((resolve, reject) => {
      listener.once('error', reject);
      listener.listen(this.#port, '127.0.0.1', resolve);
    });
    this.#port = (listener.address() as AddressInfo).port;
  }

  close(): void {
    this.refuse();
    this.cut();
  }

  #carry(client: Socket): void {
    const server = connect({ host: '127.0.0.1', port: this.targetPort, noDelay: true, allowHalfOpen: true });
    const pair = new ProxiedConnection(client, server, this.#tap?.());
    pair.setWeather(this.#weather);
    this.#pairs.add(pair);
    client.once('close', () => {
      if (pair.isOver) this.#pairs.delete(pair);
    });
    server.once('close', () => {
      if (pair.isOver) this.#pairs.delete(pair);
    });
  }
}

class ProxiedConnection {
  readonly up: Lane;
  readonly down: Lane;
  readonly #client: Socket;
  readonly #server: Socket;

  constructor(client: Socket, server: Socket, tap: Tap | undefined) {
    this.#client = client;
    this.#server = server;
    const onCut = (): void => this.destroy();
    this.up = new Lane({ source: client, sink: server, tap: tap?.up, onCut });
    this.down = new Lane({ source: server, sink: client, tap: tap?.down, onCut });
    // The end of one side reaches the other only where the way there is not swallowed.
    const follow = (ended: Socket, lane: Lane, other: Socket): void => {
      ended.on('error', () => undefined);
      ended.once('close', (broken) => {
        if (lane.isSwallowed) return;
        if (broken) other.resetAndDestroy();
        else if (!other.writableEnded) lane.end();
      });
    };
    follow(client, this.up, server);
    follow(server, this.down, client);
  }

  get isOver(): boolean {
    return this.#client.destroyed && this.#server.destroyed;
  }

  setWeather(weather: Weather): void {
    this.up.weather = weather;
    this.down.weather = weather;
  }

  destroy(): void {
    this.#client.resetAndDestroy();
    this.#server.resetAndDestroy();
  }
}
