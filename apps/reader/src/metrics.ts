import { Counter, Gauge, type Registry } from '@afterimage/service';

const labelNames = ['source', 'database', 'table'] as const;
type Label = (typeof labelNames)[number];

export type StreamLabels = Readonly<Record<Label, string>>;

/** What the reader tells Prometheus, per stream. */
export interface ReaderMetrics {
  readonly events: Counter<Label>;
  readonly batches: Counter<Label>;
  readonly bytes: Counter<Label>;
  readonly flightBatches: Gauge<Label>;
  readonly flightBytes: Gauge<Label>;
  readonly lag: Gauge<Label>;
  readonly connections: Counter<Label>;
  readonly errors: Counter<Label | 'code'>;
}

export function createReaderMetrics(registry: Registry): ReaderMetrics {
  const registers = [registry];
  const counter = (name: string, help: string): Counter<Label> =>
    new Counter({ name: `afterimage_reader_${name}`, help, labelNames, registers });
  const gauge = (name: string, help: string): Gauge<Label> =>
    new Gauge({ name: `afterimage_reader_${name}`, help, labelNames, registers });
  return {
    events: counter('events_total', 'Events put into the queue.'),
    batches: counter('batches_total', 'Batches put into the queue.'),
    bytes: counter('bytes_total', 'Bytes of event lines put into the queue.'),
    flightBatches: gauge('in_flight_batches', 'Batches queued and not applied yet.'),
    flightBytes: gauge('in_flight_bytes', 'Bytes of event lines queued and not applied yet.'),
    lag: gauge('lag_seconds', 'Age of the newest event when it was queued, by the clocks of source and reader.'),
    connections: counter('feeds_total', 'Times the stream was opened at the source, the first one included.'),
    errors: new Counter({
      name: 'afterimage_reader_errors_total',
      help: 'Interruptions of the stream, by code.',
      labelNames: [...labelNames, 'code'],
      registers,
    }),
  };
}
