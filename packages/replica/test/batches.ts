import {
  type Batch,
  type Field,
  advance,
  fingerprintOf,
  formatGtid,
  formatPosition,
  startPosition,
} from '@afterimage/change-events';
import type { TableSettings } from '../src/index.js';

export const field = (name: string, realType: string, avroType: string, unsigned = false): Field => ({
  name,
  realType,
  avroType,
  unsigned,
});

export const orderFields: readonly Field[] = [
  field('id', 'int', 'int'),
  field('state', 'varchar', 'string'),
  field('amount', 'int', 'int'),
];

type Operation = 'insert' | 'update_before' | 'update_after' | 'delete';

/** A source that commits one-table transactions and cuts them into batches as a reader would. */
export class ScriptedStream {
  readonly stream: Batch['stream'];
  fields: readonly Field[];
  schemaGtid = '0-1-1';
  fileVersion = 1;
  domain = 0;
  #position = startPosition;
  #ordinal = 0n;
  #sequence = new Map<number, number>();
  #previous = '';
  #lines: string[] = [];
  #pendingFirst = 1n;
  #since = 1n;

  constructor(stream: Batch['stream'], fields: readonly Field[] = orderFields) {
    this.stream = stream;
    this.fields = fields;
  }

  /** One transaction: its events in order, values as raw JSON text. */
  transaction(...events: readonly (readonly [Operation, ...(string | number | null)[]])[]): this {
    const sequence = (this.#sequence.get(this.domain) ?? 1) + 1;
    this.#sequence.set(this.domain, sequence);
    events.forEach(([operation, ...values], i) => {
      const columns = this.fields
        .map(({ name }, c) => `, ${JSON.stringify(name)}: ${JSON.stringify(values[c] ?? null)}`)
        .join('');
      const prefix = `{"domain": ${this.domain}, "server_id": 1, "sequence": ${sequence}, "event_number": ${i + 1}, "timestamp": ${1_700_000_000 + sequence}, "event_type": "${operation}"`;
      this.#lines.push(`${prefix}${columns}}`);
      this.#position = advance(this.#position, {
        domain: BigInt(this.domain),
        serverId: 1n,
        sequence: BigInt(sequence),
        eventNumber: BigInt(i + 1),
      });
      this.#ordinal += 1n;
    });
    return this;
  }

  /** A new schema line: takes effect with the next transaction. Cut the batch before. */
  alter(fields: readonly Field[]): this {
    this.fields = fields;
    this.#since = this.#ordinal + 1n;
    this.fileVersion += 1;
    this.schemaGtid = `0-1-${(this.#sequence.get(0) ?? 1) + 1}`;
    return this;
  }

  /** Everything since the last cut, as one batch. */
  cut(): Batch {
    const last = [...this.#position.values()].at(-1);
    const batch: Batch = {
      v: 2,
      stream: this.stream,
      partition: 0,
      layout: 1,
      epoch: '1',
      previous: this.#previous,
      last: formatPosition(this.#position),
      checkpoint: { gtid: last === undefined ? '0-0-0' : formatGtid(last), fileVersion: this.fileVersion },
      lastOrdinal: this.#ordinal.toString(),
      firstOrdinal: this.#pendingFirst.toString(),
      sequenceBases: {},
      schema: {
        fingerprint: fingerprintOf(this.fields),
        fields: [...this.fields],
        version: this.fileVersion,
        gtid: this.schemaGtid,
        since: this.#since.toString(),
      },
      count: this.#lines.length,
      firstTimestamp: 1_700_000_000,
      lastTimestamp: 1_700_000_000 + (this.#sequence.get(this.domain) ?? 0),
      enqueuedAt: 0,
      events: this.#lines.join('\n'),
    };
    this.#previous = batch.last;
    this.#lines = [];
    this.#pendingFirst = this.#ordinal + 1n;
    return batch;
  }
}

/** The later of two batches glued to the earlier one: what a reader sends again after it resumed. */
export function glue(a: Batch, b: Batch): Batch {
  return {
    ...b,
    previous: a.previous,
    firstOrdinal: a.firstOrdinal,
    count: a.count + b.count,
    events: `${a.events}\n${b.events}`,
  };
}

export function testSettings(changes: Partial<TableSettings> = {}): TableSettings {
  return {
    mirror: { schema: 'shop', table: 'orders' },
    historySuffix: '_history',
    key: ['id'],
    columns: {},
    types: { timeZone: 'UTC', zeroDates: 'null', nulCharacters: 'remove' },
    rename: 'infer',
    onRefused: 'dead-letter',
    historyIndex: 'key',
    labels: 'check',
    indexes: 'none',
    hasSource: false,
    ...changes,
  };
}
