import type { StartRule } from './client-commands.js';
import type { Outlet } from './outlet.js';
import { findStart } from './row-search.js';
import type { ScriptedTable } from './scripted-table.js';
import type { TableFile } from './table-file.js';
import { fatalErrorLine } from './wire-messages.js';

export interface StreamOptions {
  readonly table: ScriptedTable;
  readonly version: number;
  readonly start: StartRule;
  readonly outlet: Outlet;
  /** Fires when the connection is gone, or asks for another table. */
  readonly signal: AbortSignal;
  /** Called when the first file exists: the connection streams from here on. */
  readonly onStart: () => void;
}

/**
 * Sends a table as avrorouter does: from the asked version on, each file's schema line, the rows from the start
 * rule's match on, then live, and on to the next version when there is one. Ends with the connection.
 *
 * A file that does not exist yet (it was answered with NO-FILE) is streamed once it does, without its schema
 * line, as MaxScale does.
 */
export async function streamTable(options: StreamOptions): Promise<void> {
  const { table, signal } = options;
  const progress: Progress = { found: options.start.kind === 'beginning', index: 0, waited: false };
  let { version } = options;
  let schema = table.file(version) !== undefined;
  for (;;) {
    const file = table.file(version);
    if (file === undefined) {
      await nextChange(table, signal);
      if (signal.aborted) return;
      continue;
    }
    options.onStart();
    const open = (!schema || (await sendSchema(file, options.outlet))) && (await sendFile(file, options, progress));
    if (!open) return;
    version++;
    schema = true;
  }
}

interface Progress {
  /** Whether the start rule has matched: from there on everything is sent. */
  found: boolean;
  /** Next block of the current file. */
  index: number;
  /** Whether the stream has waited for a change: it is live. */
  waited: boolean;
}

async function sendSchema(file: TableFile, outlet: Outlet): Promise<boolean> {
  return (await outlet.send(file.schemaLine)) && outlet.reach('after-schema');
}

/** Sends a file's rows until the next version exists (true) or the stream is over (false). */
async function sendFile(file: TableFile, options: StreamOptions, progress: Progress): Promise<boolean> {
  const { table, outlet, signal } = options;
  for await (const lines of file.source?.() ?? []) {
    if (!(await sendFrom(lines, options, progress))) return false;
  }
  progress.index = 0;
  for (;;) {
    if (!(await sendBlocks(file, options, progress))) return false;
    if (file.failure !== undefined) return sendFailure(file.failure, outlet, progress);
    if (table.file(file.version + 1) !== undefined) return true;
    await nextChange(table, signal);
    if (signal.aborted) return false;
    progress.waited = true;
  }
}

async function sendFailure(reason: string, outlet: Outlet, { waited }: Progress): Promise<boolean> {
  const line = fatalErrorLine(reason);
  // Connections that were live when the file broke got the line twice.
  await outlet.send(waited ? line + line : line);
  return outlet.end();
}

/** Sends the blocks that there are. */
async function sendBlocks(file: TableFile, options: StreamOptions, progress: Progress): Promise<boolean> {
  while (progress.index < file.blockCount) {
    const { lines, next } = file.read(progress.index);
    if (!(await sendFrom(lines, options, progress))) return false;
    progress.index = next;
  }
  return true;
}

async function sendFrom(lines: Buffer, { start, outlet }: StreamOptions, progress: Progress): Promise<boolean> {
  if (progress.found) return outlet.sendRows(lines);
  const at = findStart(lines, start);
  if (at === -1) return true;
  progress.found = true;
  return outlet.sendRows(lines.subarray(at));
}

/** Resolves at the table's next change, or when the signal fires. */
function nextChange(table: ScriptedTable, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      unwatch();
      signal.removeEventListener('abort', done);
      resolve();
    };
    const unwatch = table.watch(done);
    signal.addEventListener('abort', done, { once: true });
    if (signal.aborted) done();
  });
}
