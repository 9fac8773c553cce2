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
  /** Whether the batch waits for MariaDB. */
  waits(batch: Pick<Batch, 'stream' | 'partition'>, isWaiting: boolean): void;
}

export function createWriterMetrics(registry: Registry): WriterMetrics {
  const labelNames = ['source', 'database', 'table'] as const;
  const registers = [registry];
  const counter = (name: string, help: string) =>
    new Counter({ name: `afterimage_writer_${name}`, help, labelNames, registers });
  const gauge = (name: string, help: string) =>
    new Gauge({ name: `afterimage_writer_${name}`, help, labelNames, registers });
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
  const halted = gauge('halted', '1 while the stream stands until the operator acts.');
  const sourceWaits = gauge('source_waits', 'Batches that wait for MariaDB, which does not answer or refuses.');
  const lag = gauge('lag_seconds', 'Now minus the source time of the newest applied event.');
  const duration = new Histogram({
    name: 'afterimage_writer_batch_seconds',
    help: 'Time to apply one batch.',
    labelNames,
    registers,
    buckets: [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10],
  });
  // A stream goes on when all its partitions do.
  const standing = createPartitionCounts((labels, count) => halted.set(labels, count > 0 ? 1 : 0));
  const waiting = createPartitionCounts((labels, count) => sourceWaits.set(labels, count));
  return {
    observe({ stream, partition }, outcome, { seconds, lagSeconds }) {
      const labels = labelsOf(stream);
      batches.inc({ ...labels, outcome: outcome.kind });
      // A batch behind the one that stands is a gap: that says nothing about the stream.
      if (outcome.kind === 'halted' || outcome.kind === 'applied')
        standing.mark({ stream, partition }, outcome.kind === 'halted');
      if (outcome.kind !== 'applied') return;
      events.inc(labels, outcome.events);
      refused.inc(labels, outcome.refused);
      missing.inc(labels, outcome.missing);
      for (const count of outcome.lost.values()) lost.inc(labels, count);
      duration.observe(labels, seconds);
      lag.set(labels, lagSeconds);
    },
    waits: (batch, isWaiting) => waiting.mark(batch, isWaiting),
    retried: (stream) => retries.inc(labelsOf(stream)),
  };
}

type Labels = Pick<StreamIdentity, 'source' | 'database' | 'table'>;

function labelsOf({ source, database, table }: StreamIdentity): Labels {
  return { source, database, table };
}

/** Counts of each stream the partitions that are marked. */
function createPartitionCounts(show: (labels: Labels, count: number) => void): {
  mark(batch: Pick<Batch, 'stream' | 'partition'>, isMarked: boolean): void;
} {
  const marked = new Map<string, Set<number>>();
  return {
    mark({ stream, partition }, isMarked) {
      const partitions = marked.get(stream.id) ?? new Set();
      marked.set(stream.id, partitions);
      if (isMarked) partitions.add(partition);
      else partitions.delete(partition);
      show(labelsOf(stream), partitions.size);
    },
  };
}
