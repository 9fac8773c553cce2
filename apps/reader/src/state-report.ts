import { type ReaderStatus, setReaderState } from '@afterimage/replica';
import { sleep } from '@afterimage/service';
import type { Pool } from 'pg';

const retryMs = 1_000;

/**
 * Keeps a stream's reader state in PostgreSQL up to date without ever holding up the stream: writes only changes,
 * one at a time, and of several that pile up only the newest. Nothing is written any more once another reader has a
 * later epoch.
 */
export class StateReport {
  readonly #pool: Pool;
  readonly #streamId: string;
  readonly #epoch: bigint;
  readonly #onError: (error: unknown) => void;
  #current: ReaderStatus | undefined;
  #written: ReaderStatus | undefined;
  #writing: Promise<void> | undefined;
  readonly #closing = new AbortController();

  constructor(
    pool: Pool,
    { streamId, epoch }: { readonly streamId: string; readonly epoch: bigint },
    onError: (error: unknown) => void,
  ) {
    this.#pool = pool;
    this.#streamId = streamId;
    this.#epoch = epoch;
    this.#onError = onError;
  }

  get state(): ReaderStatus['state'] {
    return this.#current?.state ?? 'idle';
  }

  /** Returns whether state or code are others than before. */
  set(state: ReaderStatus['state'], code: string | null = null, message: string | null = null): boolean {
    const before = this.#current;
    // PostgreSQL's text holds no NUL, and a message can quote the stream.
    const text = message === null ? null : message.replaceAll('\0', '\uFFFD');
    const isNews = before === undefined || before.state !== state || before.code !== code;
    if (isNews || before.message !== text) {
      this.#current = { state, code, message: text };
      this.#writing ??= this.#write();
    }
    return isNews;
  }

  /** Resolves when the newest state is written, or could not be. The report is of no more use then. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#writing;
  }

  async #write(): Promise<void> {
    while (this.#current !== this.#written && this.#current !== undefined) {
      const status = this.#current;
      try {
        await setReaderState(this.#pool, this.#streamId, status, this.#epoch);
        this.#written = status;
      } catch (error) {
        this.#onError(error);
        if (!(await sleep(retryMs, this.#closing.signal))) break;
      }
    }
    this.#writing = undefined;
  }
}
