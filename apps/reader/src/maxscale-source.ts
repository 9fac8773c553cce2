import {
  type CdcConnection,
  type CdcMessage,
  connect,
  type ConnectOptions,
  type RowEvent,
  type SchemaMessage,
  type ServerError,
} from '@afterimage/cdc-protocol';
import { fingerprintOf } from '@afterimage/change-events';
import type { Change, ChangeSource, FeedRequest, StreamSchema } from './change-source.js';
import { FeedError } from './feed-error.js';
import { PositionTracker, type Verdict } from './position-tracker.js';
import { ResetDetector } from './reset-detector.js';
import { nextResume, type ResumeEvent, type ResumeState, startResume, type Way } from './resume-plan.js';
import { nextWithin, silence } from './waiting.js';

export interface MaxScaleOptions {
  readonly connection: ConnectOptions;
  /** How long resuming waits for an event before it tries another way, and how often it looks everywhere for a missing table. */
  readonly resumeMs: number;
  /** Silence after which the connection is opened anew, to see whether the source still has the place. */
  readonly idleCheckMs: number;
}

/** How soon a stream without a file looks for one again: from this, doubled, to that. */
const glanceMs = { first: 1_000, longest: 5_000 };

/** Nothing came, and so there is something to ask for. */
const moved = Symbol('moved');

/** Streams from MaxScale's CDC listener, one connection per table. */
export function createMaxScaleSource(options: MaxScaleOptions): ChangeSource {
  return { open: (request) => new MaxScaleFeed(options, request).read() };
}

function toSchema(message: SchemaMessage): StreamSchema {
  const fields = message.fields.map(({ name, realType, avroType, unsigned }) => ({
    name,
    realType,
    avroType,
    unsigned,
  }));
  return { fingerprint: fingerprintOf(fields), fields, version: message.version, gtid: message.gtid };
}

class MaxScaleFeed {
  readonly #options: MaxScaleOptions;
  readonly #request: FeedRequest;
  readonly #tracker: PositionTracker;
  readonly #resets: ResetDetector;
  #state: ResumeState;
  /** Of this connection; undefined until its first schema line. */
  #schema: StreamSchema | undefined;
  /** The last one that was passed on. */
  #announced: StreamSchema | undefined;
  #failure: FeedError | undefined;
  /** Looks for a first file since this feed began. */
  #glances = 0;
  #connectedAt = 0;

  constructor(options: MaxScaleOptions, request: FeedRequest) {
    this.#options = options;
    this.#request = request;
    this.#tracker = new PositionTracker(request.after);
    this.#resets = new ResetDetector(request.after?.sourceTime);
    this.#state = startResume(request.after);
  }

  async *read(): AsyncGenerator<readonly Change[], void, undefined> {
    const { signal, onState } = this.#request;
    onState('connecting');
    while (!signal.aborted) {
      const connection = await connect({ ...this.#options.connection, signal }).catch((error: unknown) => {
        if (signal.aborted) return undefined;
        throw error;
      });
      if (connection === undefined) return;
      try {
        const again = yield* this.#readConnection(connection);
        if (!again) return;
      } finally {
        // It may be closed already, by an error or by the signal.
        await connection.close().catch(() => undefined);
      }
    }
  }

