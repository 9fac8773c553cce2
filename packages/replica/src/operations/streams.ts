import type { Pool } from 'pg';
import { type StreamRecord, listStreamRecords } from '../control/streams.js';

/** A stream was asked for by a name that fits none, or several. */
export class StreamNotFound extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'StreamNotFound';
  }
}

/** Finds a stream by `database.table`, or `source/database.table` where several sources have it. */
export async function findStream(pool: Pool, name: string): Promise<StreamRecord> {
  const all = await listStreamRecords(pool);
  const found = all.filter((stream) => {
    const table = `${stream.database}.${stream.table}`;
    return name === table || name === `${stream.source}/${table}`;
  });
  const [only] = found;
  if (only !== undefined && found.length === 1) return only;
  if (found.length > 1) {
    throw new StreamNotFound(
      `several sources have ${name}: write ${found.map((s) => `${s.source}/${name}`).join(' or ')}`,
    );
  }
  const known = all.map((s) => `${s.database}.${s.table}`).slice(0, 20);
  throw new StreamNotFound(
    `no stream ${JSON.stringify(name)}; known: ${known.join(', ') || 'none yet (a reader registers them when it starts)'}`,
  );
}
