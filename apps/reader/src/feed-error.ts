/** Why a stream does not flow, and what the operator should do. Shown by `afterimage status` as reader code. */
export const feedErrorAdvice = {
  /** The event that was applied last is not in the source any more, and newer ones are: some in between may be missing. */
  LOST_POSITION:
    'The source no longer has the last applied event, so changes may be missing. If its files or binlogs can be restored, restore them; otherwise copy the table anew and reset its offset. The reader looks again by itself.',
  /** Events that should be old are young: the source began anew (RESET MASTER, another server), and its GTIDs went back. */
  SOURCE_RESET:
    'The source has begun a new history: its GTIDs went back. Mixing two histories would be wrong, so nothing of it is applied. Point the reader at the right source, or copy the table anew and reset its offset. The reader looks again by itself.',
  /** Rows came without the schema line that must stand before them. */
  SCHEMA_MISSING: 'MaxScale sent rows without their columns. The reader connects again; if it stays, restart MaxScale.',
  /** A row has other columns than the schema line before it; avrorouter misses an ALTER right after a restart. */
  COLUMNS_MISMATCH:
    'The rows have other columns than MaxScale announced: it missed or misread an ALTER TABLE. Restart MaxScale, or rotate its Avro files; if it stays, recreate the Avro files of this table.',
  /** MaxScale cannot read its own file past this place. */
  SOURCE_FATAL:
    'MaxScale reported a fatal error in the Avro file of this table (torn by a crash, or a row above block_size). Repair or recreate the file; the stream goes on by itself.',
  /** MaxScale answered something unexpected. */
  SOURCE_ERROR: 'Read the message, and the log of MaxScale.',
  /** The queue lost batches that were not applied yet. */
  QUEUE_LOST_JOBS: 'Nothing: the batches are sent again. Redis should run with an append-only file and noeviction.',
  /** The queue does not take batches. */
  QUEUE_UNAVAILABLE:
    'Check Redis: whether it runs, its memory (OOM) and its disk (MISCONF); or PostgreSQL, where the queue is there. The reader keeps trying.',
} as const;

export type FeedErrorCode = keyof typeof feedErrorAdvice;

export class FeedError extends Error {
  override readonly name = 'FeedError';
  readonly code: FeedErrorCode;

  constructor(code: FeedErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
  }

  get advice(): string {
    return feedErrorAdvice[this.code];
  }
}
