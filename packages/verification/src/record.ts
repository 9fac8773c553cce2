import { inTransaction } from '@afterimage/replica';
import type { Pool } from 'pg';
import type { TableVerification } from './result.js';

/** Differences of all kinds: rows, and columns that one side lacks. */
export function countDifferences({ missing, extra, different, findings }: TableVerification): number {
  return missing + extra + different + findings.length;
}

/** Keeps what a run found, in `afterimage.verification_runs` and `afterimage.verifications`. Returns the run's id. */
export async function recordRun(
  pool: Pool,
  results: readonly { readonly result: TableVerification; readonly repaired: number }[],
): Promise<string> {
  const found = results.map(({ result }) => result);
  const sum = (of: (result: TableVerification) => number): number => found.reduce((total, one) => total + of(one), 0);
  const now = Date.now();
  const moment = (times: Date[], choose: (...values: number[]) => number): Date =>
    new Date(times.length === 0 ? now : choose(...times.map((time) => time.getTime())));
  const started = moment(
    found.map(({ startedAt }) => startedAt),
    Math.min,
  );
  const finished = moment(
    found.map(({ finishedAt }) => finishedAt),
    Math.max,
  );
  return inTransaction(pool, async (client) => {
    const { rows } = await client.query<{ id: string }>(
      `INSERT INTO afterimage.verification_runs (started_at, finished_at, tables, rows, differences, failed)
       VALUES ($1, $2, $3, $4, $5, $6) RETURNING id`,
      [
        started,
        finished,
        found.length,
        sum((result) => result.rows),
        sum(countDifferences),
        sum(({ outcome }) => (outcome === 'failed' ? 1 : 0)),
      ],
    );
    const id = rows[0]?.id ?? '';
    for (const { result, repaired } of results) {
      await client.query(
        `INSERT INTO afterimage.verifications (run_id, stream_id, outcome, message, rows, missing, extra, different, unsettled, truncated,
           repaired, columns, findings, samples, started_at, finished_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)`,
        [id, ...toValues(result, repaired)],
      );
    }
    return id;
  });
}

function toValues(result: TableVerification, repaired: number): unknown[] {
  const { streamId, outcome, message, rows, missing, extra, different, unsettled, truncated } = result;
  const json = [result.columns, result.findings, result.samples].map((value) => storable(JSON.stringify(value)));
  const counts = [rows, missing, extra, different, unsettled, truncated, repaired];
  return [
    streamId,
    outcome,
    message?.replaceAll('\0', '') ?? null,
    ...counts,
    ...json,
    result.startedAt,
    result.finishedAt,
  ];
}

/** jsonb takes no NUL, and no half of a character, which a cut may leave. */
function storable(json: string): string {
  return json.replaceAll(/\\u(?:0000|d[89a-f][0-9a-f]{2})/g, '\uFFFD');
}
