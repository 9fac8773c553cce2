import { type CdcConnection, connect, type ConnectOptions } from '@afterimage/cdc-protocol';
import type { ConfiguredTable } from '@afterimage/service';

/** What MaxScale's CDC listener answers. */
export interface CdcFacts {
  /** By `database.table`: whether there is a stream; tables that there was no time for are not in it. */
  readonly streams: ReadonlyMap<string, StreamAnswer>;
}

/** `none`: no row event yet, a wrong name, or excluded. `broken`: its file cannot be read. `silent`: no answer in time. */
export type StreamAnswer = 'there' | 'none' | 'broken' | 'silent';

const mostTables = 200;
const answerMs = 3_000;

/**
 * Signs in, then asks for each table until its first line. A stream cannot be stopped but by closing its connection, so
 * each table that has one costs a connection. Rejects with CdcError when the listener is away or refuses.
 */
export async function readCdcFacts(
  options: ConnectOptions,
  tables: readonly ConfiguredTable[],
  { signal, endsAt }: { readonly signal: AbortSignal; readonly endsAt: number },
): Promise<CdcFacts> {
  const streams = new Map<string, StreamAnswer>();
  let connection: CdcConnection | undefined = await connect({ ...options, signal });
  try {
    for (const { database, table } of tables.slice(0, mostTables)) {
      if (Date.now() + answerMs > endsAt) break;
      connection ??= await connect({ ...options, signal });
      const answer = await askForTable(connection, database, table);
      streams.set(`${database}.${table}`, answer);
      if (answer === 'none') continue;
      await connection.close().catch(() => undefined);
      connection = undefined;
    }
  } finally {
    await connection?.close().catch(() => undefined);
  }
  return { streams };
}

async function askForTable(connection: CdcConnection, database: string, table: string): Promise<StreamAnswer> {
  // Names that cannot be sent have no stream.
  const isSent = await connection.requestData({ database, table }).then(
    () => true,
    () => false,
  );
  if (!isSent) return 'none';
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<'silent'>((resolve) => {
    timer = setTimeout(() => resolve('silent'), answerMs);
  });
  try {
    return await Promise.race([readAnswer(connection), late]);
  } finally {
    clearTimeout(timer);
  }
}

async function readAnswer(connection: CdcConnection): Promise<StreamAnswer> {
  const next = connection[Symbol.asyncIterator]().next();
  const message = await next.then(
    ({ value }) => value,
    () => undefined,
  );
  if (message === undefined) return 'broken';
  // A row without its schema is of a table that was asked for before and has begun meanwhile.
  if (message.kind === 'row') return 'silent';
  if (message.kind === 'schema') return 'there';
  return message.code === 'NO_SUCH_FILE' ? 'none' : 'broken';
}
