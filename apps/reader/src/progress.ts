import { readOffsets, type StreamOffsets } from '@afterimage/replica';
import { sleep } from '@afterimage/service';
import type { Pool } from 'pg';

export interface Progress {
  /**
   * Calls `onOffsets` with the stream's offsets again and again while `isActive` says that something is on its way.
   * Returns how to stop that.
   */
  watch(streamId: string, watcher: OffsetWatcher): () => void;
  /** To be called when a stream becomes active. */
  wake(): void;
  /** To be called when a stream begins to wait for what is on its way. */
  hurry(): void;
}

export interface OffsetWatcher {
  readonly isActive: () => boolean;
  /** Whether events wait for what is on its way to be applied. */
  readonly isWaiting: () => boolean;
  /** Returns whether it is news. */
  readonly onOffsets: (offsets: StreamOffsets) => boolean;
}

/** Milliseconds between two looks: while events wait, after news, and when a writer stands still. */
const urgent = 3;
const fastest = 20;
const slowest = 500;
/** Looks this far apart have seen no news for some while. */
const patience = 100;

/** Follows the offsets of all active streams with one query; asks nothing while there are none. Ends with `signal`. */
export function followProgress(pool: Pool, signal: AbortSignal, onError: (error: unknown) => void): Progress {
  const watchers = new Map<string, OffsetWatcher>();
  let wake: () => void = () => undefined;
  let hurry: () => void = () => undefined;
  const look = async (): Promise<'none' | 'same' | 'news'> => {
    const active = [...watchers].filter(([, watcher]) => watcher.isActive());
    if (active.length === 0) return 'none';
    const offsets = await readOffsets(
      pool,
      active.map(([streamId]) => streamId),
    );
    let news = false;
    for (const [streamId, watcher] of active) {
      const found = offsets.get(streamId);
      if (found !== undefined && watchers.get(streamId) === watcher) news = watcher.onOffsets(found) || news;
    }
    return news ? 'news' : 'same';
  };
  const follow = async (): Promise<void> => {
    let pause = fastest;
    while (!signal.aborted) {
      const waking = new Promise<void>((resolve) => (wake = resolve));
      const seen = await look().catch((error: unknown) => {
        onError(error);
        return 'same' as const;
      });
      if (seen === 'none') {
        await waking;
        pause = fastest;
        continue;
      }
      pause = seen === 'news' ? fastest : Math.min(pause * 1.5, slowest);
      const hurrying = new Promise<void>((resolve) => (hurry = resolve));
      const isWaiting = [...watchers.values()].some((watcher) => watcher.isWaiting());
      // A writer that stands still is not asked all the time, whoever waits.
      await Promise.race([sleep(isWaiting && pause < patience ? urgent : pause, signal), hurrying]);
    }
  };
  signal.addEventListener('abort', () => wake(), { once: true });
  void follow();
  return {
    watch: (streamId, watcher) => {
      watchers.set(streamId, watcher);
      wake();
      return () => {
        if (watchers.get(streamId) === watcher) watchers.delete(streamId);
      };
    },
    wake: () => wake(),
    hurry: () => hurry(),
  };
}
