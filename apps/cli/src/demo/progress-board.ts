import cliProgress from 'cli-progress';
import { formatCount, formatSeconds } from '../output.js';

/** One line of the board: a table, or several together. */
export interface Lane {
  readonly name: string;
  readonly sent: number;
  readonly applied: number;
  readonly perSecond: number;
  readonly lagSeconds: number;
}

export interface BoardState {
  readonly elapsed: number;
  readonly seconds: number;
  readonly lanes: readonly Lane[];
}

/** Shows how the demo goes: bars on a terminal, a line now and then elsewhere. */
export interface ProgressBoard {
  update(state: BoardState): void;
  /** A line that stays. */
  note(text: string): void;
  close(): void;
}

export function createProgressBoard(isTerminal: boolean): ProgressBoard {
  return isTerminal ? createBars() : createLines();
}

// With the counts beside them they fit a terminal of 80 columns.
const nameWidth = 16;
const barWidth = 16;
const lineEveryMs = 2000;

function createBars(): ProgressBoard {
  const board = new cliProgress.MultiBar(
    {
      barCompleteChar: '█',
      barIncompleteChar: '░',
      barsize: barWidth,
      format: ' {name} {bar} {text}',
      hideCursor: true,
      autopadding: false,
      linewrap: null,
      fps: 10,
      gracefulExit: false,
      // A bar that did not change would stay where it was when a note moves the others down.
      forceRedraw: true,
    },
    cliProgress.Presets.shades_classic,
  );
  const bars = new Map<string, cliProgress.SingleBar>();
  const show = (name: string, bar: { total: number; value: number; text: string }) => {
    const known = bars.get(name);
    const payload = { name: name.padEnd(nameWidth), text: bar.text };
    if (known === undefined) bars.set(name, board.create(Math.max(1, bar.total), bar.value, payload));
    else {
      known.setTotal(Math.max(1, bar.total));
      known.update(bar.value, payload);
    }
  };
  return {
    update: ({ elapsed, seconds, lanes }) => {
      const left = Math.max(0, seconds - elapsed);
      show('workload', {
        total: seconds,
        value: Math.min(elapsed, seconds),
        text: left === 0 ? 'over, applying the rest' : `${formatSeconds(left)} left`,
      });
      for (const lane of lanes) show(lane.name, { total: lane.sent, value: lane.applied, text: describeLane(lane) });
    },
    note: (text) => board.log(`${text}\n`),
    close: () => {
      board.update();
      board.stop();
    },
  };
}

function describeLane({ sent, applied, perSecond, lagSeconds }: Lane): string {
  const counts = `${formatCount(applied)}/${formatCount(sent)}`.padEnd(15);
  const rate = `${formatCount(perSecond)}/s`.padStart(8);
  return `${counts} ${rate}  ${lagSeconds === 0 ? 'in sync' : `lag ${formatSeconds(lagSeconds)}`}`;
}

function createLines(): ProgressBoard {
  let shownAt = 0;
  return {
    update: ({ elapsed, lanes }) => {
      if (performance.now() - shownAt < lineEveryMs) return;
      shownAt = performance.now();
      const sum = (pick: (lane: Lane) => number) => lanes.reduce((total, lane) => total + pick(lane), 0);
      const last = lanes.toSorted((a, b) => b.lagSeconds - a.lagSeconds)[0];
      const lag =
        last === undefined || last.lagSeconds === 0
          ? 'in sync'
          : `lag ${formatSeconds(last.lagSeconds)} (${last.name})`;
      console.log(
        `${formatSeconds(elapsed).padStart(8)}  sent ${formatCount(sum((l) => l.sent))}  applied ${formatCount(sum((l) => l.applied))}  ` +
          `${formatCount(sum((l) => l.perSecond))}/s  ${lag}`,
      );
    },
    note: (text) => console.log(text),
    close: () => undefined,
  };
}
