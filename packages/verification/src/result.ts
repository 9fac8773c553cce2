import type { ColumnFinding } from './compared-table.js';

/** One difference, as an example. Values are cut; of keyless tables `key` is null and the column '*' stands for the row. */
export interface Sample {
  readonly kind: 'missing' | 'extra' | 'different';
  readonly key: readonly string[] | null;
  readonly column: string | null;
  readonly source: string | null;
  readonly mirror: string | null;
}

/** What a comparison of one table found. */
export interface TableVerification {
  readonly source: string;
  readonly database: string;
  readonly table: string;
  readonly streamId: string;
  /** unsettled: rows kept changing, none is known to differ. failed: see `message`. */
  readonly outcome: 'equal' | 'different' | 'unsettled' | 'failed';
  readonly message: string | null;
  /** Rows of MariaDB that were compared. */
  readonly rows: number;
  /** Rows that only MariaDB has, that only the mirror has, and that both have with other values. */
  readonly missing: number;
  readonly extra: number;
  readonly different: number;
  readonly unsettled: number;
  /** There are more differences: the comparison ended when it had found as many as it may. */
  readonly truncated: boolean;
  /** Different rows by column. */
  readonly columns: Readonly<Record<string, number>>;
  readonly findings: readonly ColumnFinding[];
  readonly samples: readonly Sample[];
  readonly startedAt: Date;
  readonly finishedAt: Date;
}

const sampleLength = 200;

export function cutSample(text: string | null | undefined): string | null {
  if (text === null || text === undefined) return null;
  return text.length <= sampleLength ? text : `${text.slice(0, sampleLength)}…`;
}
