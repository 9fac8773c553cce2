import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

interface LogLine {
  readonly msg: string;
  readonly level: string;
  readonly code?: string;
  readonly exitCode?: number;
}

/** Runs the sample service as a process; sends `signals` one after the other, each when its line was logged. */
async function runSample(behaviour: string, signals: Record<string, NodeJS.Signals> = {}) {
  const program = fileURLToPath(new URL('fixtures/service.mjs', import.meta.url));
  const child = spawn(process.execPath, [program, behaviour], { stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = once(child, 'exit') as Promise<[number | null]>;
  const lines: LogLine[] = [];
  for await (const text of createInterface(child.stdout)) {
    const line = JSON.parse(text) as LogLine;
    lines.push(line);
    const signal = signals[line.msg];
    if (signal !== undefined) child.kill(signal);
  }
  const [exitCode] = await exited;
  return { exitCode, lines, messages: lines.map((line) => line.msg) };
}

describe('a service', () => {
  it.each(['SIGTERM', 'SIGINT'] as const)('ends in order and with code 0 on %s', async (signal) => {
    const { exitCode, messages } = await runSample('waits', { ready: signal });
    expect(exitCode).toBe(0);
    expect(messages).toEqual([
      'ready',
      'sample is stopping',
      'work is done',
      'closed second',
      'closed first',
      'sample has stopped',
    ]);
  });

  it('ends when its work ends', async () => {
    const { exitCode, messages } = await runSample('returns');
    expect(exitCode).toBe(0);
    expect(messages).toEqual(['closed second', 'closed first', 'sample has stopped']);
  });

  it('ends at once with code 1 on a second signal', async () => {
    const { exitCode, messages } = await runSample('hangs', { ready: 'SIGTERM', 'work is done': 'SIGINT' });
    expect(exitCode).toBe(1);
    expect(messages.at(-1)).toBe('second signal: ending at once');
  });

  it('closes everything, logs the error with its code, and ends with 1 when its work fails', async () => {
    const { exitCode, lines, messages } = await runSample('throws');
    expect(exitCode).toBe(1);
    expect(messages).toEqual(['sample failed', 'closed second', 'closed first', 'sample has stopped']);
    expect(lines[0]).toMatchObject({ level: 'error', code: 'SAMPLE_FAILED', exitCode: 1 });
  });

  it('ends with 2 when the configuration is wrong', async () => {
    const { exitCode, lines } = await runSample('misconfigured');
    expect(exitCode).toBe(2);
    expect(lines[0]).toMatchObject({ code: 'CONFIG_INVALID', exitCode: 2 });
  });

  it('ends in order and with 1 on an error that nobody handled', async () => {
    const { exitCode, messages } = await runSample('rejects-elsewhere');
    expect(exitCode).toBe(1);
    expect(messages).toEqual([
      'ready',
      'unhandled error',
      'work is done',
      'closed second',
      'closed first',
      'sample has stopped',
    ]);
  });

  it('closes the rest when one thing cannot be closed', async () => {
    const { exitCode, messages } = await runSample('close-fails');
    expect(exitCode).toBe(1);
    expect(messages).toEqual(['closing third failed', 'closed second', 'closed first', 'sample has stopped']);
  });
});
