import type { Batch, StreamIdentity } from '@afterimage/change-events';
import type { Outcome } from '@afterimage/replica';
import { Counter, Gauge, Histogram, type Registry } from '@afterimage/service';

/** What a writer tells Prometheus. Labels are names from the stream; prom-client escapes them. */
export interface WriterMetrics {
  observe(
    batch: Pick<Batch, 'stream' | 'partition'>,
    outcome: Outcome,
    timing: { readonly seconds: number; readonly lagSeconds: number },
  ): void;
  retried(stream: StreamIdentity): void;
}

export function createWriterMetrics(registry: Registry): WriterMetrics {
  const labelNames = ['source', 'database', 'table'] as const;
  const registers = [registry];
  const counter = (name: string, help: string) =>
    new Counter({ name: `afterimage_writer_${name}`, help, labelNames, registers });
  const events = counter('events_total', 'Events applied to mirror and history.');
  const refused = counter('refused_total', 'Events put into the dead-letter table.');
  const missing = counter('missing_rows_total', 'Rows without a key that should have been removed but were not there.');
  const lost = counter('lost_values_total', 'Values that the stream lost or bent.');
  const retries = counter('retries_total', 'Batches tried again after a transient error.');
  const batches = new Counter({
    name: 'afterimage_writer_batches_total',
    help: 'Batches by what became of them.',
    labelNames: [...labelNames, 'outcome'],
    registers,
  });
  const halted = new Gauge({
    name: 'afterimage_writer_halted',
    help: '1 while the stream stands until the operator acts.',
    labelNames,
    registers,
  });
  const lag = new Gauge({
    name: 'afterimage_writer_lag_seconds',
    help: 'Now minus the source time of the newest applied event.',
    labelNames,
    registers,
  });
  const duration = new Histogram({
    name: 'afterimage_writer_batch_seconds',
    help: 'Time to apply one batch.',
    labelNames,
    registers,
    buckets: [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10],
  });
  // Of each stream the partitions that stand: it goes on when all of them do.
  const standing = new Map<string, Set<number>>();
  return {
    observe({ stream: { id, source, database, table }, partition }, outcome, { seconds, lagSeconds }) {
      const labels = { source, database, table };
      const stood = standing.get(id) ?? new Set();
      batches.inc({ ...labels, outcome: outcome.kind });
      // A batch behind the one that stands is a gap: that says nothing about the stream.
      if (outcome.kind === 'halted') standing.set(id, stood.add(partition));
      if (outcome.kind === 'applied') stood.delete(partition);
      if (outcome.kind === 'halted' || outcome.kind === 'applied') halted.set(labels, stood.size > 0 ? 1 : 0);
      if (outcome.kind !== 'applied') return;
      events.inc(labels, outcome.events);
      refused.inc(labels, outcome.refused);
      missing.inc(labels, outcome.missing);
      for (const count of outcome.lost.values()) lost.inc(labels, count);
      duration.observe(labels, seconds);
      lag.set(labels, lagSeconds);
    },
    retried: ({ source, database, table }) => retries.inc({ source, database, table }),
  };
}
