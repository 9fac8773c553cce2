import type { SnapshotPhase, SnapshotProgress } from '@afterimage/snapshot';
import cliProgress from 'cli-progress';
import { formatCount, formatSeconds } from './output.js';

/** Shows how a copy goes, one table after the other. */
export interface SnapshotBoard {
  begin(table: string): void;
  update(progress: SnapshotProgress): void;
  /** A line that stays. */
  note(text: string): void;
  /** The table is done; `text` is what stays of it. */
  end(text: string): void;
  close(): void;
}

const lineEveryMs = 5_000;
const barWidth = 20;

const phases: Readonly<Record<SnapshotPhase, string>> = {
  copying: '',
  indexing: 'writing history and indexes',
  waiting: 'waiting for the stream',
  settling: 'becoming the mirror',
};

/** Bars on a terminal, a line now and then elsewhere, nothing where the output is for a script. */
export function createSnapshotBoard(kind: 'bars' | 'lines' | 'none', now: () => number = Date.now): SnapshotBoard {
  if (kind === 'none') {
    const nothing = (): void => undefined;
    return { begin: nothing, update: nothing, note: nothing, end: nothing, close: nothing };
  }
  return kind === 'bars' ? createBars(now) : createLines(now);
}

function createLines(now: () => number): SnapshotBoard {
  let table = '';
  let startedAt = 0;
  let toldAt = 0;
  return {
    begin: (name) => {
      table = name;
      startedAt = now();
      toldAt = startedAt;
    },
    update: (progress) => {
      if (now() - toldAt < lineEveryMs) return;
      toldAt = now();
      console.log(`${table}: ${describeProgress(progress, now() - startedAt)}`);
    },
    note: (text) => console.log(text),
    end: (text) => console.log(text),
    close: () => undefined,
  };
}

function createBars(now: () => number): SnapshotBoard {
  let startedAt = 0;
  let bar: cliProgress.SingleBar | undefined;
  const clear = (): void => {
    bar?.stop();
    bar = undefined;
  };
  const begin = (table: string): void => {
    startedAt = now();
    bar = new cliProgress.SingleBar(
      {
        barCompleteChar: '█',
        barIncompleteChar: '░',
        barsize: barWidth,
        format: ` ${table} {bar} {text}`,
        hideCursor: true,
        clearOnComplete: true,
        stopOnComplete: false,
        linewrap: null,
        gracefulExit: false,
      },
      cliProgress.Presets.shades_classic,
    );
    bar.start(1, 0, { text: '' });
  };
  return {
    begin,
    update: (progress) => {
      bar?.setTotal(Math.max(1, progress.rows, progress.estimatedRows));
      bar?.update(progress.rows, { text: describeProgress(progress, now() - startedAt) });
    },
    note: (text) => {
      process.stdout.write(`\r\u001B[K${text}\n`);
    },
    end: (text) => {
      clear();
      process.stdout.write(`\r\u001B[K${text}\n`);
    },
    close: clear,
  };
}

/** `1,200,000 of about 5,000,000 rows, 96 MB, 210,000 rows/s, 18 s left`. */
export function describeProgress({ phase, rows, bytes, estimatedRows }: SnapshotProgress, elapsedMs: number): string {
  const megabytes = `${formatCount(bytes / 1e6)} MB`;
  if (phase !== 'copying') return `${formatCount(rows)} rows, ${megabytes}, ${phases[phase]}`;
  const perSecond = (rows / Math.max(1, elapsedMs)) * 1000;
  const left = perSecond > 0 && estimatedRows > rows ? (estimatedRows - rows) / perSecond : null;
  const of = estimatedRows > rows ? ` of about ${formatCount(estimatedRows)}` : '';
  return [
    `${formatCount(rows)}${of} rows`,
    megabytes,
    `${formatCount(perSecond)} rows/s`,
    ...(left === null ? [] : [`${formatSeconds(left)} left`]),
  ].join(', ');
}
