import { writeFile } from 'node:fs/promises';
import { type FakeMaxScale, startFakeMaxScale } from '@afterimage/cdc-protocol/testing';
import { sleep } from '@afterimage/service';
import { commitLive } from './live-tables.js';
import { createRandom } from './random.js';
import { replayRecordings } from './recordings.js';
import { Shop } from './shop.js';
import type { ModelTable } from './source-model.js';
import { type SourceOrder, type SourceReport, sourcePassword, sourceUser } from './source-messages.js';

const tickMs = 10;
const reportMs = 100;
const backlog = { customers: 4000, customersPerTransaction: 100, transactions: 1500 };
/** Shares of the workload's time after which the tables are remembered as they are. */
const momentShares = [0.3, 0.6, 0.9];

/**
 * The source of the demo, in a process of its own: a fake MaxScale with recorded and live tables, and the source's
 * own model of them, which it writes to `expectationsFile` when the workload is over. It goes on serving until the
 * demo's process is gone or ends it.
 */
export async function runDemoSource({
  expectationsFile,
  seed,
}: {
  expectationsFile: string;
  seed: number;
}): Promise<void> {
  const maxscale = await startFakeMaxScale({ users: { [sourceUser]: sourcePassword } });
  const source = new DemoSource(maxscale, seed, await replayRecordings(maxscale));
  source.load();
  const stop = new AbortController();
  const report = (message: SourceReport) => process.send?.(message);
  process.on('message', (order: SourceOrder) => {
    if (order.kind === 'stop') stop.abort();
    else
      void source.work({ ...order, signal: stop.signal, report }).then(async () => {
        await writeFile(expectationsFile, source.models.map((model) => JSON.stringify(model.expectation())).join('\n'));
        report({ kind: 'finished', sent: source.sent() });
      });
  });
  report({ kind: 'ready', port: maxscale.port, sent: source.sent() });
  await new Promise<void>((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => resolve());
    process.once('disconnect', () => resolve());
  });
  stop.abort();
  process.disconnect?.();
  await maxscale.close();
}

interface WorkOptions {
  readonly seconds: number;
  /** Transactions per second. */
  readonly rate: number;
  readonly signal: AbortSignal;
  readonly report: (message: SourceReport) => void;
}

class DemoSource {
  readonly models: readonly ModelTable[];
  readonly #maxscale: FakeMaxScale;
  readonly #shop: Shop;
  #lastGtid = '';
  #lastSecond = 0;

  constructor(maxscale: FakeMaxScale, seed: number, recorded: readonly ModelTable[]) {
    this.#maxscale = maxscale;
    this.#shop = new Shop(maxscale, createRandom(seed));
    this.models = [...this.#shop.tables.map(({ model }) => model), ...recorded];
  }

  sent(): Record<string, number> {
    return Object.fromEntries(this.models.map((model) => [`${model.database}.${model.table}`, model.eventCount]));
  }

  /** What was there before the reader came. */
  load(): void {
    for (let loaded = 0; loaded < backlog.customers; loaded += backlog.customersPerTransaction) {
      this.#commit((now) => this.#shop.load(backlog.customersPerTransaction, now));
    }
    for (let n = 0; n < backlog.transactions; n += 1) this.#commit((now) => this.#shop.next(now));
  }

  /** Transactions at an even rate, schema changes after a half and three quarters of the time. */
  async work({ seconds, rate, signal, report }: WorkOptions): Promise<void> {
    const plan = this.#planEvents(report);
    const startedAt = performance.now();
    let done = 0;
    let reportedAt = 0;
    for (;;) {
      const elapsed = (performance.now() - startedAt) / 1000;
      const share = elapsed / seconds;
      if (share >= 1 || signal.aborted) break;
      while (plan[0] !== undefined && plan[0].share <= share && plan[0].act()) plan.shift();
      for (; done < elapsed * rate; done += 1) this.#commit((now) => this.#shop.next(now));
      if (performance.now() - reportedAt >= reportMs) {
        report({ kind: 'progress', sent: this.sent() });
        reportedAt = performance.now();
      }
      await sleep(tickMs, signal);
    }
  }

  /** What happens once, in order. `act` returns false when it is not the moment yet. */
  #planEvents(report: WorkOptions['report']): { readonly share: number; readonly act: () => boolean }[] {
    const alter = (statement: string, change: () => void) => (): boolean => {
      change();
      // A change shows on the wire with the next row only.
      this.#commit((now) => this.#shop.touchAll(now));
      report({ kind: 'altered', statement });
      return true;
    };
    return [
      ...momentShares.map((share) => ({ share, act: () => this.#remember() })),
      {
        share: 0.5,
        act: alter('ALTER TABLE orders ADD coupon text AFTER status, MODIFY customer_id bigint', () =>
          this.#shop.alterOrders(),
        ),
      },
      { share: 0.75, act: alter('ALTER TABLE customers CHANGE note remark text', () => this.#shop.renameNote()) },
    ].sort((a, b) => a.share - b.share);
  }

  /** Only between two seconds, so that the moment has a time stamp of the stream's own precision. */
  #remember(): boolean {
    if (nowSecond() <= this.#lastSecond) return false;
    for (const { model } of this.#shop.tables) model.remember(this.#lastGtid, this.#lastSecond);
    return true;
  }

  #commit(makeChanges: (now: number) => Parameters<typeof commitLive>[1]): void {
    const now = Math.max(nowSecond(), this.#lastSecond);
    const changes = makeChanges(now);
    if (changes.length === 0) return;
    this.#lastGtid = commitLive(this.#maxscale, changes, now);
    this.#lastSecond = now;
  }
}

function nowSecond(): number {
  return Math.floor(Date.now() / 1000);
}