  /** Returns whether a fresh connection is to be opened to go on with this feed. */
  async *#readConnection(connection: CdcConnection): AsyncGenerator<readonly Change[], boolean, undefined> {
    this.#schema = undefined;
    this.#connectedAt = performance.now();
    await this.#send(connection);
    const messages = connection.messages();
    let next = messages.next();
    for (;;) {
      const before = this.#state;
      next.catch(() => undefined);
      const got = await this.#awaitMessages(next, connection);
      if (got === silence) return false;
      if (got !== moved) {
        if (got.done === true) return false;
        const changes = this.#interpret(got.value);
        if (changes.length > 0) yield changes;
        // After what came before it: a stream that always ends at the same place still gets that far.
        if (this.#failure !== undefined) throw this.#failure;
        next = messages.next();
      }
      if (this.#state === before || this.#state.kind !== 'requesting') continue;
      if (this.#state.fresh) return true;
      await this.#send(connection);
    }
  }

  /**
   * Silence for the time of an idle check ends the feed, since a connection whose network died is silent too; a shorter one
   * while resuming is the planner's business. A slow line is not silence.
   */
  async #awaitMessages(
    next: Promise<IteratorResult<CdcMessage[], void>>,
    connection: CdcConnection,
  ): Promise<IteratorResult<CdcMessage[], void> | typeof silence | typeof moved> {
    const { idleCheckMs } = this.#options;
    let quietSince = performance.now();
    for (;;) {
      const streaming = this.#state.kind === 'streaming';
      const received = connection.bytesReceived;
      const got = await nextWithin(next, this.#patienceMs);
      if (got !== silence) return got;
      if (connection.bytesReceived > received) {
        quietSince = performance.now();
        continue;
      }
      if (streaming) return got;
      const before = this.#state;
      this.#advance(this.#judgeSilence());
      if (this.#state !== before) return moved;
      if (this.#hasAnchor) this.#request.onState('searching');
      if (performance.now() - quietSince >= idleCheckMs) return silence;
    }
  }

  /** A request that was answered with NO-FILE is woken by the table's first row, perhaps while the next one is on its way. */
  get #mayWake(): boolean {
    return this.#state.kind === 'waiting' || (this.#state.kind === 'requesting' && !this.#state.fresh);
  }

  /** How long the state of now lets nothing come before something else is tried. */
  get #patienceMs(): number {
    const { idleCheckMs, resumeMs } = this.#options;
    switch (this.#state.kind) {
      case 'streaming':
        return idleCheckMs;
      case 'waiting':
        return Math.min(resumeMs, glanceMs.longest, glanceMs.first * 2 ** this.#glances);
      default:
        return resumeMs;
    }
  }

  /** What it is that nothing came: without a file time for a glance, and every `resumeMs` for a look at all versions. */
  #judgeSilence(): ResumeEvent {
    if (this.#state.kind !== 'waiting' || performance.now() - this.#connectedAt >= this.#options.resumeMs)
      return 'silence';
    this.#glances += 1;
    return 'glance';
  }

  get #hasAnchor(): boolean {
    const { after } = this.#request;
    return after !== null && after.gtid !== null;
  }

  async #send(connection: CdcConnection): Promise<void> {
    const { database, table } = this.#request;
    if (this.#state.kind === 'requesting') {
      await connection.requestData({ database, table, ...describeWay(this.#state.way) });
    }
  }

  /** Stops at the message that makes another request necessary, or the feed fail: the rest is not wanted. */
  #interpret(messages: readonly CdcMessage[]): Change[] {
    const changes: Change[] = [];
    for (const message of messages) {
      const before = this.#state;
      switch (message.kind) {
        case 'schema':
          this.#schema = toSchema(message);
          this.#advance('schema');
          break;
        case 'row':
          this.#interpretRow(message, changes);
          break;
        case 'error':
          this.#interpretError(message);
          break;
      }
      if (this.#failure !== undefined) break;
      if (this.#state !== before && this.#state.kind === 'requesting') break;
    }
    return changes;
  }

  #interpretRow(row: RowEvent, changes: Change[]): void {
    if (this.#schema === undefined) {
      if (this.#mayWake) this.#advance('schemaless');
      else this.#failure = new FeedError('SCHEMA_MISSING', 'a row came before any schema line');
      return;
    }
    const verdict = this.#judge(row);
    if (this.#state.kind === 'lost') {
      this.#failure = new FeedError(
        'LOST_POSITION',
        `the last applied event, of transaction ${this.#request.after?.gtid ?? ''}, is not in the source's files, but a newer one is`,
      );
    }
    if (this.#state.kind === 'streaming' && verdict === 'new') this.#deliver(row, this.#schema, changes);
  }

  /** What the row is to this stream; moves the planner on while it looks for its place. */
  #judge(row: RowEvent): Verdict | 'foreign' {
    const searching = this.#state.kind !== 'streaming';
    const verdict = this.#tracker.judge(row, searching);
    const isForeign = verdict === 'anchor' ? searching && this.#isNamesake(row) : this.#isLate(verdict, row);
    if (isForeign) {
      const { domain, serverId, sequence, eventNumber } = row;
      this.#failure = new FeedError(
        'SOURCE_RESET',
        `event ${domain}-${serverId}-${sequence}:${eventNumber} does not lie beyond the position, but is younger than all that was applied`,
      );
      return 'foreign';
    }
    if (verdict !== 'covered') this.#resets.accept(row.timestamp);
    if (searching) this.#advance(verdict);
    return verdict;
  }

  /** A new history that has come as far as the old one has an event of the same name, but not one as old. */
  #isNamesake({ timestamp }: RowEvent): boolean {
    return timestamp > (this.#request.after?.sourceTime ?? Number.POSITIVE_INFINITY);
  }

  #isLate(verdict: Verdict, { timestamp }: RowEvent): boolean {
    return verdict === 'covered' && this.#resets.isFromAnotherHistory(timestamp);
  }

  #deliver(row: RowEvent, schema: StreamSchema, changes: Change[]): void {
    if (this.#announced !== schema) {
      this.#announced = schema;
      changes.push({ kind: 'schema', schema });
    }
    const base = this.#tracker.advance(row);
    if (base !== undefined) changes.push({ kind: 'base', domain: row.domain, base });
    changes.push({ kind: 'event', event: row });
  }

  #interpretError({ code, text }: ServerError): void {
    if (code === 'NO_SUCH_FILE' && this.#state.kind !== 'streaming') this.#advance('no-file');
    else
      this.#failure = new FeedError(
        code === 'FATAL' ? 'SOURCE_FATAL' : 'SOURCE_ERROR',
        `MaxScale says: ${JSON.stringify(text)}`,
      );
  }

  #advance(event: ResumeEvent): void {
    const before = this.#state;
    this.#state = nextResume(before, event, this.#request.after);
    if (this.#state === before) return;
    if (this.#state.kind === 'streaming' || this.#state.kind === 'waiting') this.#request.onState(this.#state.kind);
  }
}

function describeWay(way: Way): { version?: number; gtid?: string } {
  switch (way.kind) {
    case 'checkpoint':
      return { version: way.version, gtid: way.gtid };
    case 'file':
    case 'scan':
      return { version: way.version };
  }
}
