import { setImmediate, setTimeout as sleep } from 'node:timers/promises';
import { type FakeMaxScale, formatGtid, type Gtid } from '@afterimage/cdc-protocol/testing';
import { AvroRouter } from './avro-router.js';
import { readBinlog } from './binlog-connection.js';
import { type BinlogEvent, decodeEvent } from './binlog-events.js';
import { GtidPosition } from './gtid-position.js';
import { SourceQueries } from './source-queries.js';
import { FatalColumnType } from './stored-values.js';
import { ServerRefusal } from './wire-packets.js';

export interface BinlogFeedOptions {
  /** Where the stream appears: its tables are filled as they come in the binlog. */
  readonly maxscale: FakeMaxScale;
  /**
   * `mariadb://user:password@host:port/`, a server with row binlogs and GTIDs. The user needs REPLICATION SLAVE, and
   * SELECT for tables from before `from`.
   */
  readonly mariadbUrl: string;
  /** `beginning` (default): all binlogs that there are; `now`; or after a GTID position, `0-1-7,1-1-3`. */
  readonly from?: string;
  /** MaxScale's time zone, in which it prints TIMESTAMP. Default UTC. */
  readonly timeZone?: string;
  /** avrorouter's `block_size` in bytes. Default 16 KiB, as there. */
  readonly blockBytes?: number;
  /** The replica's server id. Default 2,147,000,001; two feeds of one server need different ones. */
  readonly serverId?: number;
}

const retryMs = 100;
const maxTurnMs = 5;

/**
 * Feeds a fake MaxScale from a MariaDB's own binlog, live: real SQL in, the stream of MaxScale 24.02 out. It follows the
 * server through restarts; a transaction that a broken connection cut comes again from its start, as in MaxScale.
 */
export async function startBinlogFeed(options: BinlogFeedOptions): Promise<BinlogFeed> {
  const queries = new SourceQueries(options.mariadbUrl);
  const { from = 'beginning' } = options;
  const start = from === 'now' ? await queries.readPosition() : from;
  return new BinlogFeed(options, queries, start === 'beginning' ? '' : start);
}

export class BinlogFeed {
  readonly #options: BinlogFeedOptions;
  readonly #queries: SourceQueries;
  readonly #router: AvroRouter;
  readonly #position: GtidPosition;
  #ending = new AbortController();
  #running: Promise<void>;
  #failure: Error | undefined;
  #waiters: (() => void)[] = [];
  #open: { gtid: Gtid; standsAlone: boolean } | undefined;

  constructor(options: BinlogFeedOptions, queries: SourceQueries, start: string) {
    this.#options = options;
    this.#queries = queries;
    this.#position = GtidPosition.parse(start);
    this.#router = new AvroRouter({
      maxscale: options.maxscale,
      timeZone: options.timeZone ?? 'UTC',
      blockBytes: options.blockBytes ?? 16 * 1024,
      showCreateTable: (name) => queries.showCreateTable(name),
    });
    this.#running = this.#run(this.#ending.signal);
  }

  /** The last transaction of each domain that is complete, `0-1-7,1-1-3`. */
  get position(): string {
    return this.#position.toString();
  }

  /**
   * Resolves when everything that is in the server's binlog now is in the stream. Rejects when the feed has ended: the
   * server refuses to send the binlog (error 1236: it is gone), or a value made MaxScale abort.
   */
  async catchUp(): Promise<void> {
    const target = GtidPosition.parse(await this.#queries.readPosition());
    while (!this.#position.covers(target)) {
      if (this.#failure !== undefined) throw this.#failure;
      await new Promise<void>((resolve) => {
        this.#waiters.push(resolve);
      });
    }
  }

  /** Stops following, as while MaxScale is down; what is there stays. */
  async pause(): Promise<void> {
    this.#ending.abort();
    await this.#running;
  }

  /** Goes on where it was paused. */
  resume(): void {
    if (!this.#ending.signal.aborted) return;
    this.#ending = new AbortController();
    this.#running = this.#run(this.#ending.signal);
  }

  /** Ends the feed; the fake MaxScale stays. */
  async stop(): Promise<void> {
    await this.pause();
    await this.#queries.close();
  }

  async #run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted && this.#failure === undefined) {
      try {
        await this.#follow(signal);
      } catch (error) {
        if (error instanceof ServerRefusal || error instanceof FatalColumnType) this.#end(error);
        // The server is down, as it may be for a while.
        else await sleep(retryMs, undefined, { signal }).catch(() => undefined);
      }
    }
  }

  async #follow(signal: AbortSignal): Promise<void> {
    const { mariadbUrl, serverId = 2_147_000_001 } = this.#options;
    const position = this.position;
    let turn = performance.now();
    for await (const event of readBinlog({ url: mariadbUrl, position, serverId, signal })) {
      await this.#take(decodeEvent(event));
      if (performance.now() - turn < maxTurnMs) continue;
      // Those who read the stream are often in this process.
      await setImmediate();
      turn = performance.now();
    }
  }

  async #take(event: BinlogEvent): Promise<void> {
    if (event.kind === 'gtid') this.#open = event;
    await this.#router.take(event);
    const isEnd = event.kind === 'commit' || (event.kind === 'query' && this.#open?.standsAlone === true);
    if (!isEnd || this.#open === undefined) return;
    this.#position.advance(formatGtid(this.#open.gtid));
    this.#open = undefined;
    this.#wake();
  }

  /** As an aborted MaxScale: connections end, and new ones are refused. */
  #end(error: Error): void {
    this.#failure = error;
    if (error instanceof FatalColumnType) {
      this.#options.maxscale.refuse();
      this.#options.maxscale.disconnectAll();
    }
    this.#wake();
  }

  #wake(): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiters) waiter();
  }
}
