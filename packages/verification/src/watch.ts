import { setTimeout as delay } from 'node:timers/promises';
import type { StreamRecord } from '@afterimage/replica';
import { Gauge, type Registry } from '@afterimage/service';
import { countDifferences, recordRun } from './record.js';
import type { TableVerification } from './result.js';
import { verifyTable, type VerifyOptions } from './verify-table.js';

export interface WatchOptions extends Omit<VerifyOptions, 'stream' | 'sides' | 'signal'> {
  readonly sidesOf: (stream: StreamRecord) => VerifyOptions['sides'] | undefined;
  /** Asked before each pass: tables may come and go. */
  readonly listStreams: () => Promise<readonly StreamRecord[]>;
  readonly registry: Registry;
  readonly signal: AbortSignal;
  /** Between two passes. */
  readonly pauseMs: number;
  readonly onResult: (result: TableVerification) => void;
}

/** Compares all tables again and again until the signal aborts; each result is kept, and shown as metrics. */
export async function watch(options: WatchOptions): Promise<void> {
  const { signal, pauseMs, listStreams } = options;
  const metrics = createMetrics(options.registry);
  try {
    for (;;) {
      for (const stream of await listStreams()) {
        const sides = options.sidesOf(stream);
        if (sides === undefined) continue;
        const result = await verifyTable({ ...options, stream, sides, signal });
        metrics.show(result);
        await recordRun(sides.postgres, [{ result, repaired: 0 }]);
        options.onResult(result);
      }
      await delay(pauseMs, undefined, { signal });
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

interface VerificationMetrics {
  show(result: TableVerification): void;
}

function createMetrics(registry: Registry): VerificationMetrics {
  const labelNames = ['source', 'database', 'table'] as const;
  const registers = [registry];
  const verified = new Gauge({
    name: 'afterimage_last_verified_timestamp_seconds',
    help: 'When the table was last compared with MariaDB to its end',
    labelNames,
    registers,
  });
  const differences = new Gauge({
    name: 'afterimage_verify_differences',
    help: 'Rows, and columns, in which the mirror differed from MariaDB at the last comparison',
    labelNames,
    registers,
  });
  const failures = new Gauge({
    name: 'afterimage_verify_failed',
    help: '1 when the last comparison could not be done',
    labelNames,
    registers,
  });
  return {
    show(result) {
      const labels = { source: result.source, database: result.database, table: result.table };
      failures.set(labels, result.outcome === 'failed' ? 1 : 0);
      if (result.outcome === 'failed') return;
      verified.set(labels, result.finishedAt.getTime() / 1000);
      differences.set(labels, countDifferences(result));
    },
  };
}
