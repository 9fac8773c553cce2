import type { Workload } from './workload.js';

/** Kinds of work, each of a size that takes some seconds. */
export const mixes: Readonly<Record<string, Workload>> = {
  /** 300,000 inserts, 60,000 updates, 15,000 deletes of small rows: comparable with other tools. */
  fixedWork: mix({ inserts: 300_000, updates: 60_000, deletes: 15_000 }),
  insertOnly: mix({ inserts: 400_000 }),
  /** 50 % inserts, 40 % updates, 10 % deletes, all the time. */
  insertUpdateDelete: mix({ inserts: 150_000, updates: 120_000, deletes: 30_000, order: 'interleaved' }),
  /** 50 columns, 1.3 kB. */
  wideRows: mix({ inserts: 40_000, updates: 8_000, deletes: 2_000, shape: 'wide' }),
  /** 10 kB. */
  largeRows: mix({ inserts: 10_000, updates: 2_000, deletes: 500, shape: 'large' }),
  /** One row each. */
  tinyTransactions: mix({ inserts: 200_000, updates: 40_000, deletes: 10_000, rowsPerTransaction: 1 }),
};

function mix(work: Partial<Workload>): Workload {
  return { inserts: 0, updates: 0, deletes: 0, shape: 'small', order: 'phases', rowsPerTransaction: 100, ...work };
}
