import { CommandError } from '../failures.js';
import type { DemoProcess } from './processes.js';
import type { SentCounts, SourceOrder, SourceReport } from './source-messages.js';

/** The demo's end of its connection with the source process. */
export class SourceLink {
  readonly process: DemoProcess;
  readonly port: number;
  readonly expectationsFile: string;
  #sent: SentCounts;
  #finished = false;
  #onAltered: (statement: string) => void = () => undefined;

  /** Waits until the source listens. */
  static async open(process: DemoProcess, expectationsFile: string): Promise<SourceLink> {
    const ready = new Promise<SourceReport & { kind: 'ready' }>((resolve) => {
      process.child.on('message', (report: SourceReport) => {
        if (report.kind === 'ready') resolve(report);
      });
    });
    const ended = process.ended.then((why) =>
      Promise.reject<never>(new CommandError(`${why}; its log is ${process.logFile}`)),
    );
    const { port, sent } = await Promise.race([ready, ended]);
    ended.catch(() => undefined);
    return new SourceLink(process, { port, sent, expectationsFile });
  }

  private constructor(process: DemoProcess, start: { port: number; sent: SentCounts; expectationsFile: string }) {
    this.process = process;
    this.port = start.port;
    this.expectationsFile = start.expectationsFile;
    this.#sent = start.sent;
    process.child.on('message', (report: SourceReport) => this.#receive(report));
  }

  get sent(): SentCounts {
    return this.#sent;
  }

  /** Whether the workload is over and the expectations are written. */
  get finished(): boolean {
    return this.#finished;
  }

  start({ seconds, rate }: { seconds: number; rate: number }, onAltered: (statement: string) => void): void {
    this.#onAltered = onAltered;
    this.process.child.send({ kind: 'start', seconds, rate } satisfies SourceOrder);
  }

  #receive(report: SourceReport): void {
    if (report.kind === 'altered') {
      this.#onAltered(report.statement);
      return;
    }
    this.#sent = report.sent;
    if (report.kind === 'finished') this.#finished = true;
  }
}
