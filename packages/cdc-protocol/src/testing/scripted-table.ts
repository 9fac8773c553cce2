import { MessageDecoder } from '../decoding.js';
import type { CdcMessage, SchemaMessage } from '../messages.js';
import type { Change } from './changes.js';
import type { ReplicationClock } from './replication-clock.js';
import { TableFile, type RowSource } from './table-file.js';
import type { Column } from './value-text.js';
import { formatGtid, rowLine, type Gtid } from './wire-messages.js';

export interface TransactionOptions {
  /** Of the transaction or the DDL; the next one by default. */
  gtid?: string;
  /** Unix seconds; now by default. */
  timestamp?: number;
}

interface NextFile {
  readonly version: number;
  readonly gtid: string;
  readonly columns: readonly Column[];
  readonly schemaLine?: Buffer;
}

/** A table as avrorouter has it: numbered files. DDL takes effect with the next row, as a new file. */
export class ScriptedTable {
  readonly database: string;
  readonly table: string;
  readonly #clock: ReplicationClock;
  readonly #files = new Map<number, TableFile>();
  readonly #watchers = new Set<() => void>();
  #current: TableFile | undefined;
  #nextFile: NextFile | undefined;
  #lastVersion = 0;

  constructor(database: string, table: string, clock: ReplicationClock) {
    this.database = database;
    this.table = table;
    this.#clock = clock;
  }

  /** CREATE TABLE, also after a DROP: always a version of its own, even if no row ever comes under it. */
  create(columns: readonly Column[], options: Pick<TransactionOptions, 'gtid'> = {}): string {
    return this.#planFile(++this.#lastVersion, columns, options.gtid);
  }

  /** ALTER TABLE: the next row begins a new version; several before one row make one version. */
  alter(columns: readonly Column[], options: Pick<TransactionOptions, 'gtid'> = {}): string {
    const version = this.#nextFile?.version ?? ++this.#lastVersion;
    return this.#planFile(version, columns, options.gtid);
  }

  /** avrorouter's own rotation: the next row begins a new version with the same fields and the same GTID. */
  rotate(): void {
    const { columns, gtid } = this.#lastSchema();
    this.#nextFile ??= { version: ++this.#lastVersion, columns, gtid };
  }

  /** Another counts the versions: this one's file exists from now on, with its schema line and still without rows. */
  open(file: { readonly version: number; readonly gtid: string; readonly columns: readonly Column[] }): void {
    this.#lastVersion = Math.max(this.#lastVersion, file.version);
    this.#nextFile = file;
    this.#openFile();
    this.#notify();
  }

  /** One transaction on this table only. Gives its GTID. */
  append(changes: readonly Change[], options: TransactionOptions = {}): string {
    const gtid = this.#clock.take(options.gtid);
    this.appendNumbered(
      changes.map((change, index) => ({ ...change, eventNumber: index + 1 })),
      gtid,
      options.timestamp,
    );
    return formatGtid(gtid);
  }

  /** Row images with the event numbers that a transaction over several tables gives them. */
  appendNumbered(
    changes: readonly (Change & { readonly eventNumber: number })[],
    gtid: Gtid,
    timestamp: number = Math.floor(Date.now() / 1000),
  ): void {
    if (changes.length === 0) return;
    const { columns } = this.#openFile();
    const lines = changes.map(({ operation, values, eventNumber }) =>
      rowLine({ ...gtid, eventNumber, timestamp, operation }, columns, values),
    );
    this.appendLines(Buffer.from(lines.join('')));
  }

  /** Row lines as they are; each ends with a newline. */
  appendLines(lines: Buffer | string): void {
    this.#openFile().append(typeof lines === 'string' ? Buffer.from(lines) : lines);
    this.#notify();
  }

  /** Rows of the current version that are generated for each connection, before those that are appended. */
  source(source: RowSource): void {
    this.#openFile().source = source;
    this.#notify();
  }

  /**
   * Takes over what a real server sent for this table: versions and rows, byte for byte. The handshake at its
   * beginning and errors that did not end it are left out.
   */
  load(received: Buffer): void {
    const stream = received.toString('utf8').replace(/^(?:OK\n+)*/, '');
    const messages: CdcMessage[] = [];
    new MessageDecoder().decode(stream, messages);
    for (const message of messages) {
      if (message.kind === 'schema') this.#loadSchema(message);
      else if (message.kind === 'row') this.appendLines(`${message.raw}\n`);
      else if (message.code === 'FATAL') this.fail(message.text.replace(/^ERR fatal error: /, ''));
    }
  }

  /** Removes a version's file. Streams that have it open read on to its end, then wait for the next. */
  prune(version: number): void {
    this.#files.delete(version);
  }

  /** Removes all files but the newest, as `max_data_age` does. */
  pruneFormer(): void {
    for (const version of this.#files.keys()) if (version !== this.#current?.version) this.prune(version);
  }

  /**
   * The same files as another MaxScale has them, which numbers them from `first` on. Streams that are open know nothing of
   * that: end their connections.
   */
  renumber(first: number): void {
    const files = [...this.#files.values()].toSorted((a, b) => a.version - b.version);
    this.#files.clear();
    let version = first;
    for (const file of files) {
      const numbered = file.numbered(version);
      this.#files.set(version, numbered);
      if (file === this.#current) this.#current = numbered;
      version += 1;
    }
    this.#lastVersion = version - 1;
    if (this.#nextFile !== undefined) this.#nextFile = { ...this.#nextFile, version: ++this.#lastVersion };
  }

  /** The current file is damaged: its streams end with a fatal error after its rows, now and ever after. */
  fail(reason: string): void {
    this.#openFile().fail(reason);
    this.#notify();
  }

  /** The columns in force, the planned ones included. */
  get columns(): readonly Column[] {
    return this.#lastSchema().columns;
  }

  file(version: number): TableFile | undefined {
    return this.#files.get(version);
  }

  /** Calls `watcher` at each change until the returned function is called. */
  watch(watcher: () => void): () => void {
    this.#watchers.add(watcher);
    return () => void this.#watchers.delete(watcher);
  }

  #planFile(version: number, columns: readonly Column[], gtid: string | undefined): string {
    const text = formatGtid(this.#clock.take(gtid));
    this.#nextFile = { version, columns, gtid: text };
    return text;
  }

  #loadSchema({ version, gtid, fields, raw }: SchemaMessage): void {
    this.#lastVersion = Math.max(this.#lastVersion, version);
    this.#nextFile = { version, gtid, columns: fields, schemaLine: Buffer.from(`${raw}\n`) };
    this.#openFile();
  }

  #openFile(): TableFile {
    if (this.#nextFile !== undefined) {
      this.#current = new TableFile({ database: this.database, table: this.table, ...this.#nextFile });
      this.#files.set(this.#current.version, this.#current);
      this.#nextFile = undefined;
    }
    if (this.#current === undefined) throw new Error(`create ${this.database}.${this.table} before its rows`);
    return this.#current;
  }

  #lastSchema(): Pick<NextFile, 'columns' | 'gtid'> {
    const schema = this.#nextFile ?? this.#current;
    if (schema === undefined) throw new Error(`create ${this.database}.${this.table} first`);
    return schema;
  }

  #notify(): void {
    for (const watcher of this.#watchers) watcher();
  }
}
